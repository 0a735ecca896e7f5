"""What was measured, kept: the ring in memory."""

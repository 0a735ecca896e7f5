"""What was found, written for people."""

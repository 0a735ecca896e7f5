"""Telling people: what is told to whom and when (pure stages), and the outbox that sees to it that it arrives."""

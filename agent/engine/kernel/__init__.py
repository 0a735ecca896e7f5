"""The kernel log, read: lines → records → events → incidents. Pure: text in, events out."""

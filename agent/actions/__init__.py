"""One file, one change to the host: plan, check, act, verify, undo."""

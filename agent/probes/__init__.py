"""One file = one closer look."""

"""The only doors to the machine: clock, files under /proc, other programs, threads."""

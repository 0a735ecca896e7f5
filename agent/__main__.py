"""Lets ``python -m agent`` stand for ``anfl-agent``."""

from agent.cli import main

main()

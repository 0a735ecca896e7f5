"""anfl-agent: from a symptom on a GPU node to the line, device or process that causes it."""

__version__ = "0.1.0"

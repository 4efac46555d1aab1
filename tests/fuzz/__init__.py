"""Damaged and hostile files for every reader, and hostile scores for every solver: `python -m tests.fuzz --help`."""

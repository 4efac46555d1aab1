"""Faults put into the assignment engine one by one, to see whether anything notices: `python -m tests.mutation`."""

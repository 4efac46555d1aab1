"""Inner loops compiled by numba; no classes, no checks: their callers in `assignment` know what they ask for."""

"""CPU assignment solvers on numpy and numba; imports no torch."""

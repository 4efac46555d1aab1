"""What every room may use: numba kernels, devices, progress bars, files. Nothing here knows cells."""

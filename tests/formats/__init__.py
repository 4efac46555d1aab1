"""One small file of every format that the package writes and reads again; see `make`."""

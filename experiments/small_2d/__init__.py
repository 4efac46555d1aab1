"""How the bundled model `small_2d` is trained, fitted and compared."""

"""Numbers of whole runs, kept so that no change of the code changes them unseen."""

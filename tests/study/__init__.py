"""The study, on movies of a second each."""

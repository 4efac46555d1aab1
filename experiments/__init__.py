"""Experiments that a decision in the package rests on; each is run by its name and has its result in `results`."""

"""Trackastra's transformer as a tracker. Only `folder` imports trackastra, when a model is loaded."""

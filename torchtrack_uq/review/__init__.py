"""A local page on which a person settles doubts: the queue, both frames side by side, decisions kept at once."""

"""Whether promises hold when doubtful daughters are preferred for annotation, and what that buys."""

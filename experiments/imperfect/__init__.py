"""What to expect on imperfect masks: every tracker and method, links over gaps and none, errors of every rate."""

"""What might improve on a prior's mean without labels: looks that follow the movie, a floor, the movie's evidence."""

"""Published data sets: what there is, downloads that resume, and unpacking that stays in its folder."""

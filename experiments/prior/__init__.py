"""What movies have in common: the prior over temperature and event scores, learned and judged on movies left out."""

"""Movies that are too long to be held: tracked reel by reel, in memory that hardly grows with their length."""

"""What is worth a word: found in each tick, opened once, closed once, kept."""

"""What is watched, and what is read of it at each tick."""

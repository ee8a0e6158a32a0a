"""What a thread waits for."""

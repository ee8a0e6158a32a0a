"""strace under supervision."""

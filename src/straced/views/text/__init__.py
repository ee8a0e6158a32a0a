"""Plain text for terminals."""

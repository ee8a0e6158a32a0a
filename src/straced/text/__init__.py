"""Foreign text sanitized, and units."""

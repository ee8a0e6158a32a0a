"""Foreign text made safe, and units."""

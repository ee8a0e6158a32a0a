"""Who holds up a wait."""

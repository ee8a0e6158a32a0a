"""Looks at /proc at random moments, where nothing else may run."""

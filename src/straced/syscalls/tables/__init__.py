"""Generated: one module an ABI, number -> name."""

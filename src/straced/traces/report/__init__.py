"""A report of a trace: the request, loading, and building it."""

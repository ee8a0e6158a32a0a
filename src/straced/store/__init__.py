"""History: a database of samples, rolled up with age."""

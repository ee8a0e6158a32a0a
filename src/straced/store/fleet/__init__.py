"""History of many hosts, read from what their services have exported."""

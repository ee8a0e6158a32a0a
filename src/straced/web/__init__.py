"""The live screen as a web page: read-only, for this host alone, for whoever holds the token of the service."""

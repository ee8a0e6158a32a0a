"""A small HTTP server for this host alone: bounded in all it takes, GET and HEAD only, wary of strangers' pages."""

"""Configuration: its schema, the loader, the paths, the rules of what is watched."""

"""A report as one self-contained page: no network, no remote asset, foreign text as text."""

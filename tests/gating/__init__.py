"""The native gate: its executable, where it stands, by what it is known, and what it does."""

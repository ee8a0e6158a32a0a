"""Rules of the code that a machine can check."""

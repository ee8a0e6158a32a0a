"""The documentation is true: its commands run, its links lead somewhere, and every public name has its page."""

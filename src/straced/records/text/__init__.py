"""Records as text: lines in strace's own format."""

"""From the bytes of a trace to lines: the form, the source, the selection, restarts."""

"""The native core of the reader of traces, where it is: the same figures as the Python reader's, many times as fast."""

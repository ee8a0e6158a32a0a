"""straced beside other versions of Python, strace and libbpf, on this kernel: ``make matrix``."""

"""Facts of /proc and the kernel, one reader a fact."""

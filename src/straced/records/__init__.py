"""Records of calls as the kernel's programs write them: their values, how they stand in files, and as text."""

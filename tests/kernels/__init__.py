"""straced on other kernels than the machine's: each is booted in an emulator, with this checkout inside."""

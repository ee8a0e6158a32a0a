"""What is read of the kernel about waits."""

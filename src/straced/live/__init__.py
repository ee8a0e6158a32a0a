"""Where the live screen has its rows from: this machine's /proc and Profiler, or the service and its history."""

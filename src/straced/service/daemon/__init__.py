"""How the service lives: its lock, signals, the service manager, its unit, its log."""

"""Values that the daemon, clients and screens share, and pure arithmetic on them."""

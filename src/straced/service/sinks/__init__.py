"""Where the samples of a tick go."""

"""Ways of observing a target, side by side. Each one serves the protocol of :mod:`straced.tracers.base`."""

"""The socket: JSON-RPC 2.0, one object a line, between the service and its clients."""

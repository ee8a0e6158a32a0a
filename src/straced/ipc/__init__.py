"""The protocol between the service and its clients: both ends."""

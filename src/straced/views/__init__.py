"""What people and programs see: text, JSON, pictures. Views know values, never a tracer."""

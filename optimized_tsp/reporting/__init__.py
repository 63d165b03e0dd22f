"""SQL reporting: the schema `reporting`, one view a file, read over a read-only role."""

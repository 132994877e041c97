"""Placeholder so that the entry point imports."""

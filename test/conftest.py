"""Makes `fakes` importable from every test: pytest puts this file's folder on the path."""

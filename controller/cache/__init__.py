"""Informers: local copies of resources, which a watch keeps up to date."""

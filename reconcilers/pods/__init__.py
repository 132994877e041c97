"""Pods that a user may change: what an override does to one, and what it must leave alone."""

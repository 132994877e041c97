"""The user's Secrets: read by name, checked, and what may be said of them."""

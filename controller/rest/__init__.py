"""Requests to the API server: connections, credentials, objects, watches, commands in pods."""

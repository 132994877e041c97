"""The command `repository-server-functions`."""

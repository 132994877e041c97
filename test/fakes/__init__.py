"""Stand-ins that unit tests share: time and the API server, without either."""

"""What tests share: stand-ins for time, the API server, Kopia and networks, and objects."""

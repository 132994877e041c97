"""Where the server is, and as whom to connect: by folders, by a Profile, by a resource's name."""

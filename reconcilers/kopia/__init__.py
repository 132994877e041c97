"""What Kopia reads and what it prints: storage, configuration, users, failures."""

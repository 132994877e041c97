"""What Kopia is told, and what it says: its storage, its configuration, its users, its failures."""

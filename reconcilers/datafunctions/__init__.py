"""Data functions: programs that back up and restore through a repository server, in any pod."""

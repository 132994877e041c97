"""Kopia's command line: where it is in the image, and the flags that each command has."""

EXECUTABLE = "/bin/kopia"
# A writer command may otherwise run the repository's maintenance, which is its owner's business.
GLOBAL_FLAGS = ("--no-auto-maintenance", "--disable-file-logging", "--log-level=error")

"""Kopia's command line: where it is in the image, and what each command has."""

from typing import Final

EXECUTABLE: Final = "/bin/kopia"
# A writer command may otherwise run the repository's maintenance, which is its owner's business.
GLOBAL_FLAGS: Final = ("--no-auto-maintenance", "--disable-file-logging", "--log-level=error")

#: Arguments. Kopia runs only what is due of the quick maintenance without the last one.
RUN_MAINTENANCE: Final = (
    "--no-auto-maintenance",
    "--disable-file-logging",
    "--log-level=info",
    "maintenance",
    "run",
    "--full",
)

# The variables that each process has. The root file system of its container may be read-only.
ENVIRONMENT: Final = {
    "HOME": "/tmp",  # noqa: S108 - the container's own
    "KOPIA_CHECK_FOR_UPDATES": "false",
    "KOPIA_PERSIST_CREDENTIALS_ON_CONNECT": "false",
}

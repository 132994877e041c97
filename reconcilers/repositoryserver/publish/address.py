"""Where clients reach a server. Pure functions."""

from __future__ import annotations

from reconcilers.repositoryserver import api


def url(namespace: str, service: str) -> str:
    """Return the URL of a server.

    It names no cluster domain: every pod's resolver adds its own.

    Args:
        namespace: Of the Service.
        service: Its name.
    """
    return f"https://{service}.{namespace}.svc:{api.PORT}"

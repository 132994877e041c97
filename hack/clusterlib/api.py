"""Asks a cluster's kube-apiserver, as its administrator."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterlib.state import Record, State

TIMEOUT_SECONDS = 5.0


class Api:
    """One cluster's API, for reading.

    Args:
        state: its files.
        record: what it is.
    """

    def __init__(self, state: State, record: Record) -> None:
        self._server = record.layout.server
        self._state = state

    def get(self, path: str) -> bytes | None:
        """Return the body of a GET, or None if the server is not there or refuses."""
        authority = self._state.authority
        try:
            context = ssl.create_default_context(cafile=str(authority.certificate))
            context.load_cert_chain(authority.certificate_of("admin"), authority.key_of("admin"))
            # No proxy: the address is this machine's.
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
            )
            with opener.open(self._server + path, timeout=TIMEOUT_SECONDS) as response:
                return bytes(response.read())
        except (OSError, http.client.HTTPException):
            return None

    def object(self, path: str) -> dict[str, Any] | None:
        """Return the object at a path, or None as `get` does."""
        body = self.get(path)
        return None if body is None else json.loads(body)

    def is_ready(self) -> bool:
        """Tell whether the server says that it is ready."""
        return self.get("/readyz") == b"ok"

    def has_condition(self, path: str, kind: str) -> bool:
        """Tell whether the object at a path has a condition of this type that is true."""
        conditions = (self.object(path) or {}).get("status", {}).get("conditions", [])
        return any(entry["type"] == kind and entry["status"] == "True" for entry in conditions)

"""Which resource of the API a kind is, as a REST mapper of client-go finds it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from controller.errors import NotFound
from controller.resource import Resource
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Deadline
    from controller.resource import Object
    from controller.rest.client import Client

REASON_UNKNOWN: Final = "UnknownKind"
NOT_SERVED: Final = (
    "{what}: the API server does not serve its apiVersion and kind; correct them, or install the"
    " CustomResourceDefinition"
)


class ApiResources:
    """Finds resources by apiVersion and kind, and keeps what it has found. Safe between threads.

    A kind that is not known is asked for each time: its CustomResourceDefinition may have come.

    Args:
        client: Asks the API server.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        # Guards the dictionary below.
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Resource] = {}

    def find(self, api_version: str, kind: str, *, what: str, deadline: Deadline) -> Resource:
        """Return the resource of a kind.

        Args:
            api_version: `v1` or `apps/v1` for example.
            kind: The kind.
            what: What is of that kind, for messages.
            deadline: For the request.

        Raises:
            InvalidInput: The API server does not serve it.
            ClientError: As a client raises it.
        """
        with self._lock:
            known = self._known.get((api_version, kind))
        if known is not None:
            return known
        group, _, version = api_version.rpartition("/")
        if not _is_path_segment(group or "core") or not _is_path_segment(version):
            raise InvalidInput(REASON_UNKNOWN, NOT_SERVED.format(what=what))
        try:
            listed = self._client.api_resources(group, version, deadline=deadline)
        except NotFound:
            listed = {}
        found = _by_kind(listed, group, version)
        with self._lock:
            self._known |= {(api_version, name): one for name, one in found.items()}
        if kind not in found:
            raise InvalidInput(REASON_UNKNOWN, NOT_SERVED.format(what=what))
        return found[kind]


def _by_kind(listed: Object, group: str, version: str) -> Mapping[str, Resource]:
    """Return the resources of an APIResourceList, without subresources."""
    return {
        one["kind"]: Resource(
            group, version, one["name"], one["kind"], namespaced=bool(one.get("namespaced"))
        )
        for one in listed.get("resources") or ()
        if "/" not in one["name"]
    }


def _is_path_segment(text: str) -> bool:
    """Return whether a text may stand in the path of a request."""
    plain = text.replace("-", "").replace(".", "")
    return plain.isascii() and plain.isalnum() and text.strip(".-") == text

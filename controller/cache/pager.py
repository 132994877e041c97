"""Lists all objects of a resource, in pages where the server has them.

Follows client-go tools/pager/pager.go.
"""

import math
from collections.abc import Callable
from typing import Final

from controller.clock import Clock, Deadline
from controller.errors import Gone, TransportError
from controller.resource import Object, Resource
from controller.rest.client import Client
from controller.stop import Stop

#: Objects a page.
PAGE_SIZE: Final = 500


class Pager:
    """Lists one resource in one namespace or all.

    Args:
        client: Asks the API server.
        resource: What to list.
        namespace: "" for all.
        clock: For deadlines.
        label_selector: List only objects with these labels.
        field_selector: The same for fields.
        metadata_only: List no spec, status or data.
        keep: Gets each object as it arrives, and returns what is kept of it: all together, uncut,
            take several times the memory.
        beat: Called before each request and with each part of an answer.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str,
        *,
        clock: Clock,
        label_selector: str,
        field_selector: str,
        metadata_only: bool,
        keep: Callable[[Object], Object],
        beat: Callable[[], None],
    ) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._clock = clock
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._metadata_only = metadata_only
        self._keep = keep
        self._beat = beat

    def list(self, resource_version: str, stop: Stop) -> tuple[list[Object], str]:
        """Return all objects and the version they are at.

        With a version the list comes from the server's cache, which has no pages. The newest one
        has, and it is not named with the pages that follow the first. Where the server forgets it
        while they come, all objects are asked for at once.

        Args:
            resource_version: Nothing older than this one; "" for the newest.
            stop: Cuts a request that hangs.

        Raises:
            ClientError: The server refused or did not answer.
        """
        limit = 0 if resource_version else PAGE_SIZE
        objects: list[Object] = []
        token = ""
        while True:
            try:
                page = self._page(resource_version, limit, token, stop)
            except Gone:
                if not token:
                    raise
                limit, token, objects = 0, "", []
                continue
            try:
                items = [identified(obj, self._resource) for obj in page["items"] or ()]
                token = page["metadata"].get("continue", "")
                resource_version_of_list = page["metadata"]["resourceVersion"]
            except (AttributeError, KeyError, TypeError) as error:
                raise TransportError("LIST: the answer is no list") from error
            objects += map(self._keep, items)
            if not token:
                return objects, resource_version_of_list

    def _page(self, resource_version: str, limit: int, continue_token: str, stop: Stop) -> Object:
        self._beat()
        return self._client.list(
            self._resource,
            self._namespace,
            resource_version=resource_version,
            limit=limit,
            continue_token=continue_token,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            metadata_only=self._metadata_only,
            on_progress=self._beat,
            # No end of its own, which is the transport's to set.
            deadline=Deadline(self._clock, math.inf, stop),
        )


def identified(obj: Object, resource: Resource) -> Object:
    """Return an object that says what it is.

    The items of a list do not, and metadata alone says PartialObjectMetadata.

    Args:
        obj: The object as it was received; changed.
        resource: What it is.
    """
    obj["apiVersion"] = resource.api_version
    obj["kind"] = resource.kind
    return obj

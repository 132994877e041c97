"""The verbs of the API: objects as plain JSON, of any resource."""

from collections.abc import Callable, Mapping
from typing import Final

from controller.clock import Deadline
from controller.errors import TransportError
from controller.jsonvalue import decoded, encoded
from controller.resource import Object, Resource
from controller.rest.transport import (
    JSON,
    LIST_SECONDS,
    OPEN_SECONDS,
    WRITE_SECONDS,
    Call,
    Transport,
    unfenced,
)
from controller.rest.watch import WatchStream
from controller.stop import Stop

__all__ = ["Client", "Object", "Resource", "WatchStream"]

MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"
#: JSON is YAML, and the type that servers of every supported version know.
APPLY_PATCH: Final = "application/apply-patch+yaml"
#: No fallback to full objects follows: a Secret's data must not arrive where metadata was wanted.
METADATA: Final = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


class Client:
    """Reads and writes objects of any resource. Safe to share between threads.

    Every method raises `ApiError` (the subclass for the status) when the server refuses,
    `TransportError` when no answer came, `DeadlineExceeded` when the deadline given has passed, and
    `Stopped` when its stop was set. Without a deadline a request may take READ_SECONDS,
    WRITE_SECONDS or LIST_SECONDS of `controller.rest.transport`; with one, the less of both.

    Args:
        transport: The connections.
        field_manager: The owner's name for the fields this client writes.
        fence: Called right before a write is sent, on the caller's thread. What it raises is
            raised, and nothing was written. See `controller.leaderelection.fence`.
        on_write: Called with each object that a write returned, before the verb returns: the
            informers' caches show it from then on.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        field_manager: str,
        fence: Callable[[], None] = unfenced,
        on_write: Callable[[Resource, Object], None] = lambda _resource, _obj: None,
    ) -> None:
        self._transport = transport
        self._owned = {"fieldManager": field_manager}
        self._fence = fence
        self._on_write = on_write

    def get(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        subresource: str = "",
        deadline: Deadline | None = None,
    ) -> Object:
        """Return one object as the server has it now, or one of its subresources."""
        call = Call("GET", resource.path(namespace, name, subresource), deadline=deadline)
        return self._answer(call)

    def api_resources(
        self, group: str, version: str, *, deadline: Deadline | None = None
    ) -> Object:
        """Return the APIResourceList of a version of a group: which kinds it has, and their names.

        Every authenticated user may ask for it (the ClusterRole `system:discovery`).

        Args:
            group: The group; "" for the core group.
            version: The version.
            deadline: For the whole request.

        Raises:
            NotFound: The server does not serve it.
        """
        path = Resource(group, version, "", "APIResourceList").path()
        return self._answer(Call("GET", path, deadline=deadline))

    def list(
        self,
        resource: Resource,
        namespace: str,
        *,
        resource_version: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int = 0,
        continue_token: str = "",
        on_progress: Callable[[], None] | None = None,
        deadline: Deadline | None = None,
    ) -> Object:
        """Return the list object: `items`, and `metadata` with resourceVersion and continue.

        Args:
            resource: What to list.
            namespace: "" for all.
            resource_version: Nothing older than this one, from the server's cache: "0" is whatever
                that has. None or "" is the newest.
            label_selector: As on the command line.
            field_selector: As on the command line.
            metadata_only: No spec, status or data: not even sent.
            limit: Objects a page, 0 for all at once.
            continue_token: Of the page before.
            on_progress: Called with each part of the answer that arrives: a long list on a slow
                line is no hang.
            deadline: For the whole request.
        """
        query = {
            "resourceVersion": resource_version,
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "limit": limit or None,
            "continue": continue_token,
        }
        return self._answer(
            Call(
                "GET",
                resource.path(namespace),
                query=query,
                accept=METADATA_LIST if metadata_only else JSON,
                seconds=LIST_SECONDS,
                on_progress=on_progress,
                deadline=deadline,
            )
        )

    def openapi(self, resource: Resource, *, deadline: Deadline | None = None) -> Object:
        """Return the OpenAPI v3 document of a resource's group and version.

        It describes all resources that the server serves of them. Every authenticated account may
        read it (ClusterRole `system:discovery`).
        """
        root = f"apis/{resource.group}" if resource.group else "api"
        call = Call("GET", f"/openapi/v3/{root}/{resource.version}", deadline=deadline)
        return self._answer(call)

    def watch(
        self,
        resource: Resource,
        namespace: str,
        *,
        resource_version: str,
        timeout_seconds: int,
        read_timeout: float,
        send_initial_events: bool = False,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        stop: Stop | None = None,
    ) -> WatchStream:
        """Open a watch, with bookmarks.

        Args:
            resource: What to watch.
            namespace: "" for all.
            resource_version: Events after this one.
            timeout_seconds: How long the server keeps the watch open.
            read_timeout: Seconds of silence after which the connection counts as dead. With
                bookmarks the server speaks about once a minute.
            send_initial_events: Begin with the objects there are, then a bookmark with the
                annotation `k8s.io/initial-events-end`.
            label_selector: As on the command line.
            field_selector: As on the command line.
            metadata_only: No spec, status or data: not even sent.
            stop: Cuts it at once, while it is opened and later; None if nothing does.

        Returns:
            The open stream; the caller enters it as a context manager.

        Raises:
            TransportError: As for all requests; the answer did not begin within OPEN_SECONDS.
        """
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": timeout_seconds,
            "allowWatchBookmarks": "true",
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
        }
        if send_initial_events:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        call = Call(
            "GET",
            resource.path(namespace),
            query=query,
            accept=METADATA if metadata_only else JSON,
            seconds=OPEN_SECONDS,
        )
        return WatchStream(self._transport, call, read_timeout=read_timeout, stop=stop)

    def create(
        self, resource: Resource, namespace: str, body: Object, *, deadline: Deadline | None = None
    ) -> Object:
        """Create an object; `metadata.generateName` may stand for its name."""
        path = resource.path(namespace)
        call = self._call("POST", path, JSON, body, deadline=deadline, query=self._owned)
        return self._write(resource, call)

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Object,
        *,
        deadline: Deadline | None = None,
    ) -> Object:
        """Replace an object.

        With `metadata.resourceVersion` in the body, an object that changed in between is a
        `Conflict`.
        """
        path = resource.path(namespace, name)
        call = self._call("PUT", path, JSON, body, deadline=deadline, query=self._owned)
        return self._write(resource, call)

    def apply(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Object,
        *,
        deadline: Deadline | None = None,
    ) -> Object:
        """Create or change an object by server-side apply.

        Fields that another manager owns are taken from it.

        Args:
            resource: Of which kind.
            namespace: Of the object.
            name: Of the object.
            body: The fields this client owns from now on, with apiVersion, kind and name; a field
                it owned before and that is missing now is removed.
            deadline: For the whole request.

        Returns:
            The object as stored.
        """
        path = resource.path(namespace, name)
        call = self._call(
            "PATCH",
            path,
            APPLY_PATCH,
            body,
            deadline=deadline,
            query=self._owned | {"force": "true"},
        )
        return self._write(resource, call)

    def merge_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Object,
        *,
        subresource: str = "",
        deadline: Deadline | None = None,
    ) -> Object:
        """Change an object by a JSON merge patch (RFC 7386): lists are replaced, null removes.

        With `metadata.resourceVersion` in the body, an object that changed in between is a
        `Conflict`.
        """
        path = resource.path(namespace, name, subresource)
        call = self._call("PATCH", path, MERGE_PATCH, body, deadline=deadline, query=self._owned)
        return self._write(resource, call)

    def strategic_merge_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Object,
        *,
        deadline: Deadline | None = None,
    ) -> Object:
        """Change an object by a strategic merge patch: lists with a merge key are merged by it.

        Raises:
            ApiError: With the status 415 for a custom resource, which knows only `merge_patch`.
        """
        path = resource.path(namespace, name)
        call = self._call(
            "PATCH", path, STRATEGIC_MERGE_PATCH, body, deadline=deadline, query=self._owned
        )
        return self._write(resource, call)

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str = "",
        grace_seconds: int | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        """Ask for an object's deletion; its dependents are deleted after it.

        Args:
            resource: Of which kind.
            namespace: Of the object.
            name: Of the object.
            uid: Delete only this one; a successor of the same name is a `Conflict`.
            grace_seconds: None for the object's own.
            deadline: For the whole request.

        Raises:
            NotFound: It is gone already.
        """
        options: Object = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
        }
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        path = resource.path(namespace, name)
        self._answer(self._call("DELETE", path, JSON, options, deadline=deadline))

    def _write(self, resource: Resource, call: Call) -> Object:
        """Send a write, tell the caches of the object that comes back, and return that."""
        written = self._answer(call)
        self._on_write(resource, written)
        return written

    def _call(
        self,
        method: str,
        path: str,
        content_type: str,
        body: Object,
        *,
        deadline: Deadline | None,
        query: Mapping[str, str] = {},
    ) -> Call:
        return Call(
            method,
            path,
            query=query,
            body=encoded(body),
            content_type=content_type,
            seconds=WRITE_SECONDS,
            deadline=deadline,
            fence=self._fence,
        )

    def _answer(self, call: Call) -> Object:
        """Send a request and return the answer's JSON object."""
        content = self._transport.request(call)
        try:
            answer = decoded(content)
        except ValueError as error:
            raise TransportError(f"{call.description}: broken JSON: {error}") from error
        if not isinstance(answer, dict):
            raise TransportError(f"{call.description}: the answer is no JSON object")
        return answer

"""Requests to the API server: objects as plain JSON."""

from collections.abc import Callable
from typing import Final

import kubernetes.client

from controller.clock import Clock, Deadline
from controller.errors import TransportError
from controller.jsonvalue import decoded
from controller.leaderelection.fence import always_open
from controller.metrics import Metrics
from controller.resource import Object, Resource
from controller.rest.transport import JSON, Call, Transport
from controller.rest.watch import WatchStream

__all__ = ["Client", "Object", "Resource", "WatchStream"]

MERGE_PATCH: Final = "application/merge-patch+json"
#: JSON is YAML, and the type that servers of every supported version know.
APPLY_PATCH: Final = "application/apply-patch+yaml"
#: No fallback to full objects follows: a Secret's data must not arrive where metadata was wanted.
METADATA: Final = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


class Client:
    """Reads and writes objects of any resource. Safe to share between threads.

    Every method raises `ApiError` (the subclass for the status) when the server refuses,
    `TransportError` when no answer came, and `DeadlineExceeded` when the deadline given has
    passed.
    """

    def __init__(
        self,
        api_client: kubernetes.client.ApiClient,
        *,
        field_manager: str,
        clock: Clock,
        metrics: Metrics,
        fence: Callable[[], None] = always_open,
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
    ) -> None:
        """Make a client.

        Args:
            api_client: Where to connect and how to authenticate; see `controller.rest.kubeconfig`.
            field_manager: The owner's name for the fields this client writes.
            clock: Measures requests.
            metrics: Where requests are counted.
            fence: Called right before a write is sent, on the caller's thread. What it raises is
                raised, and nothing was written. See `controller.leaderelection.fence`.
            connect_timeout: Seconds until a connection must stand.
            read_timeout: Seconds the server may be silent before and in an answer.
        """
        self._transport = Transport(
            api_client,
            clock=clock,
            metrics=metrics,
            fence=fence,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
        )
        self._field_manager = field_manager

    def get(
        self, resource: Resource, namespace: str, name: str, *, deadline: Deadline | None = None
    ) -> Object:
        """Return one object as the server has it now."""
        return self._request(Call("GET", resource.path(namespace, name), deadline=deadline))

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
        on_progress: Callable[[], None] = lambda: None,
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
                line may take minutes.
            deadline: For the whole request.
        """
        query = {
            "resourceVersion": resource_version,
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "limit": limit or None,
            "continue": continue_token,
        }
        return self._request(
            Call(
                "GET",
                resource.path(namespace),
                query=query,
                accept=METADATA_LIST if metadata_only else JSON,
                on_progress=on_progress,
                deadline=deadline,
            )
        )

    def watch(
        self,
        resource: Resource,
        namespace: str,
        *,
        resource_version: str,
        timeout_seconds: int,
        read_timeout: float,
        allow_bookmarks: bool = True,
        send_initial_events: bool = False,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
    ) -> WatchStream:
        """Open a watch.

        Args:
            resource: What to watch.
            namespace: "" for all.
            resource_version: Events after this one.
            timeout_seconds: How long the server keeps the watch open.
            read_timeout: Seconds of silence after which the connection counts as dead. With
                bookmarks the server speaks about once a minute.
            allow_bookmarks: Ask for bookmarks.
            send_initial_events: Begin with the objects there are, then a bookmark with the
                annotation `k8s.io/initial-events-end`.
            label_selector: As on the command line.
            field_selector: As on the command line.
            metadata_only: No spec, status or data: not even sent.

        Returns:
            The open stream; the caller enters it as a context manager.
        """
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": timeout_seconds,
            "allowWatchBookmarks": "true" if allow_bookmarks else None,
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
        }
        if send_initial_events:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        path = resource.path(namespace)
        response = self._transport.open(
            Call(
                "GET",
                path,
                query=query,
                accept=METADATA if metadata_only else JSON,
                read_timeout=read_timeout,
            )
        )
        return WatchStream(response, f"WATCH {path}", self._transport.close_idle)

    def create(
        self, resource: Resource, namespace: str, body: Object, *, deadline: Deadline | None = None
    ) -> Object:
        """Create an object; `metadata.generateName` may stand for its name."""
        return self._request(
            Call(
                "POST",
                resource.path(namespace),
                query={"fieldManager": self._field_manager},
                body=body,
                content_type=JSON,
                deadline=deadline,
            )
        )

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
        return self._request(
            Call(
                "PUT",
                resource.path(namespace, name),
                query={"fieldManager": self._field_manager},
                body=body,
                content_type=JSON,
                deadline=deadline,
            )
        )

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
        return self._patch(APPLY_PATCH, path, body, deadline, force="true")

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
        return self._patch(MERGE_PATCH, path, body, deadline)

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
        self._request(
            Call(
                "DELETE",
                resource.path(namespace, name),
                body=options,
                content_type=JSON,
                deadline=deadline,
            )
        )

    def _patch(
        self,
        content_type: str,
        path: str,
        body: Object,
        deadline: Deadline | None,
        **query: str,
    ) -> Object:
        return self._request(
            Call(
                "PATCH",
                path,
                query={"fieldManager": self._field_manager, **query},
                body=body,
                content_type=content_type,
                deadline=deadline,
            )
        )

    def _request(self, call: Call) -> Object:
        """Send a request and return the answer's JSON object."""
        content = self._transport.read_body(self._transport.open(call), call)
        try:
            answer = decoded(content)
        except ValueError as error:
            raise TransportError(f"{call.description}: broken JSON: {error}") from error
        if not isinstance(answer, dict):
            raise TransportError(f"{call.description}: the answer is no JSON object")
        return answer

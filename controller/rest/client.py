"""Requests to the API server: objects as plain JSON, over the official client's connections.

The `kubernetes` package does authentication, TLS, proxies and the connection pool. Its generated
models are left out: they are slow and drop fields they do not know. Every request has a connect
and a read timeout. Nothing is sent twice behind the caller's back but a read on a kept-alive
connection that the server closed meanwhile. Where one connection has fallen silent, none of those
kept for later is used again.
"""

import contextlib
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

import kubernetes.client
import kubernetes.config
import structlog
import urllib3
from attrs import frozen

from controller.clock import Clock, Deadline, DeadlineExceeded
from controller.errors import TransportError, from_status
from controller.jsonvalue import decoded
from controller.leaderelection.fence import always_open
from controller.metrics import Metrics
from controller.resource import Object, Resource

__all__ = ["Client", "Object", "Resource", "WatchStream"]

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
#: JSON is YAML, and the type that servers of every supported version know.
APPLY_PATCH: Final = "application/apply-patch+yaml"
#: No fallback to full objects follows: a Secret's data must not arrive where metadata was wanted.
METADATA: Final = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"

#: The code label of a request that got no HTTP answer (client-go rest/request.go).
NO_ANSWER: Final = "<error>"

_READ_SIZE: Final = 64 * 1024
_COMPACT: Final = (",", ":")
_NO_RETRIES: Final = urllib3.Retry(total=False, redirect=False)

#: The official client's refresh hook reads a token file or runs a credential plugin, and is not
#: made for several threads at once.
_REFRESH: Final = threading.Lock()

_log = structlog.get_logger()


class WatchStream:
    """The events of one watch, as `{"type": ..., "object": ...}`.

    A context manager: leaving it gives the connection up. Iterating ends when the server ends the
    watch in good order, or when another thread calls `close`.
    """

    def __init__(
        self,
        response: urllib3.BaseHTTPResponse,
        description: str,
        on_silence: Callable[[], None],
    ) -> None:
        self._response = response
        self._description = description
        self._on_silence = on_silence
        self._closed = threading.Event()
        self._lines = self._split_lines()

    def __enter__(self) -> Self:
        """Take the stream over."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the connection up."""
        self._response.close()

    def __iter__(self) -> Iterator[Object]:
        """Return the stream itself: a loop may be left and another one goes on from there."""
        return self

    def __next__(self) -> Object:
        """Wait for the next event.

        Raises:
            StopIteration: The server ended the watch in good order, or `close` was called.
            TransportError: The connection broke, was silent for longer than the read timeout, or
                carried broken JSON.
        """
        line = next(self._lines)
        try:
            event: Object = decoded(line)
        except ValueError as error:
            raise TransportError(f"{self._description}: broken JSON: {error}") from error
        return event

    def close(self) -> None:
        """End the iteration at once, from any thread; a stream that has ended stays so."""
        self._closed.set()
        # Only the reader's own `close` may free the connection; this wakes it from its read.
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self._response.shutdown()

    def _split_lines(self) -> Iterator[bytes]:
        """Split the stream at newlines; an event may span many reads and a read many events."""
        partial: list[bytes] = []
        while chunk := self._read():
            *lines, rest = chunk.split(b"\n")
            for line in lines:
                partial.append(line)
                if complete := b"".join(partial):
                    yield complete
                partial.clear()
            partial.append(rest)
        if any(partial) and not self._closed.is_set():
            raise TransportError(f"{self._description}: the stream ended inside an event")

    def _read(self) -> bytes:
        """Return what has arrived, b"" at the end."""
        if self._closed.is_set():
            return b""
        try:
            return self._response.read1(_READ_SIZE)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if self._closed.is_set():
                return b""
            if isinstance(error, urllib3.exceptions.ReadTimeoutError):
                self._on_silence()
            raise transport_error(self._description, error) from error
        except (AttributeError, ValueError):
            # A TLS socket that another thread shuts down loses its state between two bytecodes of
            # the reader, which the ssl module answers with one of these.
            if self._closed.is_set():
                return b""
            raise


@frozen
class _Call:
    """One request, before the server's address and the credentials are added."""

    method: str
    path: str
    #: Parameters that are None or "" are left out.
    query: Mapping[str, Any] = {}
    body: Object | None = None
    content_type: str = ""
    accept: str = JSON
    #: Seconds of silence allowed, None for the client's own.
    read_timeout: float | None = None
    #: Called with each part of the answer.
    on_progress: Callable[[], None] = lambda: None
    deadline: Deadline | None = None

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"

    @property
    def description(self) -> str:
        """What an error message calls this request."""
        return f"{self.method} {self.path}"

    @property
    def target(self) -> str:
        """The path with the query."""
        query = {name: value for name, value in self.query.items() if value not in (None, "")}
        return f"{self.path}?{urlencode(query)}" if query else self.path

    @property
    def headers(self) -> dict[str, str]:
        """What the request says of its content and of the answer's."""
        content_type = {"Content-Type": self.content_type} if self.content_type else {}
        return {"Accept": self.accept, **content_type}

    def timeout(self, connect: float, read: float) -> urllib3.Timeout:
        """Return the timeouts, none longer than the deadline leaves time for."""
        read = self.read_timeout or read
        if self.deadline is None:
            return urllib3.Timeout(connect=connect, read=read)
        left = self.deadline.left()
        return urllib3.Timeout(connect=min(connect, left), read=min(read, left))

    def failure(self, error: Exception) -> TransportError | DeadlineExceeded:
        """Return what a failed transport means to the caller."""
        if self.deadline is not None and self.deadline.expired:
            return DeadlineExceeded(f"{self.description}: the deadline has passed")
        return transport_error(self.description, error)


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
        self._api_client = api_client
        # All requests go to one server: the pool of its connections is looked up once. What a proxy
        # has to be told with each request its manager knows.
        host, manager = api_client.configuration.host, api_client.rest_client.pool_manager
        self._pool: urllib3.HTTPConnectionPool | urllib3.PoolManager = manager
        # What stands before a request's path.
        self._base = host
        if manager.proxy is None:
            self._pool, self._base = manager.connection_from_url(host), urlsplit(host).path
        self._field_manager = field_manager
        self._clock = clock
        self._metrics = metrics
        self._fence = fence
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._host = host_label(api_client.configuration.host)

    def get(
        self, resource: Resource, namespace: str, name: str, *, deadline: Deadline | None = None
    ) -> Object:
        """Return one object as the server has it now."""
        return self._request(_Call("GET", resource.path(namespace, name), deadline=deadline))

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
            _Call(
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
        response = self._open(
            _Call(
                "GET",
                path,
                query=query,
                accept=METADATA if metadata_only else JSON,
                read_timeout=read_timeout,
            )
        )
        return WatchStream(response, f"WATCH {path}", self._close_idle)

    def create(
        self, resource: Resource, namespace: str, body: Object, *, deadline: Deadline | None = None
    ) -> Object:
        """Create an object; `metadata.generateName` may stand for its name."""
        return self._request(
            _Call(
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
            _Call(
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
            _Call(
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
            _Call(
                "PATCH",
                path,
                query={"fieldManager": self._field_manager, **query},
                body=body,
                content_type=content_type,
                deadline=deadline,
            )
        )

    def _request(self, call: _Call) -> Object:
        """Send a request and return the answer's JSON object."""
        content = self._read_body(self._open(call), call)
        try:
            answer = decoded(content)
        except ValueError as error:
            raise TransportError(f"{call.description}: broken JSON: {error}") from error
        if not isinstance(answer, dict):
            raise TransportError(f"{call.description}: the answer is no JSON object")
        return answer

    def _open(self, call: _Call) -> urllib3.BaseHTTPResponse:
        """Send a request and return the successful response, its body unread."""
        try:
            response = self._send(call)
        except urllib3.exceptions.HTTPError as error:
            raise self._failure(call, error) from error
        for header in response.headers.getlist("Warning"):
            # A code, who warns, and the text in quotes (controller-runtime pkg/log: the same).
            text = header.partition('"')[2].removesuffix('"')
            _log.info("warned by the API server", request=call.description, warning=text)
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            retry_after = retry_after_seconds(response.headers.get("Retry-After", ""))
            content = self._read_body(response, call)
            raise from_status(response.status, content, retry_after=retry_after)
        return response

    def _send(self, call: _Call) -> urllib3.BaseHTTPResponse:
        """Send, and once more if a read met a connection that the server had just closed.

        A kept-alive connection can be closed while the request is on its way. A read may then be
        repeated; a write may have been carried out, so its caller decides.
        """
        try:
            return self._send_once(call)
        except urllib3.exceptions.ProtocolError:
            if call.writes:
                raise
        self._metrics.rest_request_retries_total.labels(
            code=NO_ANSWER, verb=call.method, host=self._host
        ).inc()
        return self._send_once(call)

    def _send_once(self, call: _Call) -> urllib3.BaseHTTPResponse:
        """Send and count one request."""
        if call.writes:
            self._fence()
        timeout = call.timeout(self._connect_timeout, self._read_timeout)
        content = b"" if call.body is None else json.dumps(call.body, separators=_COMPACT).encode()
        length = {"Content-Length": str(len(content))} if call.writes else {}
        started = self._clock.monotonic()
        code = NO_ANSWER
        try:
            response: urllib3.BaseHTTPResponse = self._pool.urlopen(
                call.method,
                self._base + call.target,
                body=self._fenced(content) if call.writes else None,
                headers=request_headers(self._api_client) | call.headers | length,
                timeout=timeout,
                retries=_NO_RETRIES,
                redirect=False,
                preload_content=False,
            )
            code = str(response.status)
        finally:
            self._metrics.rest_requests_total.labels(
                code=code, method=call.method, host=self._host
            ).inc()
            self._metrics.rest_request_duration_seconds.labels(
                verb=call.method, host=self._host
            ).observe(self._clock.monotonic() - started)
            self._metrics.rest_request_size_bytes.labels(verb=call.method, host=self._host).observe(
                len(content)
            )
        return response

    def _failure(self, call: _Call, error: Exception) -> TransportError | DeadlineExceeded:
        """Return what a failed transport means to the caller; after silence trust no connection."""
        if isinstance(error, urllib3.exceptions.ReadTimeoutError):
            self._close_idle()
        return call.failure(error)

    def _close_idle(self) -> None:
        """Close the connections that are kept for later requests.

        What has silenced one, a load balancer or a network, has as a rule silenced all, and each
        would cost a request its whole timeout. client-go has one HTTP/2 connection for everything,
        and gives that up when it does not answer a ping.
        """
        if isinstance(self._pool, urllib3.PoolManager):
            self._pool.clear()
        elif (idle := self._pool.pool) is not None:
            with contextlib.suppress(queue.Empty):
                while True:
                    # None is a place not taken yet; an empty pool makes new connections.
                    if (connection := idle.get_nowait()) is not None:
                        connection.close()

    def _fenced(self, content: bytes) -> Iterator[bytes]:
        """Yield the body of a write, once it is certain that it may be sent.

        Between the head of a request and its body: to connect and to send the head may have taken
        seconds, and without the body the server does nothing.
        """
        self._fence()
        yield content

    def _read_body(self, response: urllib3.BaseHTTPResponse, call: _Call) -> bytes:
        chunks = []
        try:
            # What has arrived, not a full chunk of it: a line that carries a byte a second would
            # pass by the deadline.
            while chunk := response.read1(_READ_SIZE):
                chunks.append(chunk)
                call.on_progress()
                if call.deadline is not None:
                    call.deadline.check()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # DeadlineExceeded is an OSError too; `failure` makes it come out as such.
            response.close()
            raise self._failure(call, error) from error
        content = b"".join(chunks)
        self._metrics.rest_response_size_bytes.labels(verb=call.method, host=self._host).observe(
            len(content)
        )
        return content


def transport_error(description: str, error: Exception) -> TransportError:
    """Return the error for a request that got no answer, or half of one.

    Args:
        description: Method and path.
        error: What urllib3, ssl or the socket raised.
    """
    return TransportError(f"{description}: {error}", refused=_was_refused(error))


def _was_refused(error: BaseException | None) -> bool:
    """Look for a refused connection among the causes: urllib3 wraps it once or twice."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError):
            return True
        error = error.__cause__ or error.__context__
    return False


def retry_after_seconds(header: str) -> float | None:
    """Read a Retry-After header in seconds; the API server sends no dates.

    Args:
        header: Its value, "" if there is none.
    """
    try:
        return max(0.0, float(header))
    except ValueError:
        return None


def host_label(url: str) -> str:
    """Return host and port of a URL, for a metric: never the user and password it may hold."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{host}:{parts.port}" if parts.port else host


def request_headers(api_client: kubernetes.client.ApiClient) -> dict[str, str]:
    """Return the headers that every request carries: who asks, and the credentials.

    The token is read anew when it is due: a service account token is replaced on disk within the
    hour, and the official client's hook looks once a minute.

    Raises:
        TransportError: The credentials cannot be read now; a later request may find them.
    """
    headers: dict[str, str] = dict(api_client.default_headers)
    try:
        with _REFRESH:
            api_client.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
    except (OSError, kubernetes.config.ConfigException) as error:
        raise TransportError(f"the credentials cannot be renewed: {error}") from error
    return headers

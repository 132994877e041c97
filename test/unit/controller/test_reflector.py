"""The reflector against an API server that misbehaves: each test is a script of answers.

What is asserted is what reaches the sink and what was asked of the server, both in full: a request
too many is a failure as well.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry

from controller.cache.backoff import Backoff, RetryWindow
from controller.cache.reflector import Reflector
from controller.metrics import Metrics
from controller.resource import Object
from controller.rest.client import Client, Resource
from controller.stop import Stop
from fakes import apiserver
from fakes.apiserver import (
    FakeApiServer,
    added,
    bookmark,
    deleted,
    error_event,
    event,
    initial_events_end,
    modified,
    pod,
    pod_list,
    watch,
)
from fakes.clock import STUCK_AFTER, FakeClock, InstantClock

PODS = Resource("", "v1", "pods", "Pod")


class Mirror:
    """A sink that writes down what it is told, as "add name@version"."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._told: list[str] = []
        self.objects: list[Object] = []
        self.complete_up_to: list[str] = []

    def add(self, obj: Object) -> None:
        self._tell("add", obj)

    def update(self, obj: Object) -> None:
        self._tell("update", obj)

    def delete(self, obj: Object) -> None:
        self._tell("delete", obj)

    def replace(self, objects: list[Object], resource_version: str) -> None:
        self._tell("replace", *objects)
        self.complete_up_to = [resource_version]

    def bookmark(self, resource_version: str) -> None:
        self.complete_up_to.append(resource_version)

    def wait_until_told(self, *expected: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._told) >= len(expected), STUCK_AFTER)
            assert self._told == list(expected)

    def _tell(self, what: str, *objects: Object) -> None:
        names = [f"{o['metadata']['name']}@{o['metadata']['resourceVersion']}" for o in objects]
        with self._changed:
            self._told.append(" ".join([what, *names]))
            self.objects.extend(objects)
            self._changed.notify_all()


@contextmanager
def reflecting(
    server: FakeApiServer,
    mirror: Mirror,
    clock: FakeClock,
    *,
    metadata_only: bool = False,
    keep: Callable[[Object], Object] = lambda obj: obj,
    on_contact: Callable[[], None] = lambda: None,
    beat: Callable[[], None] = lambda: None,
    read_timeout: float = 2 * STUCK_AFTER,
    metrics: Metrics | None = None,
) -> Iterator[None]:
    """Run a reflector; it must end when told to, before its watch counts as silent."""
    metrics = metrics or Metrics(CollectorRegistry())
    client = Client(server.transport(metrics), field_manager="tester")
    reflector = Reflector(
        client,
        PODS,
        "ns",
        mirror,
        clock=clock,
        metrics=metrics,
        metadata_only=metadata_only,
        keep=keep,
        on_contact=on_contact,
        beat=beat,
        uniform=lambda low, _high: low,
        read_timeout=read_timeout,
    )
    stop = Stop()
    thread = threading.Thread(target=reflector.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STUCK_AFTER)
    assert not thread.is_alive(), "the reflector did not stop in time"


def asked(server: FakeApiServer, count: int) -> list[str]:
    """Return the requests once there are that many: "stream", "list" or "watch" and a version."""
    told = []
    for request in server.wait_for_requests(count):
        version = request.query.get("resourceVersion", "")
        if request.query.get("sendInitialEvents"):
            told.append(f"stream from {version or 'now'}")
        elif request.query.get("watch"):
            told.append(f"watch from {version}")
        else:
            told.append(f"list at {version or 'now'}")
    return told


def streamed(*later: Object, end: apiserver.End = "silent") -> apiserver.Answer:
    """Stream one object "a" up to version 5, then what comes later."""
    return watch(added("a", 1), initial_events_end(5), *later, end=end)


SILENT = watch(end="silent")


def test_a_streaming_list_goes_over_into_the_watch() -> None:
    script = watch(
        added("a", 1),
        added("b", 2),
        initial_events_end(5),
        modified("a", 6),
        deleted("b", 7),
        added("c", 8),
        end="silent",
    )
    mirror = Mirror()
    with FakeApiServer(script) as server, reflecting(server, mirror, InstantClock()):
        mirror.wait_until_told("replace a@1 b@2", "update a@6", "delete b@7", "add c@8")

        assert asked(server, 1) == ["stream from now"]
        assert server.requests[0].query["timeoutSeconds"] == "300"
        assert server.requests[0].query["allowWatchBookmarks"] == "true"


def test_changes_during_the_initial_events_are_folded_in() -> None:
    script = watch(
        added("a", 1),
        added("b", 2),
        modified("a", 3),
        deleted("b", 4),
        initial_events_end(5),
        end="silent",
    )
    mirror = Mirror()
    with FakeApiServer(script) as server, reflecting(server, mirror, InstantClock()):
        mirror.wait_until_told("replace a@3")


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(
            [watch(added("a", 1), initial_events_end(5), modified("a", 6), end="silent")],
            id="of a stream and of a watch",
        ),
        pytest.param(
            [
                apiserver.failure(400, "BadRequest"),
                apiserver.ok(pod_list([pod("a", 1)], 5)),
                watch(modified("a", 6), end="silent"),
            ],
            id="of a list and of a watch",
        ),
    ],
)
def test_the_sink_gets_what_is_kept_of_each_object(script: list[apiserver.Answer]) -> None:
    def keep(obj: Object) -> Object:
        return {"metadata": obj["metadata"]}

    mirror = Mirror()
    with FakeApiServer(*script) as server, reflecting(server, mirror, InstantClock(), keep=keep):
        mirror.wait_until_told("replace a@1", "update a@6")

    assert [list(obj) for obj in mirror.objects] == [["metadata"], ["metadata"]]


@pytest.mark.parametrize(
    "refusals",
    [
        pytest.param([apiserver.failure(422, "Invalid")], id="the feature is off (1.29 to 1.31)"),
        pytest.param([apiserver.failure(400, "BadRequest")], id="the parameter is unknown"),
        pytest.param([apiserver.failure(403, "Forbidden")], id="a Role may list but not watch"),
        pytest.param([apiserver.failure(500, "InternalError")], id="an internal error"),
        pytest.param([apiserver.dropped, apiserver.dropped], id="the connection breaks at once"),
        pytest.param([watch(added("a", 1))], id="the stream ends before the end bookmark"),
        pytest.param([watch(added("a", 1), end="cut")], id="the stream is cut half-way"),
        pytest.param([watch(added("a", 1), end="truncated")], id="the stream ends in an object"),
        pytest.param([watch(added("a", 1), end="silent")], id="the end bookmark never comes"),
        pytest.param([watch(error_event(500, "InternalError"))], id="an ERROR event"),
        pytest.param([watch({"type": "ADDED"}, end="silent")], id="an event without an object"),
        pytest.param([watch(event("ADDED", {}), end="silent")], id="an object without metadata"),
        pytest.param([apiserver.answer(200, b"<html>")], id="a page of a proxy"),
    ],
)
def test_without_a_streaming_list_a_list_must_do(refusals: list[apiserver.Answer]) -> None:
    script = [*refusals, apiserver.ok(pod_list([pod("a", 1)], 5)), SILENT]
    mirror = Mirror()
    with (
        FakeApiServer(*script) as server,
        reflecting(server, mirror, InstantClock(), read_timeout=1.0),
    ):
        mirror.wait_until_told("replace a@1")

        refused = ["stream from now"] * len(refusals)
        requests = asked(server, len(script))[: len(script)]
        assert requests == [*refused, "list at 0", "watch from 5"]


def test_a_server_that_ignores_the_streaming_parameter_is_found_by_its_bookmarks() -> None:
    given_up = threading.Event()

    def ignoring(handler: apiserver.Handler) -> None:
        watch(added("a", 1), bookmark(4), bookmark(5), end="open")(handler)
        handler.wait_until_closed()
        given_up.set()

    script = [ignoring, apiserver.ok(pod_list([pod("a", 1)], 5)), SILENT]
    clock = InstantClock()
    mirror = Mirror()
    # Each time the server is heard, 20 s have passed: the second bookmark is 40 s after the object.
    with (
        FakeApiServer(*script) as server,
        reflecting(server, mirror, clock, on_contact=lambda: clock.step(20)),
    ):
        mirror.wait_until_told("replace a@1")

        assert asked(server, 3) == ["stream from now", "list at 0", "watch from 5"]
        assert given_up.wait(STUCK_AFTER), "the connection of the stream was kept"


def test_a_long_stream_is_not_given_up_while_objects_come() -> None:
    objects = [added("a", 1), added("b", 2), added("c", 3)]
    script = watch(*objects, bookmark(4), initial_events_end(5), end="silent")
    clock = InstantClock()
    mirror = Mirror()
    with (
        FakeApiServer(script) as server,
        reflecting(server, mirror, clock, on_contact=lambda: clock.step(20)),
    ):
        mirror.wait_until_told("replace a@1 b@2 c@3")


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("clean", id="the server's timeout"),
        pytest.param("cut", id="cut between events"),
        pytest.param("truncated", id="cut in mid-object"),
        pytest.param("silent", id="half-open"),
    ],
)
def test_a_watch_that_ends_is_opened_again_where_it_was(end: apiserver.End) -> None:
    script = [streamed(modified("a", 7), end=end), watch(modified("a", 8), end="silent")]
    clock = InstantClock()
    mirror = Mirror()
    with (
        FakeApiServer(*script) as server,
        reflecting(server, mirror, clock, read_timeout=1.0),
    ):
        mirror.wait_until_told("replace a@1", "update a@7", "update a@8")

        assert asked(server, 2)[:2] == ["stream from now", "watch from 7"]
        assert clock.pauses == []


def test_the_sink_learns_up_to_which_version_it_is_complete() -> None:
    script = streamed(modified("a", 6), bookmark(9), added("end", 10))
    mirror = Mirror()
    with FakeApiServer(script) as server, reflecting(server, mirror, InstantClock()):
        mirror.wait_until_told("replace a@1", "update a@6", "add end@10")

        assert mirror.complete_up_to[:3] == ["5", "6", "9"]


def test_a_bookmark_moves_the_version_on() -> None:
    script = [streamed(bookmark(9), end="clean"), SILENT]
    with FakeApiServer(*script) as server, reflecting(server, Mirror(), InstantClock()):
        assert asked(server, 2) == ["stream from now", "watch from 9"]


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(apiserver.failure(410, "Gone"), id="as HTTP status"),
        pytest.param(apiserver.failure(410, "Expired"), id="as HTTP status of newer servers"),
        pytest.param(watch(error_event(410, "Expired")), id="as ERROR event"),
    ],
)
def test_after_a_410_the_state_is_fetched_anew(gone: apiserver.Answer) -> None:
    script = [
        streamed(added("b", 6), end="clean"),
        gone,
        watch(added("a", 1), initial_events_end(20), end="silent"),
    ]
    clock = InstantClock()
    mirror = Mirror()
    with FakeApiServer(*script) as server, reflecting(server, mirror, clock):
        mirror.wait_until_told("replace a@1", "add b@6", "replace a@1")

        # Not older than what the sink has, as time must not run backwards.
        assert asked(server, 3) == ["stream from now", "watch from 6", "stream from 6"]
        assert clock.pauses == [0.8]


def test_a_version_that_is_gone_for_the_stream_too_is_given_up() -> None:
    gone = watch(error_event(410, "Expired"))
    script = [
        streamed(added("b", 6), end="clean"),
        gone,
        gone,
        watch(added("a", 1), initial_events_end(20), added("c", 21)),
        gone,
        streamed(),
    ]
    mirror = Mirror()
    with FakeApiServer(*script) as server, reflecting(server, mirror, InstantClock()):
        mirror.wait_until_told("replace a@1", "add b@6", "replace a@1", "add c@21", "replace a@1")

        assert asked(server, 6)[2:4] == ["stream from 6", "stream from now"]
        # What the server then gave is good to go on from.
        assert asked(server, 6)[4:] == ["watch from 21", "stream from 21"]


@pytest.mark.parametrize(
    "unavailable",
    [
        pytest.param(apiserver.failure(410, "Expired"), id="too old"),
        pytest.param(
            apiserver.failure(504, "Timeout", "ResourceVersionTooLarge"),
            id="too new: another server is behind, or etcd was restored",
        ),
    ],
)
def test_a_list_at_a_version_nobody_has_becomes_one_of_the_newest(
    unavailable: apiserver.Answer,
) -> None:
    refused = apiserver.failure(422, "Invalid")
    script = [
        refused,
        apiserver.ok(pod_list([pod("a", 1)], 5)),
        apiserver.failure(410, "Expired"),
        refused,
        unavailable,
        apiserver.ok(pod_list([pod("b", 1)], 3)),
        SILENT,
    ]
    mirror = Mirror()
    with FakeApiServer(*script) as server, reflecting(server, mirror, InstantClock()):
        mirror.wait_until_told("replace a@1", "replace b@1")

        assert asked(server, 7)[3:] == [
            "stream from 5",
            "list at 5",
            "list at now",
            "watch from 3",
        ]


def test_a_stream_from_a_version_that_is_too_new_asks_for_the_newest() -> None:
    script = [
        streamed(modified("a", 6), end="clean"),
        apiserver.failure(410, "Expired"),
        apiserver.failure(504, "Timeout", "ResourceVersionTooLarge"),
        watch(added("a", 1), initial_events_end(3), end="silent"),
    ]
    mirror = Mirror()
    with FakeApiServer(*script) as server, reflecting(server, mirror, InstantClock()):
        mirror.wait_until_told("replace a@1", "update a@6", "replace a@1")

        assert asked(server, 4)[2:] == ["stream from 6", "stream from now"]


def test_the_newest_state_is_listed_in_pages() -> None:
    gone = apiserver.failure(410, "Expired")
    script = [
        apiserver.failure(422, "Invalid"),
        gone,
        apiserver.ok(pod_list([pod("a", 1)], 5, continue_token="more")),
        apiserver.ok(pod_list([pod("b", 2)], 5)),
        SILENT,
    ]
    mirror = Mirror()
    with FakeApiServer(*script) as server, reflecting(server, mirror, InstantClock()):
        mirror.wait_until_told("replace a@1 b@2")

        asked(server, 5)
        pages = [request.query for request in server.requests[2:4]]
        assert pages == [{"limit": "500"}, {"limit": "500", "continue": "more"}]


def test_pages_that_come_too_slowly_become_one() -> None:
    script = [
        apiserver.failure(422, "Invalid"),
        apiserver.failure(410, "Expired"),
        apiserver.ok(pod_list([pod("a", 1)], 5, continue_token="more")),
        apiserver.failure(410, "Expired"),
        apiserver.ok(pod_list([pod("a", 1), pod("b", 2)], 6)),
        SILENT,
    ]
    mirror = Mirror()
    with FakeApiServer(*script) as server, reflecting(server, mirror, InstantClock()):
        mirror.wait_until_told("replace a@1 b@2")

        assert server.requests[4].query == {}


def test_a_list_that_takes_long_to_arrive_is_a_sign_of_life_with_each_part() -> None:
    """Without it the liveness probe would end the process, and its successor again."""
    content = json.dumps(pod_list([pod("a", 1)], 5)).encode()
    beats = threading.Semaphore(0)
    alive = []

    def slow_list(handler: apiserver.Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.send_chunk(content[:20])
        # One before each request, and one for what has arrived.
        alive.append(all(beats.acquire(timeout=STUCK_AFTER) for _ in range(3)))
        handler.send_chunk(content[20:])
        handler.send_chunk(b"")

    mirror = Mirror()
    script = [apiserver.failure(422, "Invalid"), slow_list, SILENT]
    with (
        FakeApiServer(*script) as server,
        reflecting(server, mirror, InstantClock(), beat=beats.release),
    ):
        mirror.wait_until_told("replace a@1")

    assert alive == [True]


def test_429_waits_as_long_as_the_server_asks_and_does_not_relist() -> None:
    busy = apiserver.failure(429, "TooManyRequests", Retry_After="20")
    script = [streamed(modified("a", 7), end="clean"), busy, busy, SILENT]
    clock = InstantClock()
    with FakeApiServer(*script) as server, reflecting(server, Mirror(), clock):
        assert asked(server, 4)[1:] == ["watch from 7"] * 3
        assert clock.pauses == [20.0, 20.0]


def test_an_hour_that_a_proxy_asks_for_is_cut_to_a_minute() -> None:
    clock = InstantClock()
    busy = apiserver.failure(429, "TooManyRequests", Retry_After="3600")
    with FakeApiServer(busy, streamed()) as server, reflecting(server, Mirror(), clock):
        server.wait_for_requests(2)

        assert clock.pauses == [60.0]


def test_429_as_an_event_does_not_relist_either() -> None:
    script = [
        streamed(modified("a", 7), end="clean"),
        watch(error_event(429, "TooManyRequests")),
        SILENT,
    ]
    clock = InstantClock()
    with FakeApiServer(*script) as server, reflecting(server, Mirror(), clock):
        assert asked(server, 3)[1:] == ["watch from 7", "watch from 7"]
        assert clock.pauses == [0.8]


def test_429_on_the_first_stream_is_waited_out() -> None:
    busy = apiserver.failure(429, "TooManyRequests")
    clock = InstantClock()
    mirror = Mirror()
    with FakeApiServer(busy, streamed()) as server, reflecting(server, mirror, clock):
        mirror.wait_until_told("replace a@1")

        assert asked(server, 2) == ["stream from now", "stream from now"]
        assert clock.pauses == [0.8]


def test_a_server_that_restarts_is_waited_for_without_a_relist() -> None:
    clock = InstantClock()
    mirror = Mirror()
    with FakeApiServer() as server:

        def go_down(handler: apiserver.Handler) -> None:
            server.stop_listening()
            streamed(modified("a", 7), end="cut")(handler)

        server.expect(go_down, watch(modified("a", 8), end="silent"))
        with reflecting(server, mirror, clock):
            mirror.wait_until_told("replace a@1", "update a@7")
            clock.wait_for_pauses(5)
            server.listen_again()
            mirror.wait_until_told("replace a@1", "update a@7", "update a@8")

        assert asked(server, 2) == ["stream from now", "watch from 7"]
        # Not ever longer: nobody is there whom a request would cost something.
        assert clock.pauses[:5] == [0.8, 1.6, 3.2, 5.0, 5.0]


def test_an_internal_error_is_put_up_with_for_half_a_minute() -> None:
    broken = watch(error_event(500, "InternalError"))
    script = [streamed(modified("a", 7), end="clean"), *[broken] * 7, streamed()]
    clock = InstantClock()
    mirror = Mirror()
    with FakeApiServer(*script) as server, reflecting(server, mirror, clock):
        mirror.wait_until_told("replace a@1", "update a@7", "replace a@1")

        assert asked(server, 9)[1:] == ["watch from 7"] * 7 + ["stream from 7"]
        # The first error is at 0 s; the seventh, at 50.4 s, is too much.
        assert clock.pauses == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]


def test_another_error_of_a_watch_fetches_the_state_anew() -> None:
    script = [
        streamed(modified("a", 7), end="clean"),
        watch(error_event(403, "Forbidden")),
        streamed(),
    ]
    mirror = Mirror()
    with FakeApiServer(*script) as server, reflecting(server, mirror, InstantClock()):
        mirror.wait_until_told("replace a@1", "update a@7", "replace a@1")

        assert asked(server, 3)[1:] == ["watch from 7", "stream from 7"]


@pytest.mark.parametrize(
    "end", [pytest.param("clean", id="in good order"), pytest.param("cut", id="cut")]
)
def test_a_watch_that_ends_at_once_is_a_failure(end: apiserver.End) -> None:
    script = [streamed(modified("a", 7), end="clean"), watch(end=end), streamed()]
    clock = InstantClock()
    mirror = Mirror()
    with FakeApiServer(*script) as server, reflecting(server, mirror, clock):
        mirror.wait_until_told("replace a@1", "update a@7", "replace a@1")

        assert asked(server, 3)[1:] == ["watch from 7", "stream from 7"]
        assert clock.pauses == [0.8]


def test_a_failing_list_is_tried_again_with_growing_pauses() -> None:
    refused = apiserver.failure(422, "Invalid")
    broken = [
        apiserver.failure(500, "InternalError"),
        apiserver.answer(200, b'{"items": ['),
        apiserver.ok({"kind": "PodList"}),
        apiserver.failure(403, "Forbidden"),
    ]
    script = [answer for failure in broken for answer in (refused, failure)]
    clock = InstantClock()
    mirror = Mirror()
    with FakeApiServer(*script, streamed()) as server, reflecting(server, mirror, clock):
        mirror.wait_until_told("replace a@1")

        assert clock.pauses == [0.8, 1.6, 3.2, 6.4]


def test_an_event_of_an_unknown_type_is_passed_over() -> None:
    script = streamed(event("TELEPORTED", pod("a", 6)), modified("a", 7))
    mirror = Mirror()
    with FakeApiServer(script) as server, reflecting(server, mirror, InstantClock()):
        mirror.wait_until_told("replace a@1", "update a@7")


def test_a_watch_from_no_particular_version_takes_none_from_its_first_objects() -> None:
    script = [
        apiserver.failure(422, "Invalid"),
        apiserver.ok(pod_list([], 0)),
        watch(added("new", 9), added("old", 3)),
        watch(added("new", 9), modified("old", 12)),
        SILENT,
    ]
    with FakeApiServer(*script) as server, reflecting(server, Mirror(), InstantClock()):
        assert asked(server, 5)[2:] == ["watch from 0", "watch from 0", "watch from 12"]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(
            [apiserver.failure(422, "Invalid"), apiserver.ok(pod_list([pod("a", 1)], 5)), SILENT],
            id="listed",
        ),
        pytest.param([streamed()], id="streamed"),
    ],
)
def test_objects_say_what_they_are(script: list[apiserver.Answer]) -> None:
    mirror = Mirror()
    with (
        FakeApiServer(*script) as server,
        reflecting(server, mirror, InstantClock(), metadata_only=True),
    ):
        mirror.wait_until_told("replace a@1")

        assert {(obj["apiVersion"], obj["kind"]) for obj in mirror.objects} == {("v1", "Pod")}
        assert all(
            "PartialObjectMetadata" in request.headers["accept"] for request in server.requests
        )


def test_relists_are_counted() -> None:
    registry = CollectorRegistry()
    script = [streamed(end="clean"), apiserver.failure(410), streamed()]
    mirror = Mirror()
    with (
        FakeApiServer(*script) as server,
        reflecting(server, mirror, InstantClock(), metrics=Metrics(registry)),
    ):
        mirror.wait_until_told("replace a@1", "replace a@1")

    relists = registry.get_sample_value("informer_relists_total", {"resource": "pods"})
    assert relists == 2


def test_stopping_ends_a_pause() -> None:
    clock = FakeClock()
    with (
        FakeApiServer(apiserver.failure(429)) as server,
        reflecting(server, Mirror(), clock),
    ):
        clock.block_until_waiters(1)


def test_the_server_is_heard_with_every_event_and_bookmark() -> None:
    heard = threading.Semaphore(0)
    script = streamed(modified("a", 6), bookmark(7))
    with (
        FakeApiServer(script) as server,
        reflecting(server, Mirror(), InstantClock(), on_contact=heard.release),
    ):
        # Opened, added, end of the initial events, replaced, modified, bookmark.
        for _ in range(6):
            assert heard.acquire(timeout=STUCK_AFTER)
        assert not heard.acquire(blocking=False)


def test_pauses_double_up_to_the_cap_and_start_over_after_two_quiet_minutes() -> None:
    clock = FakeClock()
    backoff = Backoff(clock, lambda low, _high: low)

    pauses = [backoff.next_pause() for _ in range(8)]
    clock.step(121)

    assert pauses == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    assert backoff.next_pause() == 0.8


def test_pauses_are_spread_up_to_twice_their_length() -> None:
    assert Backoff(FakeClock(), lambda _low, high: high).next_pause() == 1.6


def test_a_retry_window_starts_over_after_a_quiet_minute() -> None:
    clock = FakeClock()
    window = RetryWindow(clock)

    answers = []
    for seconds in (0, 20, 20, 60):
        clock.step(seconds)
        answers.append(window.still_open())

    assert answers == [True, True, False, True]

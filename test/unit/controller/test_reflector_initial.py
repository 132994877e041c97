"""How a reflector gets the initial state: by a stream, or by a list, in pages.

What is asserted is what reaches the sink and what was asked of the server, both in full: a request
too many is a failure as well.
"""

import json
import threading

import pytest

from controller.resource import Object
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
from fakes.clock import STUCK_AFTER, InstantClock
from fakes.reflecting import SILENT, Mirror, asked, reflecting, streamed


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

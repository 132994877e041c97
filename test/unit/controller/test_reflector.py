"""The reflector against an API server that misbehaves: each test is a script of answers.

What is asserted is what reaches the sink and what was asked of the server, both in full: a request
too many is a failure as well.
"""

import threading

import pytest
from prometheus_client import CollectorRegistry

from controller.metrics import Metrics
from fakes import apiserver
from fakes.apiserver import (
    FakeApiServer,
    added,
    bookmark,
    error_event,
    event,
    initial_events_end,
    modified,
    pod,
    pod_list,
    watch,
)
from fakes.clock import STUCK_AFTER, FakeClock, InstantClock
from fakes.reflecting import SILENT, Mirror, asked, reflecting, streamed


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("clean", id="the server's timeout"),
        pytest.param("cut", id="cut between events"),
        pytest.param("truncated", id="cut in mid-object"),
    ],
)
def test_a_watch_that_ends_is_opened_again_where_it_was(end: apiserver.End) -> None:
    script = [streamed(modified("a", 7), end=end), watch(modified("a", 8), end="silent")]
    clock = InstantClock()
    mirror = Mirror()
    with FakeApiServer(*script) as server, reflecting(server, mirror, clock):
        mirror.wait_until_told("replace a@1", "update a@7", "update a@8")

        assert asked(server, 2) == ["stream from now", "watch from 7"]
        assert clock.pauses == []


def test_a_watch_that_falls_silent_is_opened_again_where_it_was() -> None:
    """Its connection is half-open."""
    given_up = threading.Event()

    def fall_silent(handler: apiserver.Handler) -> None:
        streamed(modified("a", 7), end="open")(handler)
        handler.wait_until_closed()
        given_up.set()

    clock, transport_clock = InstantClock(), FakeClock()
    mirror = Mirror()
    with (
        FakeApiServer(fall_silent, watch(modified("a", 8), end="silent")) as server,
        reflecting(server, mirror, clock, read_timeout=1.0, transport_clock=transport_clock),
    ):
        mirror.wait_until_told("replace a@1", "update a@7")
        transport_clock.step_until(given_up.is_set)
        mirror.wait_until_told("replace a@1", "update a@7", "update a@8")

        assert asked(server, 2) == ["stream from now", "watch from 7"]
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

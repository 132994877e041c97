"""What a reflector does when the API server fails: how long it waits, and what it asks then.

What is asserted is what reaches the sink and what was asked of the server, both in full: a request
too many is a failure as well.
"""

import pytest
from structlog.typing import EventDict

from fakes import apiserver
from fakes.apiserver import (
    FakeApiServer,
    error_event,
    modified,
    watch,
)
from fakes.clock import InstantClock
from fakes.reflecting import SILENT, Mirror, asked, reflecting, streamed


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


def test_why_the_initial_state_is_waited_for_is_logged_once(logged: list[EventDict]) -> None:
    """An API server that is down at the start is all that whoever reads the log has to know."""
    clock = InstantClock()
    mirror = Mirror()
    with FakeApiServer(streamed()) as server:
        server.stop_listening()
        with reflecting(server, mirror, clock):
            clock.wait_for_pauses(5)
            server.listen_again()
            mirror.wait_until_told("replace a@1")

    (line,) = [one for one in logged if "refused" in one.get("error", "")]
    assert (line["event"], line["resource"]) == ("no list yet, trying again", "pods")

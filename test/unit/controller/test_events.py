"""Events: what is written, how repeats are counted, and what happens without an API server."""

from __future__ import annotations

import re
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from controller.clock import DeadlineExceeded
from controller.errors import AlreadyExists, Forbidden, NotFound, TransportError
from controller.events import (
    FINISH_SECONDS,
    FLUSH_SECONDS,
    QUEUE_LENGTH,
    RETRY_SECONDS,
    SPAM_BURST,
    TRIES,
    TRY_SECONDS,
    EventRecorder,
)
from controller.stop import Stop
from fakes.clock import STUCK_AFTER, FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.clock import Deadline
    from controller.resource import Object, Resource

SERVER = {
    "apiVersion": "cr.kanister.io/v1alpha1",
    "kind": "RepositoryServer",
    "metadata": {"namespace": "backup", "name": "files", "uid": "u1", "resourceVersion": "7"},
    "spec": {},
}


@define
class FakeClient:
    """Keeps what is written; `failures` are raised first, one a request."""

    created: list[Object] = field(factory=list)
    patched: list[tuple[str, Object]] = field(factory=list)
    failures: list[Exception] = field(factory=list)
    requests: int = 0
    #: Seconds that each request was given.
    allowed: list[float] = field(factory=list)
    changed: threading.Condition = field(factory=threading.Condition)

    def create(
        self, resource: Resource, namespace: str, body: Object, *, deadline: Deadline
    ) -> Object:
        self._request(deadline)
        with self.changed:
            self.created.append(body)
            self.changed.notify_all()
        return body

    def merge_patch(
        self, resource: Resource, namespace: str, name: str, body: Object, *, deadline: Deadline
    ) -> Object:
        self._request(deadline)
        with self.changed:
            self.patched.append((name, body))
            self.changed.notify_all()
        return body

    def wait(self, *, created: int = 0, patched: int = 0, requests: int = 0) -> None:
        def reached() -> bool:
            seen = (len(self.created), len(self.patched), self.requests)
            return all(map(int.__ge__, seen, (created, patched, requests)))

        with self.changed:
            assert self.changed.wait_for(reached, STUCK_AFTER)

    def wait_for_one_about(self, name: str) -> None:
        def told() -> bool:
            return any(event["regarding"]["name"] == name for event in self.created)

        with self.changed:
            assert self.changed.wait_for(told, STUCK_AFTER)

    def _request(self, deadline: Deadline) -> None:
        with self.changed:
            self.requests += 1
            self.allowed.append(deadline.remaining())
            self.changed.notify_all()
        if self.failures:
            raise self.failures.pop(0)


class Delivery:
    """A recorder whose thread runs."""

    def __init__(self) -> None:
        self.client = FakeClient()
        self.clock = FakeClock()
        self.recorder = EventRecorder(
            self.client,  # type: ignore[arg-type]  # the fake has what is called
            component="test-controller",
            clock=self.clock,
        )
        self.stop = Stop()
        self.thread = threading.Thread(target=self.recorder.run, args=(self.stop,))

    def start(self) -> None:
        self.thread.start()

    def finish(self) -> None:
        self.stop.set()
        if self.thread.is_alive():
            self.thread.join(STUCK_AFTER)
        assert not self.thread.is_alive()

    def tell(self, note: str = "all is well", reason: str = "Ready", **change: Any) -> None:
        obj = {**SERVER, **change}
        self.recorder.event(obj, "Normal", reason, note, "Reconcile")


@pytest.fixture
def delivery() -> Iterator[Delivery]:
    made = Delivery()
    yield made
    made.finish()


def test_an_event_is_about_its_object(delivery: Delivery) -> None:
    delivery.start()
    delivery.tell()
    delivery.client.wait(created=1)

    (event,) = delivery.client.created
    assert event["metadata"]["name"].startswith("files.")
    assert event["metadata"]["namespace"] == "backup"
    assert event["regarding"] == {
        "apiVersion": "cr.kanister.io/v1alpha1",
        "kind": "RepositoryServer",
        "namespace": "backup",
        "name": "files",
        "uid": "u1",
    }
    assert (event["type"], event["reason"], event["action"], event["note"]) == (
        "Normal",
        "Ready",
        "Reconcile",
        "all is well",
    )
    assert event["eventTime"] == "2026-01-01T00:00:00.000000Z"
    assert event["reportingController"] == "test-controller"
    assert event["reportingInstance"].startswith("test-controller-")


def test_an_event_about_a_cluster_scoped_object_is_in_the_default_namespace(
    delivery: Delivery,
) -> None:
    delivery.start()
    delivery.tell(metadata={"name": "node-1", "uid": "u9"})
    delivery.tell(metadata={"name": "node-1", "uid": "u9"})
    delivery.client.wait(created=1, patched=1)

    (event,) = delivery.client.created
    assert event["metadata"]["namespace"] == "default"
    assert event["regarding"]["namespace"] == ""
    assert event["regarding"]["name"] == "node-1"


def test_repeats_are_one_event_with_a_count(delivery: Delivery) -> None:
    for _ in range(100):
        delivery.tell()
    delivery.start()
    delivery.client.wait(created=1, patched=1)
    delivery.finish()

    (event,) = delivery.client.created
    assert [body["series"]["count"] for _, body in delivery.client.patched] == [2, 100]
    assert {name for name, _ in delivery.client.patched} == {event["metadata"]["name"]}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"note": "other"}, id="another note"),
        pytest.param({"reason": "Other"}, id="another reason"),
        pytest.param(
            {"metadata": {"namespace": "backup", "name": "files", "uid": "u2"}},
            id="another object of the same name",
        ),
    ],
)
def test_what_differs_is_an_event_of_its_own(delivery: Delivery, change: dict[str, Any]) -> None:
    delivery.start()
    delivery.tell()
    delivery.tell(**change)

    delivery.client.wait(created=2)
    names = {event["metadata"]["name"] for event in delivery.client.created}
    assert len(names) == 2
    assert delivery.client.patched == []


def test_a_repeat_of_an_event_that_is_gone_creates_it_again(delivery: Delivery) -> None:
    """The API server forgets events, and users delete them."""
    delivery.start()
    delivery.tell()
    delivery.client.wait(created=1)
    delivery.client.failures = [NotFound(404, "NotFound", "no such event")]

    delivery.tell()

    delivery.client.wait(created=2)
    first, again = delivery.client.created
    series = {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}
    assert again == {**first, "series": series}


def test_who_reads_events_sees_a_repeat_of_a_minute_ago(delivery: Delivery) -> None:
    delivery.start()
    for _ in range(3):
        delivery.tell()
    delivery.client.wait(patched=1)
    delivery.clock.step(1)
    delivery.tell()
    # Another event shows that the thread has been round.
    delivery.tell(reason="Other")
    delivery.client.wait(created=2)
    assert len(delivery.client.patched) == 1

    delivery.clock.step(60)

    delivery.client.wait(patched=2)
    series = {"count": 4, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}
    assert delivery.client.patched[-1][1] == {"series": series}


def test_a_repeat_long_after_is_a_new_event(delivery: Delivery) -> None:
    delivery.start()
    delivery.tell()
    delivery.client.wait(created=1)
    delivery.clock.step(FINISH_SECONDS)
    # Another event shows that the thread has been round, and has ended what is old.
    delivery.tell(reason="Other")
    delivery.client.wait(created=2)

    delivery.tell()

    delivery.client.wait(created=3)


@pytest.mark.parametrize(
    ("note", "written"),
    [
        pytest.param("x" * 1024, "x" * 1024, id="as long as it may be"),
        pytest.param("x" * 1025, "x" * 1021 + "…", id="too long"),
        pytest.param("é" * 1024, "é" * 510 + "…", id="too long in bytes, cut between characters"),
    ],
)
def test_a_long_note_is_cut_to_what_the_api_server_takes(
    delivery: Delivery, note: str, written: str
) -> None:
    delivery.start()
    delivery.tell(note=note)

    delivery.client.wait(created=1)
    assert delivery.client.created[0]["note"] == written


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        pytest.param(f"{'a' * 234}--{'b' * 17}", r"a{234}\.[0-9a-f]{16}", id="as long as allowed"),
        pytest.param("eu.files", r"eu\.files\.[0-9a-f]{16}", id="a name with a dot"),
        pytest.param(
            "system:Reader", r"[0-9a-f-]{36}\.[0-9a-f]{16}", id="a Role may be called anything"
        ),
    ],
)
def test_the_name_of_an_event_is_a_name_whatever_its_object_is_called(
    delivery: Delivery, called: str, expected: str
) -> None:
    delivery.start()
    delivery.tell(metadata={"namespace": "backup", "name": called, "uid": "u1"})

    delivery.client.wait(created=1)
    assert re.fullmatch(expected, delivery.client.created[0]["metadata"]["name"])


def test_an_api_server_that_is_away_is_tried_again(delivery: Delivery) -> None:
    delivery.client.failures = [TransportError("refused"), TransportError("refused")]
    delivery.start()
    delivery.tell()

    for attempt in (1, 2):
        delivery.client.wait(requests=attempt)
        delivery.clock.block_until_waiters(1)
        delivery.clock.step(RETRY_SECONDS)

    delivery.client.wait(created=1)
    assert delivery.client.requests == 3


def test_a_try_that_takes_too_long_is_tried_again(delivery: Delivery) -> None:
    delivery.client.failures = [DeadlineExceeded("no answer")]
    delivery.start()
    delivery.tell()
    delivery.client.wait(requests=1)
    delivery.clock.block_until_waiters(1)
    delivery.clock.step(RETRY_SECONDS)

    delivery.client.wait(created=1)
    assert delivery.client.allowed == [TRY_SECONDS, TRY_SECONDS]


def test_a_try_that_arrived_unanswered_is_not_written_twice(delivery: Delivery) -> None:
    delivery.client.failures = [
        TransportError("reset"),
        AlreadyExists(409, "AlreadyExists", "it is there"),
    ]
    delivery.start()
    delivery.tell()
    delivery.client.wait(requests=1)
    delivery.clock.block_until_waiters(1)
    delivery.clock.step(RETRY_SECONDS)
    delivery.client.wait(requests=2)

    delivery.tell()

    # What counts as written gets a count.
    delivery.client.wait(patched=1)
    assert delivery.client.created == []


def test_it_is_tried_twelve_times_and_no_more(delivery: Delivery) -> None:
    delivery.client.failures = [TransportError("refused")] * TRIES
    delivery.start()
    delivery.tell()
    for attempt in range(1, TRIES):
        delivery.client.wait(requests=attempt)
        delivery.clock.block_until_waiters(1)
        delivery.clock.step(RETRY_SECONDS)

    delivery.tell(reason="Next")

    delivery.client.wait(created=1)
    assert delivery.client.created[0]["reason"] == "Next"


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(Forbidden(403, "Forbidden", "no"), id="forbidden"),
        pytest.param(NotFound(404, "NotFound", "no such namespace"), id="namespace gone"),
    ],
)
def test_a_refusal_is_final(delivery: Delivery, refusal: Exception) -> None:
    delivery.client.failures = [refusal]
    delivery.start()
    delivery.tell()
    delivery.tell(reason="Next")

    delivery.client.wait(created=1)
    assert delivery.client.requests == 2


def server(name: str) -> Object:
    return {"namespace": "backup", "name": name, "uid": f"uid-{name}"}


def test_a_storm_about_one_object_is_cut_and_leaves_others_alone(delivery: Delivery) -> None:
    for number in range(900):
        delivery.tell(note=f"failure {number}")
    delivery.tell(metadata=server("quiet"))
    delivery.start()
    delivery.finish()

    names = Counter(event["regarding"]["name"] for event in delivery.client.created)
    assert names == {"files": SPAM_BURST, "quiet": 1}


def test_a_thousand_repeats_cost_one_event_and_its_counts(delivery: Delivery) -> None:
    for _ in range(QUEUE_LENGTH):
        delivery.tell()
    delivery.start()
    delivery.finish()

    assert len(delivery.client.created) == 1
    assert [body["series"]["count"] for _, body in delivery.client.patched] == [2, QUEUE_LENGTH]


def test_after_a_storm_one_event_is_written_every_five_minutes(delivery: Delivery) -> None:
    delivery.start()
    for number in range(SPAM_BURST):
        delivery.tell(note=f"failure {number}")
    delivery.client.wait(created=SPAM_BURST)

    for passed in (299, 300, 599, 600):
        delivery.clock.step(passed - delivery.clock.monotonic())
        delivery.tell(note=f"failure after {passed} s")
        # Told in any case, and so after what was told before it.
        delivery.tell(metadata=server(f"witness-{passed}"))
        delivery.client.wait_for_one_about(f"witness-{passed}")

    notes = [e["note"] for e in delivery.client.created if e["regarding"]["name"] == "files"]
    assert notes[SPAM_BURST:] == ["failure after 300 s", "failure after 600 s"]


def test_recording_never_blocks_and_drops_events_of_a_full_queue(delivery: Delivery) -> None:
    for number in range(QUEUE_LENGTH + 10):
        delivery.tell(metadata=server(f"s{number}"))
    delivery.start()

    delivery.finish()

    assert len(delivery.client.created) == QUEUE_LENGTH


def test_what_waits_at_the_end_is_still_delivered(delivery: Delivery) -> None:
    delivery.stop.set()
    delivery.tell()
    delivery.start()

    delivery.finish()

    assert len(delivery.client.created) == 1
    assert delivery.client.allowed == [FLUSH_SECONDS]


def test_the_end_does_not_wait_for_an_api_server_that_is_away(delivery: Delivery) -> None:
    delivery.client.failures = [TransportError("refused")] * 3
    delivery.stop.set()
    for number in range(3):
        delivery.tell(reason=f"R{number}")
    delivery.start()

    delivery.finish()

    assert delivery.client.requests == 3


def test_the_last_counts_are_written_at_the_end(delivery: Delivery) -> None:
    delivery.start()
    for _ in range(5):
        delivery.tell()
    delivery.client.wait(created=1, patched=1)

    delivery.finish()

    assert delivery.client.patched[-1][1]["series"]["count"] == 5

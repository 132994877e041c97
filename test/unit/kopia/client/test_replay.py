"""What was taken of a stream is given again to the next reader, as long as it is little."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import pytest
from attrs import define, field

from reconcilers.kopia.client.errors import ProducerFailed
from reconcilers.kopia.client.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconcilers.kopia.client.model import Source

CONTENT: Final = bytes(range(256)) * 4
LIMIT: Final = 64
#: Real seconds after which a thread that has done nothing is stuck, not slow.
STUCK_AFTER: Final = 30.0


def all_of(source: Source, size: int = 10) -> bytes:
    return b"".join(iter(lambda: source.read(size), b""))


@define
class Held:
    """Gives its pieces one by one, each of them as soon as it may."""

    pieces: list[Callable[[], bytes]]
    asked: threading.Event = field(factory=threading.Event)
    may: threading.Event = field(factory=threading.Event)

    def read(self, _size: int) -> bytes:
        self.asked.set()
        assert self.may.wait(STUCK_AFTER)
        return self.pieces.pop(0)()


@pytest.mark.parametrize(
    ("taken", "whole"),
    [
        pytest.param(0, True, id="nothing was taken"),
        pytest.param(LIMIT, True, id="as much as is kept"),
        pytest.param(LIMIT + 1, False, id="a byte more"),
    ],
)
def test_it_can_be_read_again_until_more_was_taken_than_is_kept(taken: int, *, whole: bool) -> None:
    replay = Replay(io.BytesIO(CONTENT), LIMIT)

    with replay.reading() as first:
        assert b"".join(first.read(1) for _ in range(taken)) == CONTENT[:taken]

    assert replay.is_whole is whole
    if whole:
        with replay.reading() as second:
            assert all_of(second) == CONTENT


def test_each_reader_begins_at_the_beginning() -> None:
    replay = Replay(io.BytesIO(CONTENT), LIMIT)

    for taken in (7, 3, 20):
        with replay.reading() as reader:
            assert b"".join(reader.read(1) for _ in range(taken)) == CONTENT[:taken]
    with replay.reading() as last:
        assert all_of(last) == CONTENT


def test_a_former_reader_takes_nothing_from_the_one_of_now() -> None:
    replay = Replay(io.BytesIO(CONTENT), LIMIT)

    with replay.reading() as former:
        assert former.read(7) == CONTENT[:7]
    assert former.read(7) == b""

    with replay.reading() as reader:
        assert all_of(reader) == CONTENT


def test_all_of_a_stream_that_is_longer_than_what_is_kept_gets_through() -> None:
    with Replay(io.BytesIO(CONTENT), LIMIT).reading() as reader:
        assert all_of(reader) == CONTENT


def test_what_a_former_reader_still_waits_for_is_not_lost() -> None:
    """A thread that waits for the producer cannot be called off when Kopia has failed."""
    producer = Held([lambda: b"a" * LIMIT, lambda: b"b", lambda: b""])
    replay = Replay(producer, LIMIT)

    with ThreadPoolExecutor() as pool:
        with replay.reading() as former:
            waiting = pool.submit(former.read, LIMIT)
            assert producer.asked.wait(STUCK_AFTER)
        with replay.reading() as reader:
            read = pool.submit(all_of, reader)
            producer.may.set()
            assert read.result(STUCK_AFTER) == b"a" * LIMIT + b"b"
        waiting.result(STUCK_AFTER)


def test_what_is_kept_is_given_while_a_former_reader_waits() -> None:
    producer = Held([lambda: b"first", lambda: b"second", lambda: b""])
    replay = Replay(producer, LIMIT)
    producer.may.set()

    with ThreadPoolExecutor() as pool:
        with replay.reading() as former:
            assert former.read(LIMIT) == b"first"
            producer.may.clear()
            producer.asked.clear()
            waiting = pool.submit(former.read, LIMIT)
            assert producer.asked.wait(STUCK_AFTER)
        with replay.reading() as reader:
            assert pool.submit(reader.read, LIMIT).result(STUCK_AFTER) == b"first"
            producer.may.set()
            assert all_of(reader) == b"second"
        waiting.result(STUCK_AFTER)


def test_a_producer_that_has_failed_has_failed_for_each_reader() -> None:
    def fail() -> bytes:
        raise ProducerFailed("pg_dump ended with code 1")

    producer = Held([lambda: b"some", fail])
    producer.may.set()
    replay = Replay(producer, LIMIT)

    for _ in range(2):
        with replay.reading() as reader:
            assert reader.read(LIMIT) == b"some"
            with pytest.raises(ProducerFailed, match="pg_dump"):
                reader.read(LIMIT)


def test_nothing_is_asked_of_a_stream_that_has_ended() -> None:
    producer = Held([lambda: b"some", lambda: b""])
    producer.may.set()
    replay = Replay(producer, LIMIT)

    for _ in range(2):
        with replay.reading() as reader:
            assert all_of(reader) == b"some"

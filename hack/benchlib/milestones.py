"""When objects reach what they shall reach, seen by a watch as it happens.

The times in an object's status have whole seconds, and are those of another clock.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from clusterlib import waiting
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from benchlib.proxy import Proxy
    from benchlib.requests import Stream
    from demolib.objects import Object

READY = "Ready"

# How long nothing may happen to objects that are not Ready.
SILENCE_SECONDS = 120.0

# By type of condition, when each object was first seen to have it, by name: seconds of
# `clusterlib.waiting.seconds`.
Seen = dict[str, dict[str, float]]

NOT_ALL = "{count} of {wanted} {what} are Ready; nothing new for {seconds:.0f} s"
NOT_DONE = "{count} of {wanted} {what} are done; nothing new for {seconds:.0f} s"
NOT_SEEN = "none of the {what} became what it should; nothing new for {seconds:.0f} s"


@contextmanager
def watching(
    proxy: Proxy, collection: str, selector: str, *, wanted: int
) -> Iterator[Callable[[], Seen]]:
    """Watch a collection of objects in the background until all are Ready.

    The watch is open when the body begins.

    Args:
        proxy: asks the cluster.
        collection: path of the objects.
        selector: the label selector that finds them.
        wanted: how many they will be.

    Yields:
        Waits for the end, and returns what was seen. It raises ClusterError if they did not
        become Ready.

    Raises:
        ClusterError: the API server refuses the watch.
    """
    with _changes(proxy, collection, selector) as lines, ThreadPoolExecutor(1) as pool:
        noting = pool.submit(note, lines, wanted)

        def wait() -> Seen:
            seen = noting.result()
            if len(seen[READY]) < wanted:
                what = collection.rpartition("/")[2]
                words = {"wanted": wanted, "what": what, "seconds": SILENCE_SECONDS}
                raise ClusterError(NOT_ALL.format(count=len(seen[READY]), **words))
            return seen

        yield wait


@contextmanager
def awaiting(
    proxy: Proxy,
    collection: str,
    selector: str,
    holds: Callable[[Mapping[str, Any]], bool],
    *,
    then: Callable[[], None] = lambda: None,
) -> Iterator[Callable[[], float]]:
    """Watch a collection of objects in the background until one of them is as it should be.

    The watch is open when the body begins. It is ended with the body.

    Args:
        proxy: asks the cluster.
        collection: path of the objects.
        selector: the label selector that finds them.
        holds: tells whether an object that has changed is as it should be.
        then: called at once when one is, by the thread that watches.

    Yields:
        Waits for it, and returns when that was, by `clusterlib.waiting.seconds`. It raises
        ClusterError if nothing was seen.

    Raises:
        ClusterError: the API server refuses the watch.
    """
    with _changes(proxy, collection, selector) as lines, ThreadPoolExecutor(1) as pool:
        looking = pool.submit(_first, lines, holds, then)

        def wait() -> float:
            seen = looking.result()
            if seen is None:
                what = collection.rpartition("/")[2]
                raise ClusterError(NOT_SEEN.format(what=what, seconds=SILENCE_SECONDS))
            return seen

        try:
            yield wait
        finally:
            lines.end()


@contextmanager
def reaching(
    proxy: Proxy,
    collection: str,
    selector: str,
    holds: Callable[[Mapping[str, Any]], bool],
    *,
    wanted: int,
) -> Iterator[Callable[[], dict[str, float]]]:
    """Watch a collection of objects in the background until so many are as they should be.

    The watch is open when the body begins.

    Args:
        proxy: asks the cluster.
        collection: path of the objects.
        selector: the label selector that finds them.
        holds: tells whether an object is as it should be.
        wanted: how many there will be.

    Yields:
        Waits for the last, and returns when each was, by name and `clusterlib.waiting.seconds`. It
        raises ClusterError if some were not.

    Raises:
        ClusterError: the API server refuses the watch.
    """
    with _changes(proxy, collection, selector) as lines, ThreadPoolExecutor(1) as pool:
        looking = pool.submit(reached, lines, holds, wanted)

        def wait() -> dict[str, float]:
            seen = looking.result()
            if len(seen) < wanted:
                what = collection.rpartition("/")[2]
                words = {"wanted": wanted, "what": what, "seconds": SILENCE_SECONDS}
                raise ClusterError(NOT_DONE.format(count=len(seen), **words))
            return seen

        yield wait


def reached(
    lines: Iterable[bytes],
    holds: Callable[[Mapping[str, Any]], bool],
    wanted: int,
    now: Callable[[], float] = waiting.seconds,
) -> dict[str, float]:
    """Return when objects were as they should be, by name, until enough were.

    Args:
        lines: the events of a watch.
        holds: tells whether an object is as it should be.
        wanted: how many are to be so.
        now: tells the time.
    """
    seen: dict[str, float] = {}
    with suppress(TimeoutError):
        for line in lines:
            at, obj = now(), json.loads(line)["object"]
            if holds(obj):
                seen.setdefault(obj["metadata"]["name"], at)
            if len(seen) == wanted:
                break
    return seen


def _first(
    lines: Iterable[bytes], holds: Callable[[Mapping[str, Any]], bool], then: Callable[[], None]
) -> float | None:
    with suppress(TimeoutError):
        for line in lines:
            at = waiting.seconds()
            if holds(json.loads(line)["object"]):
                then()
                return at
    return None


@contextmanager
def _changes(proxy: Proxy, collection: str, selector: str) -> Iterator[_Changes]:
    """Watch a collection of objects from now on."""
    with ExitStack() as stack:
        yield _Changes(proxy, collection, selector, stack)


class _Changes:
    """The events of a collection, over as many watches as it takes.

    The API server may end one at any time, among others that of whoever reads too slowly
    (k8s.io/apiserver pkg/storage/cacher, `cacheWatcher.add`).

    Args:
        proxy: asks the cluster.
        collection: path of the objects.
        selector: the label selector that finds them.
        stack: closes the watches.
    """

    def __init__(self, proxy: Proxy, collection: str, selector: str, stack: ExitStack) -> None:
        self._proxy = proxy
        self._collection = collection
        self._selector = selector
        self._stack = stack
        self._ended = threading.Event()
        self._lines, _ = self._open()

    def __iter__(self) -> Iterator[bytes]:
        """Return the events, and what there is when another watch begins, until the end.

        Raises:
            TimeoutError: there was none for too long.
            ClusterError: the API server refuses another watch.
        """
        while True:
            yield from self._lines
            if self._ended.is_set():
                return
            self._lines, present = self._open()
            if self._ended.is_set():
                return
            yield from (json.dumps({"object": obj}).encode() for obj in present)

    def end(self) -> None:
        """End it; to be called by another thread than the one that reads it."""
        self._ended.set()
        self._lines.end()

    def _open(self) -> tuple[Stream, list[Object]]:
        """Return a watch from now on, and the objects that there are now."""
        selected = {"labelSelector": self._selector}
        listed = self._proxy.get(f"{self._collection}?{urlencode(selected)}")
        version = listed["metadata"]["resourceVersion"]
        parameters = {"watch": "true", **selected, "resourceVersion": version}
        path = f"{self._collection}?{urlencode(parameters)}"
        lines = self._stack.enter_context(self._proxy.stream(path, SILENCE_SECONDS))
        return lines, listed["items"]


def note(lines: Iterable[bytes], wanted: int, now: Callable[[], float] = waiting.seconds) -> Seen:
    """Note when conditions become true, until enough objects are Ready.

    Args:
        lines: the events of a watch.
        wanted: how many objects are to become Ready.
        now: tells the time.

    Returns:
        What was seen; of fewer objects if the watch ended or fell silent.
    """
    seen: Seen = defaultdict(dict)
    try:
        for line in lines:
            at, event = now(), json.loads(line)
            for condition in true_conditions(event["object"]):
                seen[condition].setdefault(event["object"]["metadata"]["name"], at)
            if len(seen[READY]) == wanted:
                break
    except TimeoutError:
        pass
    return seen


def true_conditions(obj: Mapping[str, Any]) -> list[str]:
    """Return the types of the object's conditions that are true."""
    conditions = obj.get("status", {}).get("conditions", [])
    return [condition["type"] for condition in conditions if condition["status"] == "True"]

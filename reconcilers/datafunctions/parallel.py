"""The same work for several pods, some at a time, each with an outcome of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")


@frozen
class Outcome(Generic[T]):
    """What came of the work.

    Args:
        done: Results by pod.
        failed: Why it failed, by pod.
    """

    done: Mapping[str, T]
    failed: Mapping[str, Exception]


def for_each(pods: Iterable[str], work: Callable[[str], T], *, limit: int) -> Outcome[T]:
    """Do the work for every pod, and keep what succeeds whatever else fails.

    Args:
        pods: Names of pods; each once.
        work: Does it for one pod; it may raise.
        limit: For how many pods at the same time.
    """
    names = list(dict.fromkeys(pods))
    done: dict[str, T] = {}
    failed: dict[str, Exception] = {}
    with ThreadPoolExecutor(max_workers=limit) as executor:
        running = {name: executor.submit(work, name) for name in names}
        for name, future in running.items():
            error = future.exception()
            if error is None:
                done[name] = future.result()
            elif isinstance(error, Exception):
                failed[name] = error
            else:
                raise error
    return Outcome(done, failed)

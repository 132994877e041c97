"""The same work for several pods."""

import threading

from reconcilers.datafunctions.parallel import for_each


def test_what_succeeds_is_kept_whatever_else_fails() -> None:
    def work(pod: str) -> str:
        if pod == "db-1":
            raise ValueError("no space")
        return f"backup of {pod}"

    outcome = for_each(["db-0", "db-1", "db-2"], work, limit=2)

    assert outcome.done == {"db-0": "backup of db-0", "db-2": "backup of db-2"}
    assert {pod: str(error) for pod, error in outcome.failed.items()} == {"db-1": "no space"}


def test_no_more_than_the_limit_at_once_and_as_many_as_that() -> None:
    limit = 3
    full = threading.Barrier(limit, timeout=60)
    lock, running, most = threading.Lock(), 0, 0

    def work(_pod: str) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        # Nobody goes on before there are as many as may be.
        full.wait()
        with lock:
            running -= 1

    for_each([f"db-{number}" for number in range(2 * limit)], work, limit=limit)

    assert most == limit


def test_a_pod_that_is_named_twice_is_worked_on_once() -> None:
    done: list[str] = []

    for_each(["db-0", "db-0"], done.append, limit=4)

    assert done == ["db-0"]

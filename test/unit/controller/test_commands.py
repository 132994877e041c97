"""Commands in pods: what `ensure` returns or raises."""

from __future__ import annotations

import weakref

import pytest
from attrs import evolve

from controller.clock import DeadlineExceeded
from controller.commands import CAUSES, OUTCOME_SECONDS, Command, Commands
from controller.errors import Forbidden, NotLeading, Stopped, TransportError
from controller.rest.podexec import ExecResult
from fakes.commands import ANOTHER, COPY, DONE, LOAD, OTHER, REQUEST, SLOT, Pool


@pytest.fixture
def pool() -> Pool:
    return Pool()


def test_a_result_wakes_the_object_and_is_handed_out_once(pool: Pool) -> None:
    assert pool.ask() is None
    assert pool.woken == []

    pool.go_on()

    assert pool.woken == [REQUEST]
    assert pool.ask() == DONE
    assert pool.executor.ran == ["x"]
    assert pool.ask() is None
    pool.go_on()
    assert pool.executor.ran == ["x", "x"]


def test_a_command_that_is_queued_or_runs_is_not_started_again(pool: Pool) -> None:
    found: list[ExecResult | None] = []
    pool.ask()
    assert pool.ask() is None

    pool.while_it_runs(lambda: found.append(pool.ask()))

    assert found == [None]
    assert pool.executor.ran == ["x"]
    assert pool.ask() == DONE


def test_one_that_is_done_before_its_reconciler_looks_away_is_handed_out_at_once() -> None:
    pool = Pool()
    inline = Commands(
        "inline",
        pool.executor,
        clock=pool.clock,
        metrics=pool.metrics,
        spawn=lambda work: work(),
    )

    assert inline.ensure(REQUEST, SLOT, LOAD) == DONE


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        pytest.param(DeadlineExceeded("late"), "deadline", id="it has not ended in its time"),
        pytest.param(Stopped("cut"), "stopped", id="the process ends"),
        pytest.param(NotLeading("closed"), "not_leading", id="the fence is closed"),
        pytest.param(Forbidden(403, "Forbidden", "no"), "refused", id="the API server refuses"),
        pytest.param(TransportError("reset"), "transport", id="the connection breaks"),
        pytest.param(ValueError("bug"), "panic", id="an unforeseen error is not lost"),
    ],
)
def test_an_error_wakes_the_object_and_is_raised_once(
    pool: Pool, error: Exception, cause: str
) -> None:
    pool.executor.outcome = error
    pool.ask()
    pool.go_on()
    assert pool.woken == [REQUEST]

    with pytest.raises(type(error)) as raised:
        pool.ask()

    assert raised.value is error
    assert pool.ask() is None
    counted = {one: pool.failures(one) for one in CAUSES}
    assert counted == {**dict.fromkeys(CAUSES, 0), cause: 1}


def test_an_exit_code_is_a_result_and_counts_as_a_failure(pool: Pool) -> None:
    pool.executor.outcome = ExecResult(3, b"", b"no")
    pool.ask()
    pool.go_on()

    assert pool.ask() == ExecResult(3, b"", b"no")
    assert pool.failures("exit_code") == 1


@pytest.mark.parametrize(
    ("seconds", "limit"),
    [
        pytest.param(30, "31", id="the process ends a second after the connection"),
        pytest.param(29.5, "31", id="a part of a second counts as a whole one"),
        pytest.param(0.5, "2", id="it is never none, which would be no limit"),
        pytest.param(7200, "7201", id="one that runs for hours has a limit too"),
    ],
)
def test_a_command_that_hangs_is_ended_in_its_container(
    pool: Pool, seconds: float, limit: str
) -> None:
    pool.ask(evolve(LOAD, seconds=seconds, stdin=b"lines"))
    pool.clock.step(60)

    pool.go_on()

    assert pool.executor.calls == [
        {
            "container": ("ns", "p", "c"),
            "argv": ("timeout", "-k", "1", limit, "kopia", "x"),
            "stdin": b"lines",
            # The time in the queue does not count.
            "seconds": seconds,
        }
    ]


class TestSlots:
    """A slot runs one command at a time: what was asked for last, in the end."""

    def test_another_command_waits_for_the_end_of_the_one_that_runs(self, pool: Pool) -> None:
        found: list[ExecResult | None] = []
        pool.ask()

        pool.while_it_runs(lambda: found.append(pool.ask(ANOTHER)))

        assert found == [None]
        assert pool.executor.ran == ["x"]
        assert pool.woken == [REQUEST]
        # The result of the first one is nobody's.
        assert pool.ask(ANOTHER) is None
        pool.go_on()
        assert pool.executor.ran == ["x", "y"]
        assert pool.ask(ANOTHER) == DONE

    def test_the_error_of_another_command_in_the_slot_is_not_raised(self, pool: Pool) -> None:
        pool.executor.outcome = TransportError("reset")
        pool.ask()
        pool.go_on()

        assert pool.ask(ANOTHER) is None

    def test_another_command_takes_the_place_of_one_that_has_not_begun(self, pool: Pool) -> None:
        pool.ask()
        pool.ask(ANOTHER)

        pool.go_on()

        assert pool.executor.ran == ["y"]
        assert pool.woken == [REQUEST]

    def test_one_that_has_not_begun_may_give_way_to_a_long_one(self, pool: Pool) -> None:
        pool.ask()
        pool.ask(COPY)

        pool.go_on()

        assert [call["seconds"] for call in pool.executor.calls] == [3600]

    def test_slots_and_objects_have_nothing_to_do_with_each_other(self, pool: Pool) -> None:
        pool.ask()
        pool.ask(slot="list")
        pool.ask(request=OTHER)

        pool.go_on()

        assert pool.woken == [REQUEST, REQUEST, OTHER]
        assert [pool.ask(), pool.ask(slot="list"), pool.ask(request=OTHER)] == [DONE] * 3

    @pytest.mark.parametrize(
        ("asked", "same"),
        [
            pytest.param(evolve(LOAD), True, id="equal in all"),
            pytest.param(evolve(LOAD, stdin=b"a"), False, id="it reads something else"),
            pytest.param(evolve(LOAD, pod="q"), False, id="it runs in another pod"),
            pytest.param(
                evolve(LOAD, stdin=iter([b"a"]), on_stdout=print), True, id="but for its streams"
            ),
        ],
    )
    def test_commands_are_the_same_by_what_they_say(
        self, pool: Pool, asked: Command, *, same: bool
    ) -> None:
        pool.ask()
        pool.go_on()

        assert (pool.ask(asked) == DONE) is same


def test_an_outcome_that_nobody_asks_for_is_dropped_in_time(pool: Pool) -> None:
    pool.ask(slot="of a pod that is gone")
    pool.ask()
    pool.go_on()
    pool.clock.step(OUTCOME_SECONDS - 1)
    assert pool.ask() == DONE

    pool.clock.step(1)

    assert pool.ask(slot="of a pod that is gone") is None


def test_the_outcome_that_nobody_asks_for_takes_no_memory_for_longer(pool: Pool) -> None:
    """Its object may be deleted, so that nothing is ever asked for it again."""
    pool.executor.outcome = ExecResult(0, b"a mebibyte", b"")
    result = weakref.ref(pool.executor.outcome)
    pool.ask()
    pool.go_on()
    pool.executor.outcome = DONE
    assert result() is not None

    pool.clock.step(OUTCOME_SECONDS)
    pool.ask(request=OTHER)

    assert result() is None


def test_the_outcome_of_one_that_must_not_run_twice_is_kept_however_late_it_is_asked_for(
    pool: Pool,
) -> None:
    once = evolve(LOAD, kept=True)
    pool.ask(once)
    pool.go_on()
    pool.clock.step(10 * OUTCOME_SECONDS)

    assert pool.ask(once) == DONE
    assert pool.executor.ran == ["x"]


def test_one_that_is_not_bounded_needs_no_program_but_its_own(pool: Pool) -> None:
    pool.ask(evolve(LOAD, bounded=False))

    pool.go_on()

    assert pool.executor.calls[0]["argv"] == ("kopia", "x")


def test_streams_reach_the_executor(pool: Pool) -> None:
    pieces: list[bytes] = []
    pool.ask(evolve(COPY, stdin=[b"a", b"b"], on_stdout=pieces.append))

    pool.go_on()

    assert pool.executor.calls[0]["stdin"] == [b"a", b"b"]
    assert pieces == [b"piece"]


def test_what_a_command_reads_is_not_in_its_representation() -> None:
    assert "secret-lines" not in repr(evolve(LOAD, stdin=b"secret-lines"))

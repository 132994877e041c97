"""A stop wakes those who wait for something else."""

from controller.stop import Stop


def test_callbacks_are_called_once_in_the_order_in_which_they_were_added() -> None:
    stop, called = Stop(), []
    stop.call_back(lambda: called.append("first"))
    stop.call_back(lambda: called.append("second"))

    stop.set()
    stop.set()

    assert called == ["first", "second"]


def test_a_callback_that_is_added_after_the_stop_is_called_at_once() -> None:
    stop, called = Stop(), []
    stop.set()

    stop.call_back(lambda: called.append("late"))

    assert called == ["late"]


def test_a_callback_that_was_removed_is_not_called() -> None:
    stop, called = Stop(), []
    take_back = stop.call_back(lambda: called.append("never"))

    take_back()
    stop.set()
    take_back()

    assert called == []


def test_a_callback_may_add_another_one() -> None:
    stop, called = Stop(), []

    def ask() -> None:
        stop.call_back(lambda: called.append("inner"))

    stop.call_back(ask)

    stop.set()

    assert called == ["inner"]

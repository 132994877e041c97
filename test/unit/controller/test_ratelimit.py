"""The rate limiter has the delays of client-go's."""

import pytest

from controller.workqueue.ratelimit import ExponentialRateLimiter


@pytest.mark.parametrize(
    ("earlier_retries", "delay"),
    [
        pytest.param(0, 0.005, id="the first retry comes almost at once"),
        pytest.param(1, 0.010, id="each retry waits twice as long"),
        pytest.param(17, 655.36, id="the last one below the maximum"),
        pytest.param(18, 1000.0, id="the maximum is not exceeded"),
        pytest.param(5000, 1000.0, id="an item that fails for years does not overflow"),
    ],
)
def test_exponential_delays(earlier_retries: int, delay: float) -> None:
    limiter = ExponentialRateLimiter()
    for _ in range(earlier_retries):
        limiter.when("item")

    assert limiter.when("item") == pytest.approx(delay)


def test_exponential_delays_are_counted_for_each_item_alone() -> None:
    limiter = ExponentialRateLimiter()
    limiter.when("a")
    limiter.when("a")

    assert limiter.when("b") == 0.005


def test_a_forgotten_item_starts_over() -> None:
    limiter = ExponentialRateLimiter()
    limiter.when("a")
    limiter.forget("a")

    assert limiter.when("a") == 0.005


def test_forgetting_an_unknown_item_is_no_error() -> None:
    ExponentialRateLimiter().forget("never seen")

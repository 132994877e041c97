"""The delays that client-go's limiters give, so that a failing object is retried as often."""

import pytest

from controller.ratelimit import BucketRateLimiter, ExponentialRateLimiter, MaxOf
from fakes.clock import FakeClock


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

    assert limiter.num_requeues("a") == 2
    assert limiter.num_requeues("b") == 0
    assert limiter.when("b") == 0.005


def test_a_forgotten_item_starts_over() -> None:
    limiter = ExponentialRateLimiter()
    limiter.when("a")
    limiter.forget("a")

    assert limiter.num_requeues("a") == 0
    assert limiter.when("a") == 0.005


def test_forgetting_an_unknown_item_is_no_error() -> None:
    ExponentialRateLimiter().forget("never seen")


def test_the_bucket_lets_a_burst_through_and_then_spaces_retries_evenly() -> None:
    limiter = BucketRateLimiter(FakeClock(), rate=10, burst=3)

    delays = [limiter.when(item) for item in range(6)]

    assert delays == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3])


def test_the_bucket_fills_with_time_up_to_its_size() -> None:
    clock = FakeClock()
    limiter = BucketRateLimiter(clock, rate=10, burst=2)
    for _ in range(4):
        limiter.when("a")

    clock.step(3600)

    assert [limiter.when("a") for _ in range(3)] == pytest.approx([0, 0, 0.1])


def test_the_bucket_knows_no_items() -> None:
    limiter = BucketRateLimiter(FakeClock())
    limiter.when("a")
    limiter.forget("a")

    assert limiter.num_requeues("a") == 0


class TestMaxOf:
    def test_the_longest_delay_wins(self) -> None:
        limiter = MaxOf(ExponentialRateLimiter(base=1), ExponentialRateLimiter(base=5))

        assert limiter.when("a") == 5

    def test_every_limiter_is_charged_whichever_decides(self) -> None:
        bucket = BucketRateLimiter(FakeClock(), rate=1, burst=1)
        limiter = MaxOf(ExponentialRateLimiter(base=100), bucket)

        limiter.when("a")

        assert bucket.when("b") == 1

    def test_forget_reaches_every_limiter(self) -> None:
        one, other = ExponentialRateLimiter(), ExponentialRateLimiter()
        limiter = MaxOf(one, other)
        limiter.when("a")
        assert limiter.num_requeues("a") == 1

        limiter.forget("a")

        assert (one.num_requeues("a"), other.num_requeues("a")) == (0, 0)

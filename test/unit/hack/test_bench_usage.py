"""What the controller's own metrics tell of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from benchlib import usage
from benchlib.exposition import Metrics
from controller.metrics import Metrics as Exported

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "api:443"


@pytest.fixture
def exported() -> Exported:
    return Exported(CollectorRegistry())


def page(exported: Exported) -> Metrics:
    return Metrics(generate_latest(exported.registry).decode())


def request(method: str, code: str) -> Callable[[Exported], None]:
    """Count a request as the client does, with an answer that was read to its end."""

    def count(exported: Exported) -> None:
        exported.rest_requests_total.labels(code=code, method=method, host=HOST).inc()
        exported.rest_response_size_bytes.labels(verb=method, host=HOST).observe(100)

    return count


def opened(code: str) -> Callable[[Exported], None]:
    """Count a GET whose answer has no end, or never came."""
    return lambda exported: exported.rest_requests_total.labels(
        code=code, method="GET", host=HOST
    ).inc()


@pytest.mark.parametrize(
    ("happened", "requests", "watches", "execs"),
    [
        pytest.param([], {}, 0, 0, id="nothing"),
        pytest.param(
            [request("GET", "200"), request("PATCH", "200"), request("GET", "404")],
            {"GET 200": 1, "GET 404": 1, "PATCH 200": 1},
            0,
            0,
            id="answers that were read are requests, whatever their code",
        ),
        pytest.param([opened("200")], {}, 1, 0, id="an answer that goes on is a watch"),
        pytest.param(
            [opened("200"), request("GET", "200")], {"GET 200": 1}, 1, 0, id="beside a read"
        ),
        pytest.param([request("PUT", "200")], {}, 0, 0, id="a lease that is renewed"),
        pytest.param([request("PUT", "409")], {"PUT 409": 1}, 0, 0, id="one that is lost"),
        pytest.param([opened("101")], {}, 0, 1, id="a change of protocol is an exec"),
        pytest.param(
            [opened("<error>")], {"GET <error>": 1}, 0, 0, id="no answer is no watch, but counts"
        ),
    ],
)
def test_requests_are_told_apart(
    exported: Exported,
    happened: list[Callable[[Exported], None]],
    requests: dict[str, int],
    watches: int,
    execs: int,
) -> None:
    for earlier in (opened("200"), opened("101"), request("GET", "200"), request("POST", "201")):
        earlier(exported)
    before = page(exported)

    for one in happened:
        one(exported)
    found = usage.between(before, page(exported))

    assert (found.requests, found.watches, found.execs) == (requests, watches, execs)


@pytest.mark.parametrize(
    ("happen", "busy"),
    [
        pytest.param(opened("200"), False, id="a watch that is opened anew is rest"),
        pytest.param(request("PUT", "200"), False, id="so is a lease that is renewed"),
        pytest.param(opened("101"), True, id="an exec"),
        pytest.param(request("PATCH", "200"), True, id="a write"),
        pytest.param(
            lambda exported: exported.reconcile_total.labels("c", "success").inc(),
            True,
            id="a reconcile",
        ),
    ],
)
def test_a_steady_controller_does_nothing_but_watch(
    exported: Exported, happen: Callable[[Exported], None], *, busy: bool
) -> None:
    before = page(exported)

    happen(exported)

    assert usage.between(before, page(exported)).is_busy is busy


def test_process_figures_are_read(exported: Exported) -> None:
    before = page(exported)
    exported.reconcile_time_seconds.labels("c").observe(1.5)

    found = usage.between(before, page(exported))

    assert found.reconcile_seconds == pytest.approx(1.5)
    assert found.resident_bytes > 2**20
    assert found.cpu_seconds >= 0


def test_label_values_may_hold_what_separates_labels() -> None:
    metrics = Metrics('a_total{x="1,2",y="say \\"hi\\" }"} 3\n# HELP a_total b\na_total{x="0"} 4\n')

    assert metrics.total("a_total") == 7
    assert metrics.total("a_total", x="1,2") == 3
    assert metrics.total("b_total") == 0
    assert metrics.by_labels("a_total", "x") == {("1,2",): 3, ("0",): 4}

"""What `/metrics` shows is an interface: names, labels and buckets are compared as text."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from controller.metrics import Metrics
from controller.workqueue.metrics import Durations, Snapshot

GOLDEN = Path(__file__).with_name("metrics.golden.txt")

EMPTY_QUEUE = Snapshot(
    depth={"0": 0},
    adds=0,
    retries=0,
    queue_duration=Durations(),
    work_duration=Durations(),
    unfinished_work=0.0,
    longest_running_processor=0.0,
)

#: Families of the client library's own collectors, whose series depend on the machine.
LIBRARY = re.compile(r"(# (HELP|TYPE) )?(process|python)_")


def touch_every_family(metrics: Metrics) -> None:
    """Give each family one series, so that its labels and buckets show."""
    for result in ("success", "error", "requeue", "requeue_after"):
        metrics.reconcile_total.labels(controller="c", result=result)
    metrics.reconcile_errors_total.labels(controller="c")
    metrics.terminal_reconcile_errors_total.labels(controller="c")
    metrics.reconcile_panics_total.labels(controller="c")
    metrics.reconcile_timeouts_total.labels(controller="c")
    metrics.reconcile_time_seconds.labels(controller="c")
    metrics.max_concurrent_reconciles.labels(controller="c")
    metrics.active_workers.labels(controller="c")
    metrics.workqueue.register("q", lambda: EMPTY_QUEUE)
    metrics.rest_requests_total.labels(code="<error>", method="GET", host="h:6443")
    metrics.rest_request_duration_seconds.labels(verb="GET", host="h:6443")
    metrics.rest_request_size_bytes.labels(verb="GET", host="h:6443")
    metrics.rest_response_size_bytes.labels(verb="GET", host="h:6443")
    metrics.rest_request_retries_total.labels(code="429", verb="GET", host="h:6443")
    metrics.leader_election_master_status.labels(name="lease")
    metrics.informer_store_objects.labels(resource="pods")
    metrics.informer_last_contact_seconds.labels(resource="pods").set_function(lambda: 1.5)
    metrics.informer_relists_total.labels(resource="pods")
    metrics.pod_commands_running.labels(kind="load_users", pool="short")
    metrics.pod_command_duration_seconds.labels(kind="load_users", pool="short")
    metrics.pod_command_failures_total.labels(kind="load_users", pool="short", cause="deadline")


def test_names_labels_and_buckets_are_exactly_those_of_the_golden_text() -> None:
    registry = CollectorRegistry()
    touch_every_family(Metrics(registry))

    lines = generate_latest(registry).decode().splitlines()
    shown = [line for line in lines if not LIBRARY.match(line)]

    assert shown == GOLDEN.read_text().splitlines()


def test_no_series_of_creation_times_is_exported() -> None:
    registry = CollectorRegistry()
    touch_every_family(Metrics(registry))

    assert b"_created" not in generate_latest(registry)


@pytest.mark.parametrize(
    "family",
    [
        pytest.param("process_resident_memory_bytes", id="memory of the process"),
        pytest.param("python_info", id="version of the interpreter"),
        pytest.param("python_gc_collections_total", id="runs of the garbage collector"),
    ],
)
def test_the_process_describes_itself(family: str) -> None:
    registry = CollectorRegistry()
    Metrics(registry)

    assert f"# TYPE {family} " in generate_latest(registry).decode()


def test_two_registries_do_not_share_series() -> None:
    first, second = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())

    first.reconcile_errors_total.labels(controller="c").inc()
    second.reconcile_errors_total.labels(controller="c")

    sample = "controller_runtime_reconcile_errors_total"
    assert first.registry.get_sample_value(sample, {"controller": "c"}) == 1
    assert second.registry.get_sample_value(sample, {"controller": "c"}) == 0

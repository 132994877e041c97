"""What one screen says of a server; docs/plugin.md has two whole ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fakes import objects, plugin
from reconcilers.plugin import report, statusscreen
from reconcilers.plugin.report import Facts
from reconcilers.plugin.screen import Paint
from reconcilers.repositoryserver.status.conditions import Outcome

if TYPE_CHECKING:
    from controller.resource import Object

NOW = objects.NOW


def screen(facts: Facts, *, colours: bool = False) -> str:
    return "\n".join(statusscreen.screen(report.of(facts), NOW, Paint(colours)))


def info(**fields: Any) -> Object:
    healthy = plugin.healthy()
    result: Object = objects.merged(healthy, {"status": {"serverInfo": fields}})
    return result


def maintained(change: Object | None) -> Object:
    result: Object = objects.merged(plugin.healthy(), {"status": {"maintenance": change}})
    return result


WARNED = {
    "type": "RepositoryUnmaintained",
    "status": "True",
    "reason": "RepositoryUnmaintained",
    "message": "nobody maintains it; set spec.repository.maintenance",
}


def warned() -> Object:
    obj = plugin.healthy()
    obj["status"]["conditions"].append(WARNED)
    return obj


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        pytest.param(
            Facts(info(tlsNotAfter="2025-12-30T00:00:00Z")),
            ["  Certificate  expired on 2025-12-30 (2d ago)"],
            id="a certificate that has expired",
        ),
        pytest.param(
            Facts(info(kopiaVersion="0.24.0\x1b[31m")),
            ["  Kopia        0.24.0?[31m"],
            id="the version of Kopia, which somebody may have written by hand",
        ),
        pytest.param(
            Facts(maintained({"result": "Failed", "message": "the owner is another"})),
            ["  Last run  Failed 2h ago", "    the owner is another"],
            id="a maintenance that has failed",
        ),
        pytest.param(
            Facts(maintained(None)), ["  Last run  not run yet"], id="a maintenance that is due"
        ),
        pytest.param(
            Facts(warned()),
            [
                "Warning: RepositoryUnmaintained",
                "  nobody maintains it",
                "  set spec.repository.maintenance",
            ],
            id="a warning, with what to do",
        ),
        pytest.param(
            Facts(plugin.healthy(), users=[(f"u@{i}", "s") for i in range(23)]),
            ["  u@19 (Secret s)", "  and 3 more"],
            id="more users than fit",
        ),
        pytest.param(
            Facts(plugin.healthy(), missing={report.PODS: "you may not"}),
            ["Pods", "  not shown: you may not"],
            id="pods that may not be listed are not none",
        ),
        pytest.param(
            Facts(plugin.server("new", Outcome((), available=False))),
            ["  URL          none yet"],
            id="a server without a Service",
        ),
        pytest.param(
            Facts(plugin.healthy(), events=[plugin.event("files", "E", "a\x1b[31m", minutes=1)]),
            ["   60s  E", "        a?[31m"],
            id="an event that would colour the screen",
        ),
    ],
)
def test_what_the_screen_says(facts: Facts, lines: list[str]) -> None:
    assert "\n".join(lines) in screen(facts)


def test_colours_of_a_failing_server() -> None:
    shown = screen(Facts(plugin.failing()), colours=True)

    title = "\x1b[1mRepositoryServer backup/archive\x1b[0m"
    assert shown.splitlines()[:7] == [
        f"{title}: \x1b[31mFailed\x1b[0m (SecretMissing) for 5m",
        "\x1b[31mClients cannot connect.\x1b[0m",
        "",
        "\x1b[31mWhat is wrong\x1b[0m",
        "  Secret backup/archive-location, named by spec.storage.secretRef, does not exist",
        "\x1b[1mWhat to do\x1b[0m",
        "  create it or correct spec.storage.secretRef",
    ]


def test_without_colours_there_is_no_control_character() -> None:
    shown = screen(Facts(plugin.failing()))

    assert all(char.isprintable() or char == "\n" for char in shown)


@pytest.mark.parametrize(
    ("status", "word", "message"),
    [
        pytest.param(objects.serving(), "Running", "", id="it runs"),
        pytest.param(
            objects.unscheduled("no node has room"),
            "Pending",
            "no node has room",
            id="it waits for a node",
        ),
        pytest.param(
            objects.image_pull_failed("ImagePullBackOff", "Back-off pulling image"),
            "ImagePullBackOff",
            "Back-off pulling image",
            id="its image cannot be pulled",
        ),
        pytest.param(objects.creating(), "ContainerCreating", "", id="it is made"),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
            "Evicted",
            "low on memory",
            id="it was evicted",
        ),
        pytest.param({}, "Unknown", "", id="no kubelet has reported on it"),
    ],
)
def test_what_a_pod_does(status: Object, word: str, message: str) -> None:
    obj = {**plugin.pod("files"), "status": status}

    found = report.pod(obj, serves=True)

    assert (found.status, found.message) == (word, message)


def test_a_pod_that_is_deleted_ends() -> None:
    assert report.pod(objects.terminating(plugin.pod("files")), serves=True).status == "Terminating"


def test_the_newest_pod_and_the_last_events_come_first() -> None:
    older = plugin.pod("files", "older")
    older["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    many = [plugin.event("files", f"E{i}", "m", minutes=i) for i in range(1, report.EVENTS + 3)]

    found = report.of(Facts(plugin.healthy(), [older, plugin.pod("files")], many[::-1]))

    assert [pod.name for pod in found.pods] == ["files-0123456789-hh4zl", "files-older"]
    assert [pod.serves for pod in found.pods] == [True, False]
    assert [event.reason for event in found.events] == [
        f"E{i}" for i in range(1, 1 + report.EVENTS)
    ]


@pytest.mark.parametrize(
    ("times", "when"),
    [
        pytest.param({"lastTimestamp": "B", "eventTime": "A"}, "B", id="of the older API"),
        pytest.param({"eventTime": "A"}, "A", id="of the newer one"),
        pytest.param(
            {"series": {"lastObservedTime": "C"}, "eventTime": "A"}, "C", id="of one that repeats"
        ),
        pytest.param(
            {"eventTime": None, "metadata": {"creationTimestamp": "D"}}, "D", id="of one without"
        ),
    ],
)
def test_when_an_event_was_last_seen(times: Object, when: str) -> None:
    (found,) = report.of(Facts(plugin.healthy(), events=[times])).events

    assert found.when == when

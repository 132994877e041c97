"""What the status says of what is published for clients."""

from __future__ import annotations

from typing import Any

import pytest

from controller.conditions import get_condition
from fakes import objects
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status.conditions import Outcome, desired_status

Object = dict[str, Any]

URL = "https://repo-server-files.backup.svc:51515"
BEFORE: Object = {"serverInfo": {"podName": "pod", "url": URL, "connectionSecretName": "former"}}


def written(current: Object, **found: Any) -> Object:
    of = Outcome(verdicts=(), available=True, **found)
    return desired_status(current, of, generation=1, now=objects.NOW)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(
            {"url": URL}, {"url": URL, "port": 51515}, id="the URL is written with its port"
        ),
        pytest.param({"url": ""}, {}, id="one that is not known is not written"),
        pytest.param(
            {"published": {"connectionSecretName": "a", "kanisterProfileName": ""}},
            {"connectionSecretName": "a"},
            id="what is published is named, and what is not is not",
        ),
    ],
)
def test_of_a_new_server(found: Object, expected: Object) -> None:
    assert written({}, **found)["serverInfo"] == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param({}, BEFORE["serverInfo"], id="what is not known stays"),
        pytest.param(
            {"published": {"connectionSecretName": ""}},
            {"podName": "pod", "url": URL},
            id="what is not published any more is named no more",
        ),
    ],
)
def test_of_one_with_a_status(found: Object, expected: Object) -> None:
    assert written(BEFORE, **found)["serverInfo"] == expected


@pytest.mark.parametrize(
    ("before", "unpublished", "expected"),
    [
        pytest.param("", "why", ("True", "ConnectionUnpublished", "why"), id="it is warned of"),
        pytest.param("", "", None, id="where there never was anything nothing is said"),
        pytest.param(
            "why",
            "",
            ("False", "ConnectionPublished", "what spec.publish asks for is in place"),
            id="it is over",
        ),
        pytest.param(
            "why", None, ("True", "ConnectionUnpublished", "why"), id="it stays while not known"
        ),
    ],
)
def test_the_warning(
    before: str, unpublished: str | None, expected: tuple[str, str, str] | None
) -> None:
    after = written(written({}, unpublished=before), unpublished=unpublished)

    found = get_condition(after["conditions"], status.CONNECTION_UNPUBLISHED)
    content = None if found is None else (found["status"], found["reason"], found["message"])
    assert content == expected

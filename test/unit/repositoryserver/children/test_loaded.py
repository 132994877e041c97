"""Which users the server in a pod has."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.conditions import timestamp
from fakes import objects
from fakes.objects import NOW
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.loaded import SETTLE_SECONDS, WrittenUsers


@pytest.mark.parametrize(
    ("mark", "age", "changed_ago", "loaded"),
    [
        pytest.param("v2", 600, 10, True, id="it is marked with them"),
        pytest.param("v1", 1, 600, False, id="it is marked with others, however young it is"),
        pytest.param("v2 awaited since x", 1, 600, False, id="it is being told of them"),
        pytest.param("", 600, None, True, id="no pod can have had others"),
        pytest.param("", 1, 1 + SETTLE_SECONDS, True, id="it was made after they changed"),
        pytest.param("", 1, SETTLE_SECONDS, False, id="too soon: its node may know the others"),
        pytest.param("", 600, 10, False, id="it was made before"),
    ],
)
def test_a_pod_has_the_users(
    mark: str, age: float, changed_ago: float | None, *, loaded: bool
) -> None:
    created = timestamp(NOW - timedelta(seconds=age))
    metadata = {"creationTimestamp": created, "annotations": {names.ANNOTATION_USERS: mark}}
    pod = objects.merged(objects.pod(), {"metadata": metadata})
    changed = None if changed_ago is None else NOW - timedelta(seconds=changed_ago)

    assert WrittenUsers("v2", changed).are_loaded(pod) is loaded


@pytest.mark.parametrize(
    ("users", "settled"),
    [
        pytest.param(WrittenUsers("v2"), True, id="they never changed"),
        pytest.param(
            WrittenUsers("v2", NOW - timedelta(seconds=SETTLE_SECONDS)), True, id="long enough ago"
        ),
        pytest.param(WrittenUsers("v2", NOW), False, id="they have just changed"),
        pytest.param(WrittenUsers(""), False, id="nobody knows them"),
        pytest.param(WrittenUsers(names.NO_USERS), False, id="there are none"),
    ],
)
def test_a_pod_that_is_made_now_starts_with_them(users: WrittenUsers, *, settled: bool) -> None:
    assert users.have_settled(NOW) is settled


@pytest.mark.parametrize("text", ["", "soon", "2026-01-01T00:00:00"])
def test_a_time_that_nobody_can_read_is_none(text: str) -> None:
    secret = {"metadata": {"annotations": {names.ANNOTATION_CHANGED: text}}}

    assert WrittenUsers.of("v2", secret) == WrittenUsers("v2")
    assert WrittenUsers.of("v2", None) == WrittenUsers("v2")

"""What is kept of an action that runs, and whom it must belong to."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.actionsets import UID, action, action_set, phase
from reconcilers.actionset.api import LABEL_UID
from reconcilers.actionset.frozen import (
    MAX_BYTES,
    FrozenAction,
    make_kept,
    make_secret,
    parse_secret,
)
from reconcilers.errors import InvalidInput

KEPT = FrozenAction(
    spec=action(),
    planned={"phases": [phase("dump")]},
    objects={"dump": {"login": {"kind": "Secret", "name": "s"}}},
    repeatable="dump",
    parameters=b'{"Options":{"password":"secret-1"}}',
)


def test_it_is_an_immutable_secret_that_the_actionset_owns_and_reads_again() -> None:
    secret = make_secret(action_set(), 1, KEPT)

    metadata = secret["metadata"]
    assert (metadata["name"], secret["immutable"]) == (f"actionset-{UID}-1", True)
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("ActionSet", UID, True)
    assert parse_secret(secret, action_set()) == KEPT
    assert "secret-1" not in repr(KEPT)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"immutable": False}, id="somebody can change it"),
        pytest.param({"metadata": {"name": f"actionset-{UID}-1"}}, id="nobody owns it"),
        pytest.param(
            {"metadata": {"name": f"actionset-{UID}-1", "ownerReferences": [{"uid": "x"}]}},
            id="another object owns it",
        ),
        pytest.param({"data": {}}, id="it has no content"),
        pytest.param(
            {"data": {"action.json": "eA==", "parameters.json": ""}}, id="it has another content"
        ),
    ],
)
def test_one_of_that_name_that_is_not_ours_is_refused(change: dict[str, Any]) -> None:
    secret = make_secret(action_set(), 1, KEPT) | change

    with pytest.raises(InvalidInput, match=f"Secret actionset-{UID}-1 is in the way"):
        parse_secret(secret, action_set())


DELETED: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("of_action_set", "labels", "is_ours"),
    [
        pytest.param(DELETED, {LABEL_UID: UID}, True, id="of an ActionSet that is deleted"),
        pytest.param({}, {LABEL_UID: UID}, False, id="of one that is not"),
        pytest.param(DELETED, {LABEL_UID: "x"}, False, id="of another ActionSet"),
        pytest.param(DELETED, None, False, id="of nobody"),
    ],
)
def test_one_without_an_owner_is_ours_by_its_label_once_the_actionset_is_deleted(
    of_action_set: dict[str, Any], labels: dict[str, str] | None, *, is_ours: bool
) -> None:
    owner = action_set()
    owner["metadata"] |= of_action_set
    secret = make_kept(owner, 1, KEPT)
    assert "ownerReferences" not in secret["metadata"]
    secret["metadata"]["labels"] = labels

    if is_ours:
        assert parse_secret(secret, owner) == KEPT
    else:
        with pytest.raises(InvalidInput, match=f"Secret actionset-{UID}-1-deleted is in the way"):
            parse_secret(secret, owner)


def test_an_action_that_does_not_fit_is_refused_with_its_size() -> None:
    large = FrozenAction(action(), {}, {}, "", b"x" * MAX_BYTES)

    with pytest.raises(InvalidInput, match=r"action backup: .* have \d+ bytes, 1048576 fit"):
        make_secret(action_set(), 0, large)

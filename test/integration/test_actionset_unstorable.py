"""What a real API server answers to an ActionSet that is too large is told from what passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from controller.errors import ApiError
from fakes.actionsets import action_set
from integration.actionpolicies import install_definitions
from reconcilers.actionset.api import ACTION_SETS, ANNOTATION_MEMO
from reconcilers.actionset.engine.refusals import TOO_LARGE, UNSTORABLE, unstorable

if TYPE_CHECKING:
    from controller.resource import Object
    from controller.rest.client import Client

MIB: Final = 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def _definition(client: Client) -> None:
    install_definitions(client)


def output(size: int) -> Object:
    phases = [{"name": "dump", "state": "complete", "output": {"large": "x" * size}}]
    return {"status": {"state": "running", "actions": [{"name": "backup", "phases": phases}]}}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(output(MIB + MIB // 2), TOO_LARGE, id="more than etcd takes"),
        pytest.param(output(2 * MIB + 1), TOO_LARGE, id="more than its client sends"),
        pytest.param(output(3 * MIB + 1), TOO_LARGE, id="more than a request may have"),
        pytest.param(
            {"metadata": {"annotations": {ANNOTATION_MEMO: "x" * 300 * 1024}}},
            "the API server calls these fields wrong: metadata.annotations",
            id="annotations",
        ),
    ],
)
def test_it_will_never_be_taken(
    client: Client, namespace: str, change: dict[str, Any], why: str
) -> None:
    obj = action_set(name="large")
    del obj["metadata"]["uid"], obj["metadata"]["namespace"]
    client.create(ACTION_SETS, namespace, obj)

    with pytest.raises(ApiError) as refused:
        client.merge_patch(ACTION_SETS, namespace, "large", change)

    assert unstorable(refused.value) == UNSTORABLE.format(why=why)

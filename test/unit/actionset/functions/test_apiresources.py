"""Which resource a kind is."""

from __future__ import annotations

import pytest
from attrs import define, field

from controller.clock import Deadline
from controller.errors import NotFound, ServerUnavailable
from controller.resource import Object, Resource
from fakes.clock import FakeClock
from reconcilers.actionset.functions.apiresources import ApiResources
from reconcilers.errors import InvalidInput

DEADLINE = Deadline.after(FakeClock(), 60.0)
DEPLOYMENT = {"name": "deployments", "kind": "Deployment", "namespaced": True}
SCALE = {"name": "deployments/scale", "kind": "Scale", "namespaced": True}
NODE = {"name": "nodes", "kind": "Node", "namespaced": False}


@define
class Discovery:
    """Answers which kinds a group has."""

    served: dict[tuple[str, str], list[Object]]
    asked: list[tuple[str, str]] = field(factory=list)
    error: Exception | None = None

    def api_resources(
        self, group: str, version: str, *, deadline: Deadline | None = None
    ) -> Object:
        self.asked.append((group, version))
        if self.error is not None:
            raise self.error
        if (group, version) not in self.served:
            raise NotFound(404, "NotFound", "not here")
        return {"resources": self.served[group, version]}


def found(resources: ApiResources, version: str, kind: str) -> Resource:
    return resources.find(version, kind, what="object 1", deadline=DEADLINE)


@pytest.mark.parametrize(
    ("version", "kind", "expected"),
    [
        pytest.param(
            "apps/v1",
            "Deployment",
            Resource("apps", "v1", "deployments", "Deployment"),
            id="of a group",
        ),
        pytest.param(
            "v1", "Node", Resource("", "v1", "nodes", "Node", namespaced=False), id="cluster-scoped"
        ),
    ],
)
def test_a_kind_is_asked_for_once(version: str, kind: str, expected: Resource) -> None:
    discovery = Discovery({("apps", "v1"): [DEPLOYMENT, SCALE], ("", "v1"): [NODE]})
    resources = ApiResources(discovery)  # type: ignore[arg-type]  # what it uses

    assert found(resources, version, kind) == expected
    assert found(resources, version, kind) == expected
    assert len(discovery.asked) == 1


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        pytest.param("apps/v1", "Pod", id="another group's"),
        pytest.param("apps/v1", "Scale", id="that of a subresource"),
        pytest.param("example.com/v1", "Thing", id="a group that is not there"),
        pytest.param("../v1", "Thing", id="a path"),
        pytest.param("v1/namespaces/x", "Thing", id="another path"),
        pytest.param("", "Thing", id="nothing"),
    ],
)
def test_what_is_not_served_is_refused(version: str, kind: str) -> None:
    discovery = Discovery({("apps", "v1"): [DEPLOYMENT, SCALE]})
    resources = ApiResources(discovery)  # type: ignore[arg-type]  # what it uses

    with pytest.raises(InvalidInput) as refused:
        found(resources, version, kind)

    assert refused.value.message == (
        "object 1: the API server does not serve its apiVersion and kind; correct them, or install"
        " the CustomResourceDefinition"
    )


def test_a_kind_that_comes_later_is_found() -> None:
    discovery = Discovery({})
    resources = ApiResources(discovery)  # type: ignore[arg-type]  # what it uses
    with pytest.raises(InvalidInput):
        found(resources, "apps/v1", "Deployment")

    discovery.served["apps", "v1"] = [DEPLOYMENT]

    assert found(resources, "apps/v1", "Deployment").plural == "deployments"


def test_an_aggregated_server_that_is_away_is_no_unknown_kind() -> None:
    discovery = Discovery({}, error=ServerUnavailable(503, "", "away"))

    with pytest.raises(ServerUnavailable):
        found(ApiResources(discovery), "metrics.k8s.io/v1", "Pod")  # type: ignore[arg-type]  # what it uses

"""Which of the known fields a CRD lacks."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from e2e import removed
from reconcilers.repositoryserver.definition import fields
from referencelib import schema

if TYPE_CHECKING:
    from controller.resource import Object

CRD = Path(__file__).parents[4] / "manifests/crd/repositoryservers.yaml"
GVK = "x-kubernetes-group-version-kind"
KIND = {"group": "cr.kanister.io", "version": "v1alpha1", "kind": "RepositoryServer"}


OTHER = {**KIND, "kind": "ActionSet"}


def document(crd: Object, kind: Any = None) -> Object:
    """Return the OpenAPI document that an API server makes of a CRD, with a second kind in it."""
    (version,) = crd["spec"]["versions"]
    root = {**version["schema"]["openAPIV3Schema"], GVK: [kind or KIND]}
    other = {"type": "object", GVK: [{**KIND, "kind": "Blueprint"}]}
    return {"components": {"schemas": {"a": other, "b": root, "c": {"type": "object"}}}}


@pytest.fixture
def crd() -> Object:
    loaded: Object = yaml.safe_load(CRD.read_text())
    return loaded


def test_the_known_fields_are_those_of_the_crd() -> None:
    leaves = [
        field.path for root in schema.load(CRD).values() for field in root.below() if field.is_leaf
    ]

    assert list(fields.FIELDS) == leaves


def test_the_crd_of_this_version_lacks_nothing(crd: Object) -> None:
    assert fields.missing(document(crd)) == ()


def test_that_of_the_removed_controller_lacks_what_is_new() -> None:
    found = fields.missing(document(removed.definition()))

    assert found is not None
    assert {"spec.publish", "spec.server.networkPolicy", "status.observedGeneration"} <= set(found)
    assert not {"spec.storage.secretRef", "spec.server.tlsSecretRef"} & set(found)


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        pytest.param(
            ("spec", "publish"), ["spec.publish"], id="an object: its fields are not named as well"
        ),
        pytest.param(
            ("spec", "repository", "readOnly"), ["spec.repository.readOnly"], id="a field in one"
        ),
        pytest.param(("spec", "server", "tolerations"), ["spec.server.tolerations[]"], id="a list"),
    ],
)
def test_a_field_that_is_missing_is_named_once(
    crd: Object, gone: tuple[str, ...], named: list[str]
) -> None:
    changed = copy.deepcopy(crd)
    part = changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for name in gone[:-1]:
        part = part["properties"][name]
    del part["properties"][gone[-1]]

    assert list(fields.missing(document(changed)) or ()) == named


@pytest.mark.parametrize(
    "served",
    [
        pytest.param({}, id="nothing at all"),
        pytest.param({"components": {"schemas": None}}, id="no schema"),
        pytest.param(
            document({"spec": {"versions": [{"schema": {"openAPIV3Schema": {}}}]}}, OTHER),
            id="other kinds",
        ),
    ],
)
def test_a_crd_that_is_not_served_lacks_nothing_that_could_be_named(served: Object) -> None:
    assert fields.missing(served) is None

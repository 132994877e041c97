"""What is asked of the API server for an action, and what is said where it refuses."""

from __future__ import annotations

import pytest

from controller.clock import Deadline
from controller.errors import Forbidden, TransportError
from controller.resource import Resource
from fakes import application
from fakes.apireader import Asked, FakeReader
from fakes.clock import FakeClock
from reconcilers import resources
from reconcilers.actionset.parameters import lookup
from reconcilers.actionset.parameters.lookup import Lookup, Reference, RightMissing
from reconcilers.errors import InvalidInput

FIELD = "spec.actions[0].secrets.db"
SECRET = Reference(resources.SECRETS, "shop", "keys", FIELD)
NOT_A_NAME = (
    f"{FIELD} names Secret by a text that cannot be the name of an object or a namespace; check"
    " what its template renders"
)
NODE = Reference(Resource("", "v1", "nodes", "Node", namespaced=False), "shop", "n", FIELD)


@pytest.fixture
def api() -> FakeReader:
    return FakeReader()


@pytest.fixture
def look(api: FakeReader) -> Lookup:
    return Lookup(api, ("kanister", "shop"), Deadline.after(FakeClock(), 10))


def test_an_object_is_read_once(api: FakeReader, look: Lookup) -> None:
    api.put(resources.SECRETS, application.secret("keys", {"id": "1"}))

    assert look.get(SECRET) == look.get(SECRET)
    assert api.asked == [Asked("get", "secrets", "shop", "keys")]


def test_what_nobody_wrote_is_left_out(api: FakeReader, look: Lookup) -> None:
    secret = application.secret("keys", {"id": "1"})
    marks = {"kubectl.kubernetes.io/last-applied-configuration": "id: 1", "mine": "x"}
    secret["metadata"] |= {"managedFields": [{}], "annotations": marks}
    api.put(resources.SECRETS, secret)

    metadata = look.get(SECRET)["metadata"]

    assert "managedFields" not in metadata
    assert metadata["annotations"] == {"mine": "x"}


@pytest.mark.parametrize(
    ("reference", "reason", "message"),
    [
        pytest.param(
            SECRET,
            lookup.REASON_MISSING,
            f"there is no Secret shop/keys, which {FIELD} names; correct {FIELD}",
            id="an object that is not there",
        ),
        pytest.param(
            NODE,
            lookup.REASON_MISSING,
            f"there is no Node n, which {FIELD} names; correct {FIELD}",
            id="one without a namespace",
        ),
        pytest.param(
            Reference(Resource("a.b", "v2", "things", "Thing"), "shop", "x", FIELD),
            lookup.REASON_NO_RESOURCE,
            f"the API server has no things.a.b at version v2, which {FIELD} names; correct {FIELD}",
            id="a resource that the API server has not",
        ),
        pytest.param(
            Reference(
                Resource("a.b", "v2", "things", "Thing", namespaced=False), "shop", "x", FIELD
            ),
            lookup.REASON_NO_RESOURCE,
            f"the API server has no things.a.b at version v2 outside namespaces, which {FIELD} "
            f"names without a namespace; set {FIELD}.namespace, or correct {FIELD}",
            id="one of a namespace, named without it",
        ),
        pytest.param(
            Reference(resources.SECRETS, "other", "keys", FIELD),
            lookup.REASON_FOREIGN,
            f"{FIELD} names Secret other/keys, but an action reads only what is in the namespace "
            "of its ActionSet or of its object (kanister or shop), so that nobody reads by it what "
            f"they have no right to; copy the Secret to one of these and correct {FIELD}",
            id="a Secret of another namespace",
        ),
        pytest.param(
            Reference(resources.SECRETS, "shop", "..", FIELD),
            lookup.REASON_NAME,
            NOT_A_NAME,
            id="a name that leads up in a path",
        ),
        pytest.param(
            Reference(resources.SECRETS, "hunter2/..", "keys", FIELD),
            lookup.REASON_NAME,
            NOT_A_NAME,
            id="what is no namespace is not repeated",
        ),
        pytest.param(
            Reference(resources.SECRETS, "shop", "", FIELD),
            lookup.REASON_NAME,
            NOT_A_NAME,
            id="no name, by which all would be listed",
        ),
    ],
)
def test_what_cannot_be_read(
    api: FakeReader, look: Lookup, reference: Reference, reason: str, message: str
) -> None:
    api.lacks = {"things"}

    with pytest.raises(InvalidInput) as raised:
        look.get(reference)

    assert (raised.value.reason, raised.value.message) == (reason, message)


def test_what_is_refused_is_not_asked_for(api: FakeReader, look: Lookup) -> None:
    for namespace, name in (("other", "keys"), ("shop", ".."), ("shop", "a/b"), ("shop", "%2e")):
        with pytest.raises(InvalidInput):
            look.get(Reference(resources.SECRETS, namespace, name, FIELD))
    with pytest.raises(InvalidInput):
        look.select(Reference(resources.PODS, "other", "", FIELD))

    assert api.asked == []


@pytest.mark.parametrize(
    ("reference", "right", "message"),
    [
        pytest.param(
            Reference(resources.STATEFUL_SETS, "shop", "db", FIELD),
            ("get", "statefulsets.apps", "shop"),
            "the controller may not get statefulsets.apps in namespace shop, which "
            f"{FIELD} needs; allow it in a Role there, such as that of manifests/application "
            "(in the chart: actionsets.applications)",
            id="one object",
        ),
        pytest.param(
            Reference(resources.PODS, "shop", "", FIELD),
            ("list", "pods", "shop"),
            f"the controller may not list pods in namespace shop, which {FIELD} needs; allow it in "
            "a Role there, such as that of manifests/application "
            "(in the chart: actionsets.applications)",
            id="all objects of a namespace",
        ),
        pytest.param(
            Reference(resources.NAMESPACES, "shop", "shop", FIELD),
            ("get", "namespaces", "shop"),
            "the controller may not get namespaces in namespace shop, which "
            f"{FIELD} needs; allow it in a Role there, such as that of manifests/application "
            "(in the chart: actionsets.applications)",
            id="a namespace, which a Role of its own may allow",
        ),
        pytest.param(
            NODE,
            ("get", "nodes", ""),
            f"the controller may not get nodes outside namespaces, which {FIELD} needs; name an "
            "object of a namespace, or allow it in a ClusterRole",
            id="an object of no namespace",
        ),
    ],
)
def test_a_right_that_is_missing(
    api: FakeReader, look: Lookup, reference: Reference, right: tuple[str, str, str], message: str
) -> None:
    refused = Forbidden(403, "Forbidden", "said the API server")
    api.failures = {(right[0], reference.resource.plural): refused}
    read = look.get if right[0] == "get" else look.select

    with pytest.raises(RightMissing) as raised:
        read(reference)

    error = raised.value
    assert error.message == message
    assert (error.verb, error.resource, error.namespace) == right


def test_no_answer_is_for_the_caller_to_retry(api: FakeReader, look: Lookup) -> None:
    api.failures = {("get", "secrets"): TransportError("no answer")}

    with pytest.raises(TransportError):
        look.get(SECRET)


def test_a_list_is_selected_by_labels(api: FakeReader, look: Lookup) -> None:
    other = application.pod("web-0", change={"metadata": {"labels": {"app": "web"}}})
    api.put(resources.PODS, other, application.pod())

    found = look.select(Reference(resources.PODS, "shop", "", FIELD), "app=db")

    assert [pod["metadata"]["name"] for pod in found] == ["db-0"]
    assert api.asked == [Asked("list", "pods", "shop", "app=db")]

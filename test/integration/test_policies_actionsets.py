"""The policy on who may write an ActionSet or a Blueprint, on a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration import actionpolicies
from integration.actionpolicies import (
    ASKED,
    AUTHORING,
    CONTROLLER,
    action_set,
    another_namespace,
    blueprint,
    install_account,
)
from integration.policies import Site, grant
from reconcilers.actionset import api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.rest.client import Client, Object

AUTHOR = "author"
OPERATOR = "operator"
POLICY = "actionset-authors"

pytestmark = pytest.mark.usefixtures("_policies")


@pytest.fixture(scope="module")
def _policies(client: Client, kubectl: Callable[..., str], kubeconfig: str) -> Iterator[None]:
    with actionpolicies.in_force(client, kubectl, kubeconfig):
        yield


@pytest.fixture
def site(client: Client, kubeconfig: str, namespace: str) -> Site:
    """Give the namespace of a controller, with an author and somebody with all rights."""
    install_account(client, namespace)
    grant(client, namespace, AUTHOR, [AUTHORING])
    grant(client, namespace, OPERATOR, [AUTHORING, *ASKED.values()])
    return Site(client, kubeconfig, namespace)


@pytest.fixture
def application(client: Client) -> Iterator[str]:
    with another_namespace(client) as name:
        grant(client, name, OPERATOR, list(ASKED.values()))
        yield name


def about(namespace: str, **reference: str) -> Object:
    return action_set({"kind": "StatefulSet", "name": "db", "namespace": namespace, **reference})


def rights(lacks: str) -> list[Object]:
    return [rule for name, rule in ASKED.items() if name != lacks]


@pytest.mark.parametrize("lacking", ASKED)
@pytest.mark.parametrize("where", ["own", "application"])
def test_each_right_is_asked_for_in_each_namespace(
    client: Client, site: Site, application: str, lacking: str, where: str
) -> None:
    """Whoever lacks one of the rights in one of the two namespaces is told which and where."""
    user = "almost"
    grant(client, site.namespace, user, [AUTHORING, *rights(lacking if where == "own" else "")])
    grant(client, application, user, rights(lacking if where == "application" else ""))

    said = site.refusal(user, "create", "--filename=-", obj=about(application))

    assert POLICY in said
    assert f"asks for the right to {lacking} in the namespaces" in said
    assert f"({site.namespace}, {application})" in said


def test_who_has_the_rights_in_both_namespaces_may(site: Site, application: str) -> None:
    assert site.refusal(OPERATOR, "create", "--filename=-", obj=about(application)) == ""


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param({"kind": "StatefulSet", "namespace": "{there}"}, id="its namespace"),
        pytest.param({"kind": "Namespace", "name": "{there}"}, id="it is that namespace"),
        pytest.param(
            {"kind": "namespace", "name": "db", "namespace": "{there}"},
            id="a namespace, by both fields",
        ),
        pytest.param(
            {"apiVersion": "v1", "group": "", "resource": "configmaps", "namespace": "{there}"},
            id="any other kind",
        ),
    ],
)
def test_an_action_acts_in_the_namespace_that_its_object_says(
    client: Client, site: Site, application: str, reference: dict[str, str]
) -> None:
    """Rights in the controller's own namespace alone are not enough, however it is written."""
    user = "half"
    grant(client, site.namespace, user, [AUTHORING, *ASKED.values()])
    named = {key: value.format(there=application) for key, value in reference.items()}
    obj = action_set({"name": "db", **named})

    assert POLICY in site.refusal(user, "create", "--filename=-", obj=obj)
    assert site.refusal(OPERATOR, "create", "--filename=-", obj=obj) == ""


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param(action_set({"kind": "pvc", "name": "data"}), id="without a namespace"),
        pytest.param(action_set(), id="an ActionSet without actions"),
        pytest.param(blueprint(), id="a Blueprint"),
    ],
)
def test_what_acts_in_its_own_namespace_asks_there_alone(site: Site, obj: Object) -> None:
    assert POLICY in site.refusal(AUTHOR, "create", "--filename=-", obj=obj)
    assert site.refusal(OPERATOR, "create", "--filename=-", obj=obj) == ""


def test_each_of_several_namespaces_counts(client: Client, site: Site, application: str) -> None:
    """An object beside others that the author may act on is not overlooked."""
    references = [{"kind": "StatefulSet", "name": "db", "namespace": application}] * 2
    for place in range(3):
        with another_namespace(client) as another:
            objects = [*references]
            objects.insert(place, {"kind": "StatefulSet", "name": "db", "namespace": another})

            said = site.refusal(OPERATOR, "create", "--filename=-", obj=action_set(*objects))

            assert POLICY in said
            grant(client, another, OPERATOR, list(ASKED.values()))
            said = site.refusal(OPERATOR, "create", "--filename=-", obj=action_set(*objects))
            assert said == ""


def test_four_namespaces_can_be_judged_and_no_more(site: Site, client: Client) -> None:
    """The API server limits what a policy may cost: beyond that nobody could be asked."""
    with (
        another_namespace(client) as second,
        another_namespace(client) as third,
        another_namespace(client) as fourth,
        another_namespace(client) as fifth,
    ):
        others = [second, third, fourth, fifth]
        for name in others:
            grant(client, name, OPERATOR, list(ASKED.values()))
        objects = [{"kind": "pvc", "name": "data", "namespace": name} for name in others]

        four = site.refusal(OPERATOR, "create", "--filename=-", obj=action_set(*objects[:3]))
        five = site.refusal(OPERATOR, "create", "--filename=-", obj=action_set(*objects))

    assert four == ""
    assert "make an ActionSet for each namespace" in five


TIMED = {"annotations": {api.ANNOTATION_TIMEOUT: "30m"}}


@pytest.mark.parametrize(
    ("metadata", "change", "judged"),
    [
        pytest.param({}, {"metadata": {"labels": {"a": "b"}}}, False, id="a label"),
        pytest.param({}, {"metadata": {"annotations": {"a": "b"}}}, False, id="an annotation"),
        pytest.param(
            TIMED, {"metadata": {"finalizers": ["a/b"]}}, False, id="a finalizer, beside a setting"
        ),
        pytest.param({}, {"spec": {"actions": []}}, True, id="what is to run"),
        pytest.param({}, {"spec": None}, True, id="what is to run is taken away"),
        pytest.param({}, {"status": {"state": "complete"}}, True, id="what has come of it"),
        pytest.param({}, {"metadata": TIMED}, True, id="a setting is added"),
        pytest.param(
            TIMED,
            {"metadata": {"annotations": {api.ANNOTATION_TIMEOUT: "1h"}}},
            True,
            id="a setting is changed",
        ),
        pytest.param(
            TIMED,
            {"metadata": {"annotations": {api.ANNOTATION_TIMEOUT: None}}},
            True,
            id="a setting is taken away",
        ),
        pytest.param(
            {},
            {"metadata": {"annotations": {api.ANNOTATION_MEMO: "{}"}}},
            True,
            id="what the controller remembers",
        ),
    ],
)
def test_an_update_is_judged_if_it_changes_what_runs(
    client: Client, site: Site, metadata: Object, change: Object, *, judged: bool
) -> None:
    obj = action_set({"kind": "pvc", "name": "data"}, **metadata)
    client.create(api.ACTION_SETS, site.namespace, obj)

    said = site.patch(AUTHOR, change, "actionset/backup")

    assert (POLICY in said) is judged
    assert judged or said == ""
    assert site.patch(OPERATOR, change, "actionset/backup") == ""


@pytest.mark.parametrize(
    ("change", "judged"),
    [
        pytest.param({"metadata": {"labels": {"a": "b"}}}, False, id="a label"),
        pytest.param({"actions": {"backup": None}}, True, id="an action"),
        pytest.param(
            {"metadata": {"annotations": {api.ANNOTATION_REPEATABLE: "*"}}}, True, id="a setting"
        ),
    ],
)
def test_and_so_of_a_blueprint(client: Client, site: Site, change: Object, *, judged: bool) -> None:
    client.create(api.BLUEPRINTS, site.namespace, blueprint())

    said = site.patch(AUTHOR, change, "blueprint/files")

    assert (POLICY in said) is judged
    assert judged or said == ""
    assert site.patch(OPERATOR, change, "blueprint/files") == ""


@pytest.mark.parametrize(
    ("where", "judged"),
    [
        pytest.param("own", False, id="the controller of this namespace"),
        pytest.param("application", True, id="an account of that name elsewhere"),
    ],
)
def test_the_controller_says_what_has_come_of_it(
    client: Client, site: Site, application: str, where: str, *, judged: bool
) -> None:
    """Its account lacks the rights that an author needs."""
    account = CONTROLLER.format(namespace=site.namespace if where == "own" else application)
    grant(client, site.namespace, account, [AUTHORING])
    client.create(api.ACTION_SETS, site.namespace, action_set({"kind": "pvc", "name": "data"}))
    change = {"status": {"state": "running"}, "metadata": TIMED}

    said = site.patch(account, change, "actionset/backup")

    assert (POLICY in said) is judged
    assert judged or said == ""


def test_nobody_is_asked_where_there_is_no_controller(
    client: Client, kubeconfig: str, application: str
) -> None:
    """There Kanister's operator may be, whose users and account have rights of their own."""
    grant(client, application, AUTHOR, [AUTHORING])
    elsewhere = Site(client, kubeconfig, application)
    client.create(api.ACTION_SETS, application, action_set({"kind": "pvc", "name": "data"}))

    assert elsewhere.refusal(AUTHOR, "create", "--filename=-", obj=blueprint()) == ""
    assert elsewhere.patch(AUTHOR, {"status": {"state": "running"}}, "actionset/backup") == ""

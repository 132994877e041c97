"""What the authors of ActionSets and Blueprints may not ask for."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.phases import APP, OWN, Object, phase_run, wanted
from reconcilers.actionset.api import ObjectReference
from reconcilers.actionset.phases import builder
from reconcilers.actionset.phases.builder import Policy
from reconcilers.errors import InvalidInput
from reconcilers.pods import allowed

POLICY = Policy(OWN, "engine")
OF_ACTION_SET = "spec.actions[0].podOverride"
OF_BLUEPRINT = "phases[dump].args.podOverride"


def refused(run: Object | None = None, policy: Policy = POLICY, **changes: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as refusal:
        builder.pod(phase_run(**(run or {})), wanted(**changes), "pod-a", policy)
    return refusal.value


def taken(run: Object | None = None, policy: Policy = POLICY, **changes: Any) -> Object:
    return builder.pod(phase_run(**(run or {})), wanted(**changes), "pod-a", policy)


SECRET_VOLUME = {"volumes": [{"name": "v", "secret": {"secretName": "other"}}]}


class TestLevels:
    """Of an ActionSet's override less is taken than of a Blueprint's, which names the image."""

    @pytest.mark.parametrize(
        ("override", "path"),
        [
            pytest.param({"serviceAccountName": "admin"}, "serviceAccountName", id="an account"),
            pytest.param(SECRET_VOLUME, "volumes[v].secret", id="a Secret"),
            pytest.param(
                {"containers": [{"name": "container", "image": "mine"}]},
                "containers[container].image",
                id="an image",
            ),
            pytest.param(
                {"containers": [{"name": "mine", "image": "mine"}]},
                "containers[mine]",
                id="a container",
            ),
            pytest.param(
                {"initContainers": [{"name": "mine", "image": "mine"}]},
                "initContainers",
                id="a container first",
            ),
        ],
    )
    def test_an_actionset_is_restricted(self, override: Object, path: str) -> None:
        message = refused({"pod_override": override}).message

        assert message.startswith(f"{OF_ACTION_SET}.{path}")
        assert "is not allowed: the controller takes only scheduling" in message
        assert "--pod-override=any" in message

    def test_it_may_change_what_names_nothing_of_the_namespace(self) -> None:
        resources = {"limits": {"memory": "1Gi"}}
        override = {
            "nodeSelector": {"disk": "fast"},
            "containers": [{"name": "container", "resources": resources}],
        }

        pod = taken({"pod_override": override})

        assert pod["spec"]["nodeSelector"] == {"disk": "fast"}
        assert pod["spec"]["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}

    def test_of_the_init_container_of_the_function_as_well(self) -> None:
        spec = {
            "containers": [{"name": "output", "image": "a"}],
            "initContainers": [{"name": "init", "image": "b"}],
        }
        generic = {"containers": [{"name": "container", "resources": {"limits": {"cpu": "1"}}}]}

        pod = taken({"pod_override": generic}, spec=spec, main="output", aliases=("init", "output"))

        assert pod["spec"]["initContainers"][0]["resources"]["limits"] == {"cpu": "1"}

    def test_a_blueprint_may_mount_a_secret(self) -> None:
        assert taken(override=SECRET_VOLUME)["spec"]["volumes"] == SECRET_VOLUME["volumes"]

    def test_the_settings_say_how_much(self) -> None:
        policy = Policy(OWN, "engine", of_action_sets=allowed.OFF, of_blueprints=allowed.RESTRICTED)

        assert refused({"pod_override": {"nodeSelector": {}}}, policy).message == (
            f"{OF_ACTION_SET} is not allowed: the controller runs with --pod-override=off; "
            "remove it"
        )
        assert refused(policy=policy, override=SECRET_VOLUME).message.startswith(
            f"{OF_BLUEPRINT}.volumes[v].secret is not allowed"
        )


@pytest.mark.parametrize(
    ("override", "path"),
    [
        pytest.param({"hostNetwork": True}, "hostNetwork", id="the node's network"),
        pytest.param({"hostPID": True}, "hostPID", id="its processes"),
        pytest.param({"nodeName": "control-plane"}, "nodeName", id="past the scheduler"),
        pytest.param({"restartPolicy": "Always"}, "restartPolicy", id="run again and again"),
        pytest.param(
            {"containers": [{"name": "container", "restartPolicy": "Always"}]},
            "containers[container].restartPolicy",
            id="the same of its container",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
            "volumes[v].hostPath",
            id="files of the node",
        ),
        pytest.param(
            {"containers": [{"name": "container", "securityContext": {"privileged": True}}]},
            "containers[container].securityContext.privileged",
            id="power over the node",
        ),
    ],
)
@pytest.mark.parametrize("author", ["ActionSet", "Blueprint"])
def test_power_over_the_node_is_never_allowed(author: str, override: Object, path: str) -> None:
    policy = Policy(OWN, "engine", of_action_sets=allowed.ANY, of_blueprints=allowed.ANY)
    if author == "ActionSet":
        refusal, field = refused({"pod_override": override}, policy), OF_ACTION_SET
    else:
        refusal, field = refused(policy=policy, override=override), OF_BLUEPRINT

    assert refusal.message.startswith(f"{field}.{path} ")
    assert "--pod-override" not in refusal.message, "no setting would help"


def test_a_blueprint_may_say_what_is_so_anyway() -> None:
    """One of the public ones does."""
    pod = taken(override={"restartPolicy": "Never"})

    assert pod["spec"]["restartPolicy"] == "Never"


def test_a_container_may_run_as_root() -> None:
    """The images are the users'."""
    root = {"runAsUser": 0}
    pod = taken(override={"containers": [{"name": "container", "securityContext": root}]})

    assert pod["spec"]["containers"][0]["securityContext"] == root


def test_the_container_of_the_phase_stays() -> None:
    override = {"containers": [{"name": "container", "$patch": "delete"}]}

    assert refused(override=override).message == (
        f"{OF_BLUEPRINT} removes container container, which is the phase; remove the directive"
    )


@pytest.mark.parametrize(
    "override",
    [
        pytest.param({"serviceAccountName": "engine"}, id="by its name"),
        pytest.param({"serviceAccount": "engine"}, id="by the old name of the field"),
    ],
)
def test_no_pod_has_the_account_of_the_engine(override: Object) -> None:
    refusal = refused(namespace=OWN, override=override)

    assert refusal.reason == "AccountNotAllowed"
    assert refusal.message == (
        "phase dump must not run as ServiceAccount kanister/engine: that is the account of an "
        "operator; name another one as serviceAccountName in "
        "phases[dump].args.podOverride"
    )


def test_nor_has_one_that_names_none_where_the_engine_runs_as_default() -> None:
    refusal = refused(policy=Policy(OWN, "default"), namespace=OWN)

    assert "ServiceAccount kanister/default" in refusal.message


@pytest.mark.parametrize(
    "account",
    [
        pytest.param("repository-server-controller", id="it reads the Secrets of all servers"),
        pytest.param("actionset-controller", id="of an engine beside this one"),
        pytest.param("release-kanister-operator", id="as Helm calls it"),
    ],
)
def test_nor_has_any_the_account_of_another_operator(account: str) -> None:
    refusal = refused(override={"serviceAccountName": account})

    assert f"ServiceAccount {APP}/{account}: that is the account of an operator" in refusal.message


def test_an_account_of_that_name_elsewhere_is_another_one() -> None:
    pod = taken(override={"serviceAccountName": "engine"})

    assert pod["metadata"]["namespace"] == APP


class TestNamespace:
    """A phase acts in the namespaces of its ActionSet and of the action's object."""

    @pytest.mark.parametrize(
        ("target", "namespace"),
        [
            pytest.param(ObjectReference("db", APP, "statefulset"), APP, id="of the object"),
            pytest.param(ObjectReference("db", APP, "statefulset"), OWN, id="its own"),
            pytest.param(
                ObjectReference("shop", "", "Namespace"), "shop", id="the object is a namespace"
            ),
        ],
    )
    def test_it_may_act_there(self, target: ObjectReference, namespace: str) -> None:
        pod = taken({"object": target}, namespace=namespace)

        assert pod["metadata"]["namespace"] == namespace

    def test_it_may_act_nowhere_else(self) -> None:
        refusal = refused(namespace="kube-system")

        assert refusal.reason == "NamespaceNotAllowed"
        assert refusal.message == (
            "argument namespace is kube-system: a phase acts only in the namespace of the action's "
            "object, shop, and in that of the ActionSet, kanister; use one of them"
        )


@pytest.mark.parametrize(
    ("run", "changes", "field"),
    [
        pytest.param(
            {"pod_labels": {"actionset.cr.kanister.io/uid": "x"}},
            {},
            "spec.actions[0].podLabels",
            id="a label of the ActionSet",
        ),
        pytest.param(
            {},
            {"annotations": {"actionset.cr.kanister.io/containers": "x"}},
            "phases[dump].args.podAnnotations",
            id="an annotation of the Blueprint",
        ),
    ],
)
def test_keys_of_ours_are_ours(run: Object, changes: Object, field: str) -> None:
    refusal = refused(run, **changes)

    assert refusal.message.startswith(f"{field} must not have actionset.cr.kanister.io/")

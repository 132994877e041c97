"""The pod of a phase: what the function wants, and what its authors add."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from attrs import evolve

from fakes.phases import ACTION_SET, APP, OWN, Object, phase_run, wanted
from reconcilers.actionset.phases import builder, names
from reconcilers.actionset.phases.builder import Policy
from reconcilers.actionset.phases.model import OWN_SECRET
from reconcilers.errors import InvalidInput
from reconcilers.pods import allowed

POLICY = Policy(OWN, "engine", of_action_sets=allowed.ANY)


def build(
    run: Object | None = None, policy: Policy = POLICY, name: str = "pod-a", **changes: Any
) -> Object:
    return builder.pod(phase_run(**(run or {})), wanted(**changes), name, policy)


def container(pod: Object, name: str = "container", kind: str = "containers") -> Object:
    found: Object = next(one for one in pod["spec"][kind] if one["name"] == name)
    return found


def test_a_whole_pod() -> None:
    run = phase_run()

    assert build() == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "pod-a",
            "namespace": APP,
            "labels": {
                "app.kubernetes.io/managed-by": "actionset-controller",
                "createdBy": "kanister",
                "actionset.cr.kanister.io/uid": "uid-of-actionset",
                "actionset.cr.kanister.io/phase": names.selector(run).partition("=")[2],
            },
            "annotations": {
                "kubectl.kubernetes.io/default-container": "container",
                "actionset.cr.kanister.io/action-set": "kanister/backup-1",
                "actionset.cr.kanister.io/phase": "0/dump",
                "actionset.cr.kanister.io/containers": "container",
            },
            "finalizers": ["actionset.cr.kanister.io/result"],
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "container",
                    "image": "tools:1",
                    "command": ["dump"],
                    "imagePullPolicy": "IfNotPresent",
                    "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
                }
            ],
        },
    }


def test_in_its_own_namespace_the_actionset_owns_it() -> None:
    (owner,) = build(namespace=OWN)["metadata"]["ownerReferences"]

    assert (owner["kind"], owner["name"], owner["uid"]) == (
        "ActionSet",
        "backup-1",
        "uid-of-actionset",
    )


@pytest.mark.parametrize(
    ("deletion", "deferred"),
    [
        pytest.param({}, True, id="a deferPhase, which may run when the ActionSet is deleted"),
        pytest.param(
            {"deletionTimestamp": "2026-01-01T00:00:00Z"}, False, id="one that is deleted"
        ),
    ],
)
def test_an_actionset_does_not_own_a_pod_that_outlives_its_deletion(
    deletion: Object, *, deferred: bool
) -> None:
    """The garbage collector would delete it at once, with `--cascade=foreground`."""
    metadata = {**ACTION_SET["metadata"], **deletion}
    run = phase_run(action_set={**ACTION_SET, "metadata": metadata}, deferred=deferred)

    made = builder.pod(run, wanted(namespace=OWN), "pod-a", Policy(OWN, "engine"))

    assert "ownerReferences" not in made["metadata"]


def test_the_function_keeps_what_it_wants() -> None:
    before = wanted()
    spec = {"containers": [dict(one) for one in before.spec["containers"]]}

    build()

    assert before.spec == spec


class TestPrecedence:
    """Of podOverride the ActionSet's wins, of labels and annotations the Blueprint's."""

    def test_of_overrides(self) -> None:
        pod = build(
            run={"pod_override": {"priorityClassName": "of-actionset"}},
            override={"priorityClassName": "of-blueprint", "schedulerName": "of-blueprint"},
        )

        assert pod["spec"]["priorityClassName"] == "of-actionset"
        assert pod["spec"]["schedulerName"] == "of-blueprint"

    def test_of_what_is_in_a_container(self) -> None:
        def env(**variables: str) -> Object:
            values = [{"name": name, "value": value} for name, value in variables.items()]
            return {"containers": [{"name": "container", "env": values}]}

        pod = build(run={"pod_override": env(A="1", B="1")}, override=env(B="2", C="2"))

        found = {one["name"]: one["value"] for one in container(pod)["env"]}
        assert found == {"A": "1", "B": "1", "C": "2"}

    def test_of_labels_and_annotations(self) -> None:
        pod = build(
            run={"pod_labels": {"a": "1", "b": "1"}, "pod_annotations": {"c": "1", "d": "1"}},
            labels={"b": "2"},
            annotations={"d": "2"},
        )

        assert pod["metadata"]["labels"].items() >= {"a": "1", "b": "2"}.items()
        assert pod["metadata"]["annotations"].items() >= {"c": "1", "d": "2"}.items()

    def test_what_is_ours_stays(self) -> None:
        pod = build(
            run={"pod_labels": {"createdBy": "me"}},
            labels={"app.kubernetes.io/managed-by": "me"},
        )

        assert names.belongs_to(pod, phase_run())

    def test_the_default_container_may_be_another_one(self) -> None:
        pod = build(annotations={"kubectl.kubernetes.io/default-container": "mine"})

        key = "kubectl.kubernetes.io/default-container"
        assert pod["metadata"]["annotations"][key] == "mine"


def test_the_label_of_who_wants_the_pod_is_handed_on() -> None:
    metadata = {**ACTION_SET["metadata"], "labels": {"kanister.io/JobID": "7", "other": "x"}}

    pod = build(run={"action_set": {**ACTION_SET, "metadata": metadata}})

    assert pod["metadata"]["labels"]["kanister.io/JobID"] == "7"
    assert "other" not in pod["metadata"]["labels"]


SEVERAL: Object = {
    "containers": [{"name": "output", "image": "a"}, {"name": "background", "image": "b"}],
    "initContainers": [{"name": "init", "image": "c"}],
}


class TestAliases:
    """`container` of an ActionSet's override stands for the containers of MultiContainerRun."""

    def build(self, override: Object, spec: Object | None = None) -> Object:
        return build(
            run={"pod_override": override},
            spec=spec or SEVERAL,
            main="output",
            others=("background",),
            aliases=("init", "background", "output"),
        )

    @staticmethod
    def policies(pod: Object) -> Object:
        both = (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
        return {one["name"]: one["imagePullPolicy"] for one in both}

    def test_it_counts_for_all(self) -> None:
        override = {"containers": [{"name": "container", "imagePullPolicy": "Always"}]}

        assert self.policies(self.build(override)) == {
            "init": "Always",
            "output": "Always",
            "background": "Always",
        }

    def test_but_not_for_one_that_is_named(self) -> None:
        override = {
            "containers": [
                {"name": "container", "imagePullPolicy": "Always"},
                {"name": "output", "imagePullPolicy": "Never"},
            ],
            "initContainers": [{"name": "init", "imagePullPolicy": "Never"}],
        }

        assert self.policies(self.build(override)) == {
            "init": "Never",
            "output": "Never",
            "background": "Always",
        }

    def test_without_an_init_container_none_is_made(self) -> None:
        """Kanister makes one, without an image."""
        override = {"containers": [{"name": "container", "imagePullPolicy": "Always"}]}

        pod = self.build(override, {"containers": SEVERAL["containers"]})

        assert "initContainers" not in pod["spec"]
        assert self.policies(pod) == {"output": "Always", "background": "Always"}

    def test_the_blueprint_names_them_by_their_names(self) -> None:
        pod = build(
            spec=SEVERAL,
            main="output",
            others=("background",),
            aliases=("init", "background", "output"),
            override={"containers": [{"name": "background", "imagePullPolicy": "Always"}]},
        )

        assert self.policies(pod)["output"] == "IfNotPresent"
        assert self.policies(pod)["background"] == "Always"


def test_the_containers_of_the_phase_come_first() -> None:
    beside = {"name": "a-beside", "image": "b"}
    override = {"containers": [{"$patch": "replace"}, beside, {"name": "container", "image": "c"}]}

    pod = build(override=override)

    assert [one["name"] for one in pod["spec"]["containers"]] == ["container", "a-beside"]


class TestRequests:
    """A quota refuses a pod that asks for nothing."""

    def requests(self, resources: Object) -> Object:
        override = {"containers": [{"name": "container", "resources": resources}]}
        found: Object = container(build(override=override))["resources"]
        return found

    def test_what_the_authors_say_stays(self) -> None:
        assert self.requests({"requests": {"memory": "1Gi"}}) == {
            "requests": {"cpu": "50m", "memory": "1Gi"}
        }

    def test_a_limit_is_a_request_as_well(self) -> None:
        """A request above the limit would be refused."""
        assert self.requests({"limits": {"memory": "32Mi", "cpu": "10m"}}) == {
            "limits": {"memory": "32Mi", "cpu": "10m"}
        }

    def test_every_container_has_some(self) -> None:
        override = {
            "containers": [{"name": "beside", "image": "b"}],
            "initContainers": [{"name": "first", "image": "b"}],
        }

        pod = build(override=override)

        assert container(pod, "beside")["resources"]["requests"]
        assert container(pod, "first", "initContainers")["resources"]["requests"]


class TestToken:
    """Nobody gains the rights of an account by a phase."""

    def test_an_account_that_is_named_has_its_token(self) -> None:
        pod = build(override={"serviceAccountName": "dumper"})

        assert "automountServiceAccountToken" not in pod["spec"]

    def test_an_action_set_may_name_one_if_the_settings_admit_any_override(self) -> None:
        """For Blueprints whose commands use `kubectl`, and that nobody wants to change."""
        run = {"pod_override": {"serviceAccountName": "dumper"}}

        pod = build(run=run, policy=evolve(POLICY, of_action_sets=allowed.ANY))

        assert pod["spec"]["serviceAccountName"] == "dumper"
        assert "automountServiceAccountToken" not in pod["spec"]
        with pytest.raises(InvalidInput, match="--pod-override=any"):
            build(run=run, policy=evolve(POLICY, of_action_sets=allowed.RESTRICTED))

    def test_who_asks_for_a_token_gets_it(self) -> None:
        pod = build(override={"automountServiceAccountToken": True})

        assert pod["spec"]["automountServiceAccountToken"] is True


class TestSecret:
    """The Secret that a pod owns."""

    def test_the_pod_names_it(self) -> None:
        pod = build(
            spec={
                "containers": [{"name": "container", "image": "a"}],
                "volumes": [{"name": "v", "secret": {"secretName": OWN_SECRET}}],
            }
        )

        assert pod["spec"]["volumes"][0]["secret"]["secretName"] == "pod-a"

    def test_a_whole_one(self) -> None:
        made = build()
        made["metadata"]["uid"] = "uid-of-pod"

        assert builder.secret(made, {"password": b"\xff"}) == {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "pod-a",
                "namespace": APP,
                "labels": {
                    "app.kubernetes.io/managed-by": "actionset-controller",
                    "actionset.cr.kanister.io/uid": "uid-of-actionset",
                },
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Pod", "name": "pod-a", "uid": "uid-of-pod"}
                ],
            },
            "immutable": True,
            "data": {"password": base64.b64encode(b"\xff").decode()},
        }

    def test_no_password_is_shown_with_the_pod(self) -> None:
        assert "hunter2" not in repr(wanted(secret={"password": b"hunter2"}))


def test_a_pod_for_a_namespace_that_is_restricted() -> None:
    override = {
        "securityContext": {"runAsUser": 999},
        "containers": [{"name": "container", "securityContext": {"readOnlyRootFilesystem": True}}],
        "initContainers": [{"name": "first", "image": "b"}],
    }
    pod = build(override=override)

    hardened = builder.restricted(pod)

    assert hardened["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 999,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(hardened)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    first = container(hardened, "first", "initContainers")
    assert first["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "runAsNonRoot" not in pod["spec"]["securityContext"], "the first pod stays as it was"

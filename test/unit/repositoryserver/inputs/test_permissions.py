"""What a RepositoryServer may ask for, and what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from controller.cache.store import Store
from fakes import objects
from fakes.children import server
from reconcilers.errors import InvalidInput
from reconcilers.pods import allowed
from reconcilers.repositoryserver.inputs.permissions import ANNOTATION_ALLOW, Permissions

Object = dict[str, Any]

NAMESPACE = server().namespace
ALLOWED: Object = {"annotations": {ANNOTATION_ALLOW: "true"}}


def account(name: str, metadata: Object | None = None) -> Object:
    return {"metadata": {"name": name, "namespace": NAMESPACE, **(metadata or {})}}


def check(settings: Object, *accounts: Object, **options: Any) -> None:
    store = Store()
    for obj in accounts:
        store.add(obj)
    permissions = Permissions(accounts=store, **options)  # type: ignore[arg-type]  # has what is used
    permissions.check(server({"spec": {"server": settings}}))


@pytest.mark.parametrize(
    ("settings", "accounts"),
    [
        pytest.param({}, [], id="nothing in particular, before any account was seen"),
        pytest.param({"serviceAccountName": "default"}, [], id="what it has anyway"),
        pytest.param(
            {"serviceAccountName": "cloud"}, [account("cloud", ALLOWED)], id="an annotated account"
        ),
        pytest.param(
            {"serviceAccountName": "cloud", "serviceAccountToken": {"audience": "sts"}},
            [account("cloud", ALLOWED)],
            id="a token of an annotated account",
        ),
        pytest.param(
            {"serviceAccountToken": {"audience": "sts"}},
            [account("default", ALLOWED)],
            id="a token of the namespace's own account, annotated",
        ),
        pytest.param({"podLabels": {"app": "kopia"}}, [], id="a label of its own"),
        pytest.param({"podOverride": {"priorityClassName": "high"}}, [], id="a priority"),
    ],
)
def test_allows(settings: Object, accounts: list[Object]) -> None:
    check(settings, *accounts)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"serviceAccountName": "cloud"}, id="named by the resource"),
        pytest.param({}, id="named by nobody else"),
        pytest.param({"serviceAccountToken": {"audience": "sts"}}, id="with a token"),
    ],
)
def test_the_settings_account_needs_no_annotation(settings: Object) -> None:
    check(settings, account("cloud"), settings_account="cloud")


@pytest.mark.parametrize(
    ("settings", "accounts", "reason", "message"),
    [
        pytest.param(
            {},
            [],
            "ServiceAccountMissing",
            f"ServiceAccount {NAMESPACE}/cloud, named by pod.serviceAccountName of the "
            "controller's settings, does not exist; create it, or have whoever runs the controller "
            "correct the name",
            id="it is not there, which is no fault of the resource",
        ),
        pytest.param(
            {},
            [account("cloud", {"labels": {"app": "kanister-operator"}})],
            "ServiceAccountNotAllowed",
            "named by pod.serviceAccountName of the controller's settings, is that of an operator",
            id="it is an operator's, which nobody gives to a server",
        ),
        pytest.param(
            {"serviceAccountName": "other"},
            [account("cloud"), account("other")],
            "ServiceAccountNotAllowed",
            "other is not allowed",
            id="it allows no other account",
        ),
    ],
)
def test_the_settings_account_is_checked_where_the_resource_names_none(
    settings: Object, accounts: list[Object], reason: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check(settings, *accounts, settings_account="cloud")

    assert refusal.value.reason == reason
    assert message in refusal.value.message


def test_the_settings_say_which_overrides_are_taken() -> None:
    settings: Object = {"podOverride": {"hostAliases": []}}

    check(settings, mode=allowed.ANY)
    with pytest.raises(InvalidInput, match="runs with --pod-override=off"):
        check(settings, mode=allowed.OFF)


@pytest.mark.parametrize("mode", allowed.MODES)
def test_the_settings_image_may_be_named(mode: str) -> None:
    check({"image": objects.IMAGE}, mode=mode, settings_image=objects.IMAGE)


@pytest.mark.parametrize("mode", [allowed.RESTRICTED, allowed.OFF])
def test_another_image_is_taken_where_every_override_is(mode: str) -> None:
    settings: Object = {"image": "registry.example/kopia:0.23.1"}

    check(settings, mode=allowed.ANY, settings_image=objects.IMAGE)
    with pytest.raises(InvalidInput) as refusal:
        check(settings, mode=mode, settings_image=objects.IMAGE)

    assert refusal.value.reason == "ImageNotAllowed"
    assert refusal.value.message == (
        "spec.server.image is not that of the controller's settings, the only one that is allowed: "
        "an image can read all that the pod is given; remove it, or have whoever runs the "
        "controller set --pod-override=any"
    )


@pytest.mark.parametrize(
    ("settings", "accounts", "reason", "message"),
    [
        pytest.param(
            {"serviceAccountName": "cloud"},
            [],
            "ServiceAccountMissing",
            f"ServiceAccount {NAMESPACE}/cloud, named by spec.server.serviceAccountName, does not "
            "exist; create it with the annotation cr.kanister.io/allow-repository-servers=true, or "
            "correct the name",
            id="an account that there is not",
        ),
        pytest.param(
            {"serviceAccountName": "cloud"},
            [account("cloud")],
            "ServiceAccountNotAllowed",
            f"ServiceAccount {NAMESPACE}/cloud is not allowed for RepositoryServers; have its "
            f"owner run kubectl annotate -n {NAMESPACE} serviceaccount/cloud "
            "cr.kanister.io/allow-repository-servers=true, or set another one in "
            "spec.server.serviceAccountName",
            id="an account whose owner was not asked",
        ),
        pytest.param(
            {"serviceAccountName": "cloud"},
            [account("cloud", {"annotations": {ANNOTATION_ALLOW: "false"}})],
            "ServiceAccountNotAllowed",
            "is not allowed for RepositoryServers",
            id="an account whose owner said no",
        ),
        pytest.param(
            {"serviceAccountToken": {"audience": "sts"}},
            [account("default")],
            "ServiceAccountNotAllowed",
            f"ServiceAccount {NAMESPACE}/default is not allowed",
            id="a token of the namespace's own account",
        ),
        pytest.param(
            {"serviceAccountName": "repository-server-controller"},
            [account("repository-server-controller", ALLOWED)],
            "ServiceAccountNotAllowed",
            f"ServiceAccount {NAMESPACE}/repository-server-controller, named by "
            "spec.server.serviceAccountName, is that of an operator and is never given to a "
            "server; name another one",
            id="the controller's own, annotated or not",
        ),
        pytest.param(
            {"serviceAccountName": "renamed"},
            [
                account(
                    "renamed",
                    {
                        **ALLOWED,
                        "labels": {"app.kubernetes.io/name": "repository-server-controller"},
                    },
                )
            ],
            "ServiceAccountNotAllowed",
            "is that of an operator",
            id="the controller's own, by another name",
        ),
        pytest.param(
            {"serviceAccountName": "release-kanister-operator"},
            [account("release-kanister-operator", ALLOWED)],
            "ServiceAccountNotAllowed",
            "is that of an operator",
            id="a Kanister operator's, by the name that Helm gives it",
        ),
        pytest.param(
            {"serviceAccountName": "kan"},
            [account("kan", {**ALLOWED, "labels": {"app": "kanister-operator"}})],
            "ServiceAccountNotAllowed",
            "is that of an operator",
            id="a Kanister operator's, by its chart's label",
        ),
        pytest.param(
            {"podLabels": {"app.kubernetes.io/name": "repository-server-controller"}},
            [],
            "PodMetadataNotAllowed",
            "spec.server.podLabels has app.kubernetes.io/name, which is never allowed: the "
            "controller's own objects are found by it; remove it",
            id="the label of the controller's own pods, which its NetworkPolicy selects",
        ),
        pytest.param(
            {"podLabels": {"cr.kanister.io/digest": "other"}},
            [],
            "PodMetadataNotAllowed",
            "has cr.kanister.io/digest",
            id="a label by which a Service selects, stored before the CRD refused it",
        ),
        pytest.param(
            {"podLabels": {"app.kubernetes.io/managed-by": "helm"}},
            [],
            "PodMetadataNotAllowed",
            "has app.kubernetes.io/managed-by",
            id="the label of who manages it",
        ),
        pytest.param(
            {"podAnnotations": {"cr.kanister.io/drain-until": "x"}},
            [],
            "PodMetadataNotAllowed",
            "spec.server.podAnnotations has cr.kanister.io/drain-until",
            id="what the controller notes on a pod, stored before the CRD refused it",
        ),
        pytest.param(
            {
                "podAnnotations": {
                    "container.apparmor.security.beta.kubernetes.io/repo-server-container": "x"
                }
            },
            [],
            "PodMetadataNotAllowed",
            "it would loosen what confines the pod's processes",
            id="a profile without bounds",
        ),
        pytest.param(
            {"podOverride": {"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}},
            [],
            "InvalidPodOverride",
            "volumes[a].hostPath is never allowed",
            id="what no setting allows is not said to depend on one",
        ),
        pytest.param(
            {"podOverride": {"hostAliases": []}},
            [],
            "InvalidPodOverride",
            "--pod-override=any",
            id="an override that needs another setting",
        ),
    ],
)
def test_refuses(settings: Object, accounts: list[Object], reason: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check(settings, *accounts)

    assert refusal.value.reason == reason
    assert message in refusal.value.message

"""What the settings say of each server's pod, and what of it a resource changes."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from fakes.children import DIGEST, FILE_STORE, Object, inputs, of_pod, server
from fakes.storage import Values, storage_of
from reconcilers.kopia.storage import authorities
from reconcilers.repositoryserver.children import revision
from reconcilers.repositoryserver.children.pod import template
from reconcilers.settings import PodDefaults

LINUX = {"kubernetes.io/os": "linux"}
SPOT = {"key": "spot", "operator": "Exists", "effect": "NoSchedule"}
GPU = {"key": "gpu", "operator": "Exists"}
SPREAD = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]}}
S3: Values = {"type": "s3", "bucket": "backups", "region": "eu-west-1"}


def made(defaults: Object, settings: Object | None = None, store: Values = FILE_STORE) -> Object:
    """Return the template of the pods under the defaults of a resource with settings of its own."""
    of = server(of_pod(**(settings or {})))
    full = attrs.evolve(inputs(of), storage=storage_of(of, store), defaults=PodDefaults(**defaults))
    return template(of, full, DIGEST)


@pytest.mark.parametrize(
    ("defaults", "settings", "field", "expected"),
    [
        pytest.param({}, {}, "nodeSelector", None, id="nothing said: any node"),
        pytest.param({"node_selector": LINUX}, {}, "nodeSelector", LINUX, id="the default's nodes"),
        pytest.param(
            {"node_selector": LINUX},
            {"nodeSelector": {"disk": "fast"}},
            "nodeSelector",
            {**LINUX, "disk": "fast"},
            id="a resource adds a label, and does not lose the default's",
        ),
        pytest.param(
            {"node_selector": LINUX},
            {"nodeSelector": {"kubernetes.io/os": "windows"}},
            "nodeSelector",
            {"kubernetes.io/os": "windows"},
            id="its value counts for a label that both name",
        ),
        pytest.param(
            {"tolerations": (SPOT,)},
            {"tolerations": [GPU]},
            "tolerations",
            [GPU, SPOT],
            id="tolerations add up",
        ),
        pytest.param(
            {"tolerations": (SPOT,)},
            {"tolerations": [SPOT, GPU]},
            "tolerations",
            [SPOT, GPU],
            id="and none is there twice",
        ),
        pytest.param(
            {"image_pull_secrets": ({"name": "a"},)},
            {"imagePullSecrets": [{"name": "b"}]},
            "imagePullSecrets",
            [{"name": "b"}, {"name": "a"}],
            id="pull Secrets add up",
        ),
        pytest.param(
            {"service_account_name": "all"}, {}, "serviceAccountName", "all", id="the account"
        ),
        pytest.param(
            {"service_account_name": "all"},
            {"serviceAccountName": "one"},
            "serviceAccountName",
            "one",
            id="an account of its own",
        ),
        pytest.param(
            {"priority_class_name": "high"}, {}, "priorityClassName", "high", id="the priority"
        ),
        pytest.param(
            {"priority_class_name": "high"},
            {"podOverride": {"priorityClassName": "low"}},
            "priorityClassName",
            "low",
            id="an override counts more",
        ),
    ],
)
def test_the_pod(defaults: Object, settings: Object, field: str, expected: Any) -> None:
    assert made(defaults, settings)["spec"].get(field) == expected


def test_affinity_is_kept_beside_the_wish_to_run_where_the_claim_is() -> None:
    own = made({})["spec"]["affinity"]["podAffinity"]

    assert made({"affinity": SPREAD})["spec"]["affinity"] == {**SPREAD, "podAffinity": own}
    assert made({"affinity": SPREAD}, store=S3)["spec"]["affinity"] == SPREAD


def test_an_affinity_to_pods_and_the_wish_to_run_where_the_claim_is_add_up() -> None:
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    required = {"requiredDuringSchedulingIgnoredDuringExecution": ["a"]}
    (own,) = made({})["spec"]["affinity"]["podAffinity"][preferred]

    default = {"podAffinity": {preferred: [{"weight": 1}], **required}}

    assert made({"affinity": default})["spec"]["affinity"] == {
        "podAffinity": {preferred: [{"weight": 1}, own], **required}
    }
    assert default == {"podAffinity": {preferred: [{"weight": 1}], **required}}


@pytest.mark.parametrize(
    ("defaults", "own", "expected"),
    [
        pytest.param(
            {"requests": {"memory": "256Mi"}},
            {},
            {"requests": {"cpu": "50m", "memory": "256Mi"}},
            id="a default of the settings counts more than the built-in one",
        ),
        pytest.param(
            {"limits": {"memory": "1Gi"}},
            {"requests": {"memory": "512Mi"}},
            {"requests": {"cpu": "50m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
            id="they add up by name",
        ),
        pytest.param(
            {"limits": {"memory": "1Gi"}},
            {"requests": {"memory": "2Gi"}},
            {"requests": {"cpu": "50m", "memory": "2Gi"}},
            id="a default limit below the request of the resource does not count",
        ),
        pytest.param(
            {"requests": {"memory": "1Gi"}},
            {"limits": {"memory": "512Mi"}},
            {"requests": {"cpu": "50m"}, "limits": {"memory": "512Mi"}},
            id="nor does a default request above its limit",
        ),
    ],
)
def test_resources(defaults: Object, own: Object, expected: Object) -> None:
    (container,) = made({"resources": defaults}, {"resources": own})["spec"]["containers"]

    assert container["resources"] == expected


def test_annotations_add_up_and_the_resources_own_counts() -> None:
    defaults = {"annotations": {"safe-to-evict": "true", "team": "a"}}

    found = made(defaults, {"podAnnotations": {"team": "b"}})["metadata"]["annotations"]

    assert found.items() >= {"safe-to-evict": "true", "team": "b"}.items()


@pytest.mark.parametrize(
    ("defaults", "is_another"),
    [
        pytest.param({"node_selector": LINUX}, True, id="where it runs"),
        pytest.param({"priority_class_name": "high"}, True, id="its priority"),
        pytest.param({"resources": {"limits": {"memory": "1Gi"}}}, True, id="a limit"),
        pytest.param({"annotations": {"a": "b"}}, False, id="annotations change without a restart"),
    ],
)
def test_changed_defaults_make_another_revision(defaults: Object, is_another: bool) -> None:
    before, after = inputs(), attrs.evolve(inputs(), defaults=PodDefaults(**defaults))

    digests = {revision.revision_hash(server(), one) for one in (before, after)}

    assert (len(digests) == 2) == is_another


class TestAuthorities:
    def test_every_object_store_is_trusted_by_the_bundle_besides_its_own(self) -> None:
        own = storage_of(server(), S3)

        found = authorities.trusting(own, "PEM")

        assert found.files == {**own.files, "settings-ca.crt": "PEM"}
        assert found.environment["SSL_CERT_DIR"].endswith(":/etc/kopia/storage")
        assert found.config == own.config

    def test_without_a_bundle_nothing_changes(self) -> None:
        own = storage_of(server(), S3)

        assert authorities.trusting(own, "") == own

    def test_a_file_store_trusts_nobody(self) -> None:
        own = storage_of(server(), FILE_STORE)

        assert authorities.trusting(own, "PEM") == own

"""What a resource says of its pod: resources, placement, an override, a token."""

from typing import Any, ClassVar

import pytest

from fakes import objects
from fakes.children import (
    DIGEST,
    Object,
    container,
    environment,
    inputs,
    of_pod,
    on_server,
    pod_spec,
    server,
)
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.children import names, network, revision
from reconcilers.repositoryserver.children.pod import template

MEMORY_LIMIT = of_pod(resources={"limits": {"memory": "1Gi"}})


class TestPodSettings:
    @pytest.mark.parametrize(
        ("resources", "expected"),
        [
            pytest.param(
                {}, {"requests": {"cpu": "50m", "memory": "128Mi"}}, id="without any, a small one"
            ),
            pytest.param(
                {"requests": {"memory": "1Gi"}},
                {"requests": {"cpu": "50m", "memory": "1Gi"}},
                id="what is left out keeps its default",
            ),
            pytest.param(
                {"limits": {"memory": "1Gi"}},
                {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
                id="a limit leaves the requests alone",
            ),
            pytest.param(
                {"limits": {"memory": "64Mi", "cpu": "50m"}},
                {"requests": {"cpu": "50m"}, "limits": {"memory": "64Mi", "cpu": "50m"}},
                id="a default above its limit is no request",
            ),
        ],
    )
    def test_the_resources(self, resources: Object, expected: Object) -> None:
        assert container(of_pod(resources=resources))["resources"] == expected

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            pytest.param({}, None, id="without a limit it may take what the node has"),
            pytest.param(MEMORY_LIMIT, "966367641", id="nine tenths of the limit"),
            pytest.param(
                of_pod(podOverride=on_server({"resources": {"limits": {"memory": "1000"}}})),
                "900",
                id="of the limit that an override sets, too",
            ),
            pytest.param(
                objects.merged(
                    MEMORY_LIMIT,
                    of_pod(
                        podOverride=on_server({"env": [{"name": "GOMEMLIMIT", "value": "1GiB"}]})
                    ),
                ),
                "1GiB",
                id="unless the user knows better",
            ),
            pytest.param(
                of_pod(podOverride=on_server({"resources": {"limits": {"memory": "lots"}}})),
                None,
                id="of no amount it is none: the API server refuses it",
            ),
        ],
    )
    def test_kopia_keeps_below_its_memory_limit(self, change: Object, expected: str | None) -> None:
        assert environment(change).get("GOMEMLIMIT") == expected

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            pytest.param("nodeSelector", {"disk": "fast"}, id="labels of the node"),
            pytest.param("tolerations", [{"operator": "Exists"}], id="taints of the node"),
            pytest.param("imagePullSecrets", [{"name": "registry"}], id="the image's registry"),
            pytest.param("serviceAccountName", "cloud", id="the service account"),
        ],
    )
    def test_it_runs_where_and_as_whom_the_resource_says(self, setting: str, value: Any) -> None:
        assert pod_spec(of_pod(**{setting: value}))[setting] == value
        assert setting not in pod_spec()

    def test_its_labels_and_annotations_are_those_of_the_resource_and_ours(self) -> None:
        of = server(
            of_pod(
                podLabels={"team": "a", names.LABEL_HASH: "mine"},
                podAnnotations={"note": "b", names.ANNOTATION_USERS: "mine"},
            )
        )

        metadata = template(of, inputs(of), DIGEST)["metadata"]

        ours = template(server(), inputs(), DIGEST)["metadata"]
        assert metadata["labels"] == {"team": "a", **ours["labels"]}
        assert metadata["annotations"].items() > {"note": "b"}.items()
        assert names.ANNOTATION_USERS not in metadata["annotations"]

    def test_only_the_pod_has_them(self) -> None:
        of = server(of_pod(podLabels={"team": "a"}))

        assert "team" not in network.service(of, DIGEST)["metadata"]["labels"]
        assert "team" not in network.service(of, DIGEST)["spec"]["selector"]
        assert "team" not in revision.snapshot_secret(of, inputs(of), DIGEST)["metadata"]["labels"]

    def test_an_override_comes_last(self) -> None:
        change = of_pod(
            nodeSelector={"disk": "fast"},
            podOverride={"nodeSelector": {"zone": "a"}, **on_server({"image": "other"})},
        )

        spec = pod_spec(change)

        assert spec["nodeSelector"] == {"disk": "fast", "zone": "a"}
        assert spec["containers"][0]["image"] == "other"
        assert spec["containers"][0]["args"] == container()["args"]

    @pytest.mark.parametrize(
        ("lifecycle", "expected"),
        [
            pytest.param(
                {"postStart": {"exec": {"command": ["true"]}}},
                {
                    "postStart": {"exec": {"command": ["true"]}},
                    "preStop": {"exec": {"command": ["sleep", "5"]}},
                },
                id="a hook for the start stands beside ours",
            ),
            pytest.param(
                {"preStop": {"httpGet": {"port": 80}}},
                {"preStop": {"httpGet": {"port": 80}}},
                id="one for the end replaces ours: a hook does one thing",
            ),
            pytest.param("none", "none", id="what is no hook is for the API server to refuse"),
        ],
    )
    def test_a_hook_of_an_override_is_taken(self, lifecycle: Any, expected: Any) -> None:
        change = of_pod(podOverride=on_server({"lifecycle": lifecycle}))

        assert container(change)["lifecycle"] == expected

    def test_an_override_of_what_the_server_depends_on_is_refused(self) -> None:
        of = server(of_pod(podOverride={"volumes": [{"name": "config", "$patch": "delete"}]}))

        with pytest.raises(InvalidInput, match=r"podOverride\.volumes\[config\] must not be "):
            revision.revision_hash(of, inputs(of))


class TestToken:
    """A token of the pod's account for somebody else than the API server."""

    SETTINGS: ClassVar[Object] = {"audience": "sts.example", "expirationSeconds": 600}

    def test_is_a_file_that_the_kubelet_renews(self) -> None:
        spec = pod_spec(of_pod(serviceAccountName="cloud", serviceAccountToken=self.SETTINGS))

        source = {"path": "token", "audience": "sts.example", "expirationSeconds": 600}
        assert spec["volumes"][-1] == {
            "name": "service-account-token",
            "projected": {"sources": [{"serviceAccountToken": source}], "defaultMode": 0o444},
        }
        (server,) = spec["containers"]
        assert server["volumeMounts"][-1] == {
            "name": "service-account-token",
            "mountPath": "/var/run/secrets/cr.kanister.io/serviceaccount",
            "readOnly": True,
        }
        assert spec["automountServiceAccountToken"] is False

    def test_is_not_there_unasked(self) -> None:
        assert "service-account-token" not in str(pod_spec())

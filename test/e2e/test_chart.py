"""The Helm chart, from what the removed chart left to an uninstall, while a server runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from e2e import certificates, removed
from e2e.actionsets import ActionSets, outputs_of
from e2e.backup_client import login
from e2e.cluster import DEPLOYMENTS, NAMESPACE, NAMESPACES
from e2e.conftest import KUBECONFIG, told
from e2e.installation import REPLICAS
from e2e.release import Release
from e2e.removed import DEFINITIONS, FORMER_POD, WEBHOOK, WEBHOOKS
from e2e.server import MAY_CONNECT, is_ready
from e2e.waiting import CLOCK, wait_for
from reconcilers.repositoryserver import api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from controller.resource import Object
    from e2e.backup_client import Client
    from e2e.cluster import Cluster
    from e2e.installation import Controller
    from e2e.kubectl import Ran
    from e2e.server import Server

    RecordSeconds = Callable[[str, float], None]

# It takes the CRD of the whole cluster back to that of the removed chart.
pytestmark = pytest.mark.alone

# Not the namespace of its servers: an install serves others by their names.
RELEASE_NAMESPACE = f"{NAMESPACE}-chart"
DEFINITION = api.REPOSITORY_SERVERS.full_name
NOT_OURS = "invalid ownership metadata"
NOBODY_ANSWERS = "failed calling webhook"

SOMEBODY = "somebody"
READ = {"get", "list", "watch"}
WRITE = {"create", "update", "patch", "delete"}

OUTPUT = """echo '###Phase-output###: {"key": "greeting", "value": "hello"}'"""
METRICS_SECRET = "metrics-tls"
# As the ServiceMonitor has it: the CA of the Secret, and the name of the Service.
READ_METRICS = """
import ssl, sys, urllib.request
trusted = ssl.create_default_context(cafile="/etc/metrics-tls/ca.crt")
url = f"https://{sys.argv[1]}:8080/metrics"
print(urllib.request.urlopen(url, context=trusted).read().decode())
"""

PEER = {"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": MAY_CONNECT}}]}


@pytest.fixture
def no_controller(controller: Controller) -> Iterator[Controller]:
    """Give the controller of the manifests, which serves the same namespace and must not run."""
    controller.scale(0)
    yield controller
    controller.scale(REPLICAS)


@pytest.fixture
def release(
    cluster: Cluster,
    no_controller: Controller,  # noqa: ARG001 - two must not serve one namespace
    tmp_path: Path,
) -> Iterator[Release]:
    """Give a release that is not installed, on a cluster with the CRD of the removed chart."""
    made = Release(cluster, told(KUBECONFIG), "chart", RELEASE_NAMESPACE, tmp_path)
    cluster.client.create(NAMESPACES, "", {"metadata": {"name": RELEASE_NAMESPACE}})
    removed.write_definition(cluster)
    yield made
    made.run("uninstall", made.name, "--ignore-not-found", "--wait")
    cluster.discard(WEBHOOKS, WEBHOOK["metadata"]["name"], "")
    cluster.delete(NAMESPACES, RELEASE_NAMESPACE, "")
    cluster.kubectl.run("apply", "--kustomize=manifests/crd")


def values(cluster: Cluster, **more: Any) -> dict[str, Any]:
    """Return the values of a release under test."""
    repository, _, tag = cluster.controller_image.rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag},
        "namespaces": [NAMESPACE],
        "settings": {"image": cluster.server_image},
        "policies": {"create": True},
        # Each step waits for the pods that it makes, one after the other.
        "replicas": 1,
        **more,
    }


def knows(cluster: Cluster, field: str) -> bool:
    """Return whether the CRD has a field of `spec`."""
    (version,) = cluster.client.get(DEFINITIONS, "", DEFINITION)["spec"]["versions"]
    root = version["schema"]["openAPIV3Schema"]
    return field in root["properties"]["spec"]["properties"]


def may(cluster: Cluster, verb: str, *resource: str) -> bool:
    """Return whether somebody with the role of the test may do something."""
    ran = cluster.kubectl.attempt(
        *("auth", "can-i", verb, *resource, f"--namespace={NAMESPACE}", f"--as={SOMEBODY}")
    )
    return ran.output.strip() == "yes"


def test_from_the_removed_chart_to_an_uninstall_a_server_runs(
    release: Release,
    server: Server,
    cluster: Cluster,
    client: Client,
    record_seconds: RecordSeconds,
) -> None:
    del server.resource["spec"]["server"]["networkPolicy"]
    server.make_volume()
    server.make_repository()
    server.create()
    removed.leave_behind(server)
    cluster.kubectl.create([WEBHOOK])
    began = CLOCK.monotonic()

    def done(what: str) -> None:
        nonlocal began
        record_seconds(what, CLOCK.monotonic() - began)
        began = CLOCK.monotonic()

    # Nobody's release has made the CRD.
    refused = release.apply("install", values(cluster))
    assert refused.code != 0
    assert NOT_OURS in refused.complaint
    assert not knows(cluster, "publish")

    succeed(release.apply("install", values(cluster), "--take-ownership"))
    assert knows(cluster, "publish")
    server.wait(
        "to be taken over",
        lambda obj: is_ready(obj) and obj["status"]["serverInfo"]["podName"] != FORMER_POD,
    )
    pod = server.pod()["metadata"]["uid"]
    done("installed")

    # Its webhook outlives it where its release is not upgraded.
    assert NOBODY_ANSWERS in edit(server).complaint
    cluster.delete(WEBHOOKS, WEBHOOK["metadata"]["name"], "")
    wait_for("the webhook to be forgotten", lambda: edit(server).code, lambda code: code == 0)
    ready = server.wait_ready()
    connection = login(ready, server.password_of())
    client.wait_until_accepted(server.name, connection)

    make_certificate(release, cluster)
    with_more = values(
        cluster,
        log={"level": "debug"},
        actionsets={
            "create": True,
            "kanisterCrds": True,
            "applications": [release.namespace],
            "replicas": 1,
        },
        metrics={"tlsSecretName": METRICS_SECRET},
    )
    succeed(release.apply("upgrade", with_more, "--take-ownership"))
    done("upgraded")

    assert outputs_of(run_action_set(release, cluster)) == {"greet": {"greeting": "hello"}}
    assert leaders(release, cluster) == [release.deployment, release.engine]
    done("an ActionSet ran, and the metrics were read by TLS")

    # As an operator of before does when it starts.
    removed.write_definition(cluster)
    assert not knows(cluster, "publish")
    succeed(release.apply("upgrade", with_more))
    assert knows(cluster, "publish")
    done("upgraded after the CRD was written back")

    succeed(release.run("rollback", release.name, "1", "--wait", "--timeout=90s"))
    assert server.pod()["metadata"]["uid"] == pod
    done("rolled back")

    succeed(release.run("uninstall", release.name, "--wait", "--timeout=90s"))
    assert cluster.get(DEPLOYMENTS, release.deployment, RELEASE_NAMESPACE) is None
    assert knows(cluster, "publish")
    assert server.pod()["metadata"]["uid"] == pod
    assert server.history() == ["True"]
    assert client.connect(server.name, connection).code == 0
    done("uninstalled")


def succeed(ran: Ran) -> None:
    """Assert that Helm has done what it was asked to."""
    assert ran.code == 0, ran


def run_action_set(release: Release, cluster: Cluster) -> Object:
    """Run an ActionSet beside the controllers, and return it as it has ended."""
    action_sets = ActionSets(cluster, namespace=release.namespace)
    arguments = {
        "namespace": release.namespace,
        "image": cluster.controller_image,
        "command": ["sh", "-c", OUTPUT],
    }
    phase = {"func": "KubeTask", "name": "greet", "args": arguments}
    action_sets.make_blueprint("greeter", {"greet": {"phases": [phase]}})
    target = {"kind": "Namespace", "name": release.namespace}
    return action_sets.run("greeting", {"name": "greet", "blueprint": "greeter", "object": target})


def make_certificate(release: Release, cluster: Cluster) -> None:
    """Make the Secret with the certificate of the metrics, as cert-manager makes it."""
    hosts = tuple(metrics_host(release, name) for name in (release.deployment, release.engine))
    pair = certificates.make("metrics", hosts=hosts)
    content = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": pair.certificate}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": METRICS_SECRET, "namespace": release.namespace},
        "stringData": content,
    }
    cluster.kubectl.create([secret])


def metrics_host(release: Release, deployment: str) -> str:
    """Return the name that the ServiceMonitor of a Deployment expects in its certificate."""
    return f"{deployment}-metrics.{release.namespace}.svc"


def leaders(release: Release, cluster: Cluster) -> list[str]:
    """Return the Deployments that say in their metrics that they lead."""
    return [
        deployment
        for deployment in (release.deployment, release.engine)
        if f'leader_election_master_status{{name="{deployment}"}} 1.0'
        in read_metrics(release, cluster, deployment)
    ]


def read_metrics(release: Release, cluster: Cluster, deployment: str) -> str:
    """Return the metrics of a Deployment, read from its pod by the name of its Service."""
    return cluster.kubectl.run(
        *("exec", f"--namespace={release.namespace}", f"deployment/{deployment}"),
        *("--", "python3", "-c", READ_METRICS, metrics_host(release, deployment)),
    )


def edit(server: Server) -> Ran:
    """Let the clients of the other namespace in, as a user does."""
    change = {"spec": {"server": {"networkPolicy": PEER}}}
    return server.cluster.kubectl.attempt(
        *("patch", f"--namespace={NAMESPACE}", f"reposerver/{server.name}", "--type=merge"),
        f"--patch={json.dumps(change)}",
    )


@pytest.fixture
def bound(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    definition: None,  # noqa: ARG001 - who may what is asked of a resource that there is
) -> Iterator[str]:
    """Give somebody a role of the cluster in the namespace, and the roles for people to all."""
    roles = ("--kustomize=manifests/user-roles",)
    cluster.kubectl.run("apply", *roles)
    binding = ("rolebinding", "somebody", f"--namespace={NAMESPACE}")
    cluster.kubectl.run("create", *binding, f"--clusterrole={request.param}", f"--user={SOMEBODY}")
    yield request.param
    cluster.kubectl.run("delete", *binding)
    cluster.kubectl.run("delete", *roles)


@pytest.mark.parametrize(
    ("bound", "allowed"),
    [
        pytest.param("view", READ, id="view"),
        pytest.param("edit", READ | WRITE, id="edit"),
        pytest.param("admin", READ | WRITE, id="admin"),
    ],
    indirect=["bound"],
)
@pytest.mark.usefixtures("bound")
def test_the_roles_of_the_cluster_reach_servers_and_never_their_status(
    cluster: Cluster, allowed: set[str]
) -> None:
    # Kubernetes adds the rules to its own roles a moment later.
    found = wait_for(
        "the roles to be joined",
        lambda: {verb for verb in READ | WRITE if may(cluster, verb, "repositoryservers")},
        lambda verbs: verbs == allowed,
    )

    assert found == allowed
    status = ("--subresource=status",)
    assert not [verb for verb in WRITE if may(cluster, verb, "repositoryservers", *status)]

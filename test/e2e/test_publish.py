"""Clients that know nothing of a server but what it publishes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from e2e import certificates, profiles
from e2e.backup_client import Login, login
from e2e.cluster import CLIENTS, NAMESPACE, Cluster
from e2e.installation import DEPLOYMENT, MANIFESTS
from e2e.node import parse_checksums
from e2e.server import HOST, condition
from e2e.waiting import wait_for
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from controller.resource import Object
    from e2e.backup_client import Client
    from e2e.server import Server
    from fakes.objects import KeyPair

DEFINITION = f"customresourcedefinition/{resources.PROFILES.full_name}"
SAMPLES = MANIFESTS / "samples"


def manifests(folder: Path) -> list[Object]:
    """Return the objects of the files in a folder of manifests, the kustomization left out."""
    files = sorted(path for path in folder.glob("*.yaml") if path.stem != "kustomization")
    return [obj for path in files for obj in yaml.safe_load_all(path.read_text())]


@pytest.fixture
def kanister(cluster: Cluster) -> Iterator[None]:
    """Have Kanister's Profiles in the cluster, and the right to write them."""
    right = manifests(MANIFESTS / "kanister-profiles")
    for obj in right:
        obj["metadata"]["namespace"] = NAMESPACE
        for subject in obj.get("subjects", ()):
            assert subject["name"] == DEPLOYMENT
            subject["namespace"] = NAMESPACE
    # The tests of ActionSets leave it behind, with Kanister's other kinds.
    is_there = cluster.kubectl.attempt("get", DEFINITION).code == 0
    cluster.kubectl.create(right if is_there else [profiles.DEFINITION, *right])
    cluster.kubectl.wait("", DEFINITION, "condition=Established")
    yield
    if not is_there:
        cluster.kubectl.run("delete", DEFINITION)
    for obj in right:
        cluster.kubectl.run(
            "delete", f"--namespace={NAMESPACE}", obj["kind"], obj["metadata"]["name"]
        )


def signed(server: Server, name: str, authority: KeyPair) -> dict[str, str]:
    """Return the values of a Secret with a certificate and its chain, as cert-manager writes it."""
    leaf = certificates.make(name, issuer=authority)
    key = server.cluster.confidential.remember_key("private key", leaf.key)
    chain = leaf.certificate + authority.certificate
    return {"tls.crt": chain, "tls.key": key, "ca.crt": authority.certificate}


def published_profile(server: Server) -> profiles.Access:
    """Return what Kanister reads of the Profile and of its Secrets, and hands to kando."""
    info = server.get()["status"]["serverInfo"]
    client = server.cluster.client
    profile = client.get(resources.PROFILES, NAMESPACE, info["kanisterProfileName"])
    return profiles.read(profile, lambda *where: client.get(resources.SECRETS, *where))


def as_kando(access: profiles.Access) -> Login:
    """Return how kando connects: by the fingerprint of the one certificate that it is given."""
    block = "-----BEGIN CERTIFICATE-----"
    # Kanister decodes one block, and fails if anything is left (pkg/kopia/utils.go).
    assert access.certificate.startswith(block)
    assert access.certificate.count(block) == 1
    leaf = x509.load_pem_x509_certificate(access.certificate.encode())
    fingerprint = leaf.fingerprint(hashes.SHA256()).hex()
    return Login(access.endpoint, fingerprint, access.password, access.username, access.hostname)


# The kinds are the cluster's: those who run ActionSets beside it make and need them too.
@pytest.mark.alone
@pytest.mark.usefixtures("kanister")
def test_who_reads_nothing_but_the_profile_backs_up_and_restores(
    server: Server, client: Client
) -> None:
    """With a certificate that comes with a chain, and with the renewed one."""
    authority = certificates.make("authority")
    server.secrets["tls"]["stringData"] = signed(server, server.name, authority)
    server.resource["spec"]["publish"] = {"kanisterProfile": {}}
    server.start()
    server.wait(
        "to have a Profile", lambda obj: "kanisterProfileName" in obj["status"]["serverInfo"]
    )

    me = as_kando(published_profile(server))
    client.wait_until_accepted(server.name, me)
    written = client.write_files(server.name)
    snapshot = client.back_up(server.name, me)

    server.set_values("tls", {**signed(server, "renewed", authority)})
    again = wait_for(
        "another certificate in the Profile's Secret",
        lambda: as_kando(published_profile(server)),
        lambda now: now.fingerprint != me.fingerprint,
    )
    server.wait(
        "to tell of the same",
        lambda obj: obj["status"]["serverInfo"]["tlsFingerprint"] == again.fingerprint,
    )
    client.wait_until_accepted(server.name, again)
    assert client.restore(server.name, again, snapshot) == written


def test_the_sample_client_needs_nothing_but_two_secrets(server: Server) -> None:
    """It is told of a renewed certificate by the Secret that it mounts."""
    authority = certificates.make("authority")
    server.secrets["tls"]["stringData"] = signed(server, server.name, authority)
    server.resource["spec"]["publish"] = {"connection": {}}
    ready = server.start()
    sample = sample_client(server, ready["status"]["serverInfo"]["connectionSecretName"])
    kubectl, name = server.cluster.kubectl, sample[0]["metadata"]["name"]
    kubectl.create(sample)
    kubectl.wait(NAMESPACE, f"pod/{name}", "condition=Ready")

    ran = kubectl.shell(NAMESPACE, name, BACK_UP_AND_RESTORE)
    assert ran.code == 0, ran
    first, second = ran.output.split("restored\n")
    assert parse_checksums(first) == parse_checksums(second) != {}

    server.set_values("tls", {**signed(server, "renewed", authority)})
    now = server.wait(
        "to show another certificate",
        lambda obj: (
            obj["status"]["serverInfo"]["tlsFingerprint"]
            != ready["status"]["serverInfo"]["tlsFingerprint"]
        ),
    )["status"]["serverInfo"]["tlsFingerprint"]
    # Any change of the pod makes the kubelet look at its volumes now, not within a minute.
    kubectl.run("annotate", f"--namespace={NAMESPACE}", f"pod/{name}", "look=again")
    wait_for(
        "the client to trust the renewed certificate",
        lambda: kubectl.shell(NAMESPACE, name, "cat /tmp/kopia/repository.config"),
        lambda seen: now in seen.output,
    )
    for obj in sample:
        kubectl.run(
            "delete",
            f"--namespace={NAMESPACE}",
            "--wait=false",
            obj["kind"],
            obj["metadata"]["name"],
        )


BACK_UP_AND_RESTORE = """
head -c 100000 /dev/urandom >/data/a-file
cd /data && find . -type f -exec sha256sum {} +
kopia --log-level=error snapshot create /data --no-progress >&2
kopia --log-level=error snapshot restore /data /tmp/restored --no-progress >&2
echo restored
cd /tmp/restored && find . -type f -exec sha256sum {} +
"""


def sample_client(server: Server, connection: str) -> list[Object]:
    """Return the sample's client for a server of these tests: its pod, then its Secret."""
    secret, pod = (
        next(obj for obj in manifests(SAMPLES / "client") if obj["kind"] == kind)
        for kind in ("Secret", "Pod")
    )
    password = f"{server.name}-client"
    for obj in (secret, pod):
        obj["metadata"].update(name=password, namespace=NAMESPACE)
    secret["stringData"] = {"password": server.password_of(HOST)}
    spec: Any = pod["spec"]
    (container,) = spec["containers"]
    container["image"] = server.cluster.server_image
    for variable in container["env"]:
        if "valueFrom" in variable:
            variable["valueFrom"]["secretKeyRef"]["name"] = password
    for volume in spec["volumes"]:
        if "secret" in volume:
            volume["secret"]["secretName"] = connection
    return [pod, secret]


def test_an_account_of_another_namespace_reads_the_one_secret_and_connects(
    server: Server, client: Client
) -> None:
    server.resource["spec"]["publish"] = {"connection": {}}
    ready = server.start()
    connection = ready["status"]["serverInfo"]["connectionSecretName"]
    reader = connection_reader(connection)
    kubectl = server.cluster.kubectl
    kubectl.create(reader)
    me = f"--as=system:serviceaccount:{CLIENTS}:client"
    read = ["get", "secret", f"--namespace={NAMESPACE}", me, "--output=go-template={{%s}}"]

    def value(key: str) -> str:
        arguments = [*read[:-1], read[-1] % f'index .data "{key}" | base64decode', connection]
        return kubectl.run(*arguments)

    other = kubectl.attempt(*read[:-1], f"{server.name}-users")
    listed = kubectl.attempt(*read[:-1])
    described = login(ready, server.password_of())
    told = Login(value("url"), value("fingerprint"), server.password_of())

    assert "forbidden" in other.complaint.lower()
    assert "forbidden" in listed.complaint.lower()
    assert told == described
    assert client.connect(server.name, told).code == 0
    for obj in reader:
        metadata = obj["metadata"]
        kubectl.run("delete", f"--namespace={metadata['namespace']}", obj["kind"], metadata["name"])


def connection_reader(connection: str) -> list[Object]:
    """Return the sample's account of another namespace, and its right to read a Secret."""
    found = copy.deepcopy(manifests(SAMPLES / "connection-reader"))
    for obj in found:
        obj["metadata"]["namespace"] = NAMESPACE if obj["kind"].startswith("Role") else CLIENTS
        for rule in obj.get("rules", ()):
            rule["resourceNames"] = [connection]
        for subject in obj.get("subjects", ()):
            subject["namespace"] = CLIENTS
    return [obj for obj in found if obj["kind"] != "Namespace"]


def test_without_kanister_a_warning_says_so_and_clients_connect(
    server: Server, client: Client
) -> None:
    server.resource["spec"]["publish"] = {"kanisterProfile": {}}

    ready = server.start()
    warned = server.wait("to warn", lambda obj: condition(obj, "ConnectionUnpublished"))

    found = condition(warned, "ConnectionUnpublished")
    assert found is not None
    assert found["status"] == "True"
    assert "add manifests/kanister-profiles to the components" in found["message"]
    assert client.connect(server.name, login(ready, server.password_of())).code == 0

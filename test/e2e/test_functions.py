"""The data functions in pods of a real cluster: each Blueprint of the page, and the sample."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from e2e import blueprints
from e2e.cluster import CLAIMS, CLIENTS, NAMESPACE, VOLUMES, Cluster
from e2e.documented import as_typed, commands_of
from e2e.kubetask import IMAGE, Kanister
from e2e.server import HOST, USERNAME, Server
from e2e.waiting import wait_for
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.blueprints import Blueprint
    from e2e.installation import Controller
    from e2e.node import Node
    from e2e.witness import Witness

SAMPLE: Final = Path(__file__).parents[2] / "manifests/samples/functions"
CLAIM_NAMES: Final = ("data-db-0", "data-db-1")
USER_SECRET: Final = "backup-user"
JOB_SECONDS: Final = 120.0

#: Many small files, odd names, links, owners and modes, and a GiB that is a hole but for one byte.
WRITE_FILES: Final = r"""
mkdir -p many odd links
for number in $(seq 500); do echo "content $number of $PWD" >many/$number; done
truncate -s 1073741824 sparse
printf x | dd of=sparse bs=1 seek=500000000 conv=notrunc 2>/dev/null
touch 'odd/a b' odd/-dash 'odd/*' 'odd/quo"te' "odd/it's" odd/.hidden "odd/$(printf 'new\nline')"
printf '\303\274' | xargs -I{} touch odd/{}
ln -s ../many/1 links/relative
ln -s /etc/hostname links/absolute
ln -s nowhere links/broken
ln many/1 links/hard
chown 1234:4321 many/2
chmod 4751 many/3
chmod 2770 odd
chmod 000 many/4
touch -d '2001-02-03 04:05:06' many/5
"""
WRITE_SMALL: Final = 'mkdir sub; echo "of $PWD" >sub/file; chown -R 65532:65532 .'
#: Everything that a restore must bring back.
DESCRIBE: Final = r"""
find . -type d -exec stat -c '%n|%a|%u|%g' {} + | sort
find . -type f -exec stat -c '%n|%a|%u|%g|%s|%Y' {} + | sort
find . -type l -exec stat -c '%N|%u|%g' {} + | sort
find . -type f -exec sha256sum {} + | sort
"""
LOSE: Final = "find . -mindepth 1 -maxdepth 1 -exec rm -rf {} +"


@pytest.fixture(scope="module")
def server(
    cluster: Cluster,
    node: Node,
    witness: Witness,
    controller: Controller,  # noqa: ARG001 - it makes the server
) -> Iterator[Server]:
    """Give a server that all tests here share."""
    described = Server(cluster, node, witness, "functions")
    described.resource["spec"]["publish"] = {"connection": {}}
    described.start()
    yield described
    described.remove()


@pytest.fixture(scope="module")
def kanister(cluster: Cluster, node: Node, server: Server) -> Iterator[Kanister]:
    """Give what plays Blueprints, with two claims and the user's Secret beside it."""
    for name in CLAIM_NAMES:
        node.make_volume(name)
    user = {"username": USERNAME, "hostname": HOST, "password": server.password_of()}
    cluster.kubectl.create([secret(NAMESPACE, user)])
    yield Kanister(cluster, connection_of(server))
    cluster.discard(resources.SECRETS, USER_SECRET)
    for name in CLAIM_NAMES:
        cluster.delete(CLAIMS, name)
        node.remove_volume(name)


def connection_of(server: Server) -> dict[str, str]:
    """Return what the Secret that is published of a server says."""
    name = f"repo-server-{server.name}-connection"
    published = server.cluster.client.get(resources.SECRETS, NAMESPACE, name)
    return {
        key: base64.b64decode(published["data"][key]).decode() for key in ("url", "fingerprint")
    }


def secret(namespace: str, values: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": USER_SECRET, "namespace": namespace},
        "stringData": values,
    }


def on_volumes(node: Node, script: str, *names: str) -> str:
    """Run a script as root in the folder of each volume, and return what it prints."""
    return "".join(node.shell(f"cd {node.directory}/{name}\n{script}") for name in names)


@pytest.mark.parametrize("blueprint", blueprints.blueprints(), ids=lambda one: one.name)
def test_what_a_blueprint_has_backed_up_is_lost_and_restored(
    blueprint: Blueprint, kanister: Kanister, node: Node
) -> None:
    # Once is enough for what takes longest.
    script = WRITE_FILES if blueprint.name == "folder" else WRITE_SMALL
    on_volumes(node, LOSE, *CLAIM_NAMES)
    on_volumes(node, script, *CLAIM_NAMES[:1])
    on_volumes(node, WRITE_SMALL, *CLAIM_NAMES[1:])
    names = CLAIM_NAMES if blueprint.name == "all" else CLAIM_NAMES[:1]
    written = on_volumes(node, DESCRIBE, *names)

    artifacts = kanister.run(blueprint, "backup", {})
    on_volumes(node, LOSE, *names)
    kanister.run(blueprint, "restore", artifacts)

    assert on_volumes(node, DESCRIBE, *names) == written
    kanister.run(blueprint, "delete", artifacts)
    # It was deleted before: that is no failure.
    kanister.run(blueprint, "delete", artifacts)


def test_nothing_is_left_of_what_was_deleted(kanister: Kanister) -> None:
    """Each Blueprint has deleted what it had backed up."""
    (phase,) = (
        phase
        for blueprint in blueprints.blueprints()
        if blueprint.name == "folder"
        for phase in blueprint.phases("delete")
    )
    override = phase.arguments["podOverride"]
    flags = [f"--{name}={value}" for name, value in kanister.connection.items()]
    script = f'test -z "$(repository-server-functions snapshots {" ".join(flags)})"'

    kanister.run_pod("kanister-job-list", ["sh", "-c", script], override)


def test_the_sample_backs_up_verifies_prunes_and_restores(
    cluster: Cluster, node: Node, server: Server
) -> None:
    words = {
        "backup-client": CLIENTS,
        "namespace: kanister": f"namespace: {NAMESPACE}",
        "kanister/file-store": f"{NAMESPACE}/{server.name}",
        "file-store": server.name,
        f"image: {IMAGE}": f"image: {cluster.controller_image}",
        "placeholder-client-password": server.password_of(),
    }
    text = "\n---\n".join(
        (SAMPLE / name).read_text()
        for name in yaml.safe_load((SAMPLE / "kustomization.yaml").read_text())["resources"]
    )
    for word, other in words.items():
        text = text.replace(word, other)
    objects = [one for one in yaml.safe_load_all(text) if one["kind"] not in _THERE]
    node.make_volume("data", CLIENTS)
    peers = [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": CLIENTS}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": CLIENTS}},
        }
    ]
    server.patch({"spec": {"server": {"networkPolicy": {"from": peers}}}})
    server.wait_ready()
    cluster.kubectl.create(objects)
    on_volumes(node, WRITE_SMALL, "data")
    written = on_volumes(node, DESCRIBE, "data")

    run_job(cluster, "back-up-data", "back-up-data-1")
    run_job(cluster, "verify-data", "verify-data-1")
    run_job(cluster, "prune-data", "prune-data-1")
    on_volumes(node, LOSE, "data")
    (command,) = commands_of(blueprints.PAGE)
    typed = as_typed(command, {"backup-client": CLIENTS})
    cluster.kubectl.run(*typed)
    wait_for_job(cluster, typed[-1])

    assert on_volumes(node, DESCRIBE, "data") == written
    cluster.kubectl.run("delete", "--filename=-", "--wait=false", stdin=yaml.safe_dump_all(objects))
    cluster.discard(CLAIMS, "data", CLIENTS)
    cluster.discard(VOLUMES, f"{NAMESPACE}-data", "")


#: What the test has made already, or makes in another way.
_THERE: Final = ("Namespace", "PersistentVolumeClaim")


def run_job(cluster: Cluster, cron_job: str, name: str) -> None:
    """Have a CronJob of the sample run now, and return when its Job has succeeded."""
    source = f"--from=cronjob/{cron_job}"
    cluster.kubectl.run("create", "job", f"--namespace={CLIENTS}", source, name)
    wait_for_job(cluster, name)


def wait_for_job(cluster: Cluster, name: str) -> None:
    """Return when a Job has succeeded.

    Raises:
        AssertionError: It has failed; the message has the log of its pods.
    """

    def ended() -> dict[str, Any]:
        job = cluster.client.get(resources.JOBS, CLIENTS, name)
        status: dict[str, Any] = job.get("status", {})
        return status

    status = wait_for(
        f"Job {name} to end",
        ended,
        lambda now: now.get("succeeded") or now.get("failed"),
        seconds=JOB_SECONDS,
    )
    selector = f"--selector=batch.kubernetes.io/job-name={name}"
    log = cluster.kubectl.run("logs", f"--namespace={CLIENTS}", selector, "--tail=-1")
    assert status.get("succeeded"), log

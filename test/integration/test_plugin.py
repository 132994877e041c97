"""The plugin of kubectl against a real API server, with no more rights than its page asks for."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from fakes import objects, plugin
from integration.actionpolicies import install_definitions
from integration.running import in_namespace, install_definition
from reconcilers import resources
from reconcilers.actionset.api import ACTION_SETS, BLUEPRINTS
from reconcilers.plugin import exits, main, streams
from reconcilers.plugin.gather import EVENTS
from reconcilers.repositoryserver import connection

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from controller.rest.client import Client

PAGE = Path(__file__).parents[2] / "docs" / "plugin.md"
ACCOUNT = "on-call"


def moved(obj: Any, namespace: str) -> Any:
    """Return an object as it is created in another namespace, its references with it."""
    text = json.dumps(obj).replace(
        f'"namespace": "{objects.NAMESPACE}"', f'"namespace": "{namespace}"'
    )
    return in_namespace(json.loads(text), namespace)


@pytest.fixture
def run(
    kubeconfig: str, kubectl: Callable[..., str], namespace: str, tmp_path: Path
) -> Callable[..., plugin.Printed]:
    """Give a function that runs the plugin with the rights of the Role that its page has."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    role = yaml.safe_load(block)
    role["metadata"]["namespace"] = namespace
    (tmp_path / "role.yaml").write_text(yaml.safe_dump(role))
    there = f"--namespace={namespace}"
    kubectl("create", "serviceaccount", ACCOUNT, there)
    kubectl("create", "--filename", str(tmp_path / "role.yaml"))
    subject = f"--serviceaccount={namespace}:{ACCOUNT}"
    name = role["metadata"]["name"]
    kubectl("create", "rolebinding", name, there, f"--role={name}", subject)
    content = yaml.safe_load(Path(kubeconfig).read_text())
    (entry,) = content["users"]
    entry["user"] = {"token": kubectl("create", "token", ACCOUNT, there).strip()}
    content["contexts"].append(
        {"name": ACCOUNT, "context": {**content["contexts"][0]["context"], "namespace": namespace}}
    )
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(content))

    def run(*arguments: str) -> plugin.Printed:
        stdout, stderr = io.BytesIO(), io.StringIO()
        found = main.run(
            [*arguments, f"--kubeconfig={file}", f"--context={ACCOUNT}"],
            {},
            streams.Streams(stdout, cast("TextIO", stderr)),
        )
        return plugin.Printed(found, stdout.getvalue().decode(), stderr.getvalue())

    return run


@pytest.fixture
def server(client: Client, namespace: str) -> str:
    """Make a server that its status says is served, by a pod that no node runs."""
    install_definition(client)
    wanted = moved(plugin.healthy(), namespace)
    made = client.create(connection.RESOURCE, namespace, wanted)
    status = {"status": {**wanted["status"], "observedGeneration": made["metadata"]["generation"]}}
    name: str = wanted["metadata"]["name"]
    client.merge_patch(connection.RESOURCE, namespace, name, status, subresource="status")
    client.create(
        resources.SECRETS, namespace, moved(objects.users_secret({"web": "made-up"}), namespace)
    )
    pod = moved(plugin.pod(name), namespace)
    container = {"name": connection.CONTAINER, "image": "any"}
    client.create(
        resources.PODS,
        namespace,
        {
            "metadata": {key: pod["metadata"][key] for key in ("name", "labels")},
            "spec": {"containers": [container], "schedulerName": "nobody"},
        },
    )
    event = moved(plugin.event(name, "ServerReady", "clients can connect", minutes=1), namespace)
    event["involvedObject"] = {
        "apiVersion": made["apiVersion"],
        "kind": made["kind"],
        "namespace": namespace,
        "name": name,
        "uid": made["metadata"]["uid"],
    }
    client.create(
        EVENTS,
        namespace,
        {
            **event,
            "action": "Reconcile",
            "reportingComponent": "test",
            "reportingInstance": "test",
        },
    )
    return name


def test_what_is_shown_and_done_with_the_rights_of_the_page(
    run: Callable[..., plugin.Printed], server: str, client: Client, namespace: str
) -> None:
    listed = run("list")
    shown = run("status", server)
    document = json.loads(run("status", server, "-o", "json").stdout)
    connected = json.loads(run("connect", server, "-o", "json").stdout)

    assert [line.split()[:3] for line in listed.stdout.splitlines()[1:]] == [
        [server, "Ready", "connect"]
    ]
    assert (shown.code, shown.stderr) == (exits.DONE, "")
    assert document["notShown"] == {}
    assert document["users"] == [{"user": "backup@web", "secret": objects.USERS}]
    assert [(pod["status"], pod["serves"]) for pod in document["pods"]] == [("Pending", True)]
    assert [event["reason"] for event in document["events"]] == ["ServerReady"]
    assert connected["passwordSecret"] == {
        "namespace": namespace,
        "name": objects.USERS,
        "key": "web",
    }

    assert f"{document['pods'][0]['name']} has written nothing" in run("logs", server).stderr

    restarted = run("restart", server)
    written = client.get(connection.RESOURCE, namespace, server)

    assert restarted.code == exits.DONE
    assert written["spec"]["server"]["restart"]
    # Nobody has seen the change: there is no controller.
    assert json.loads(run("status", server, "-o", "json").stdout)["state"] == "Unseen"


@pytest.fixture
def kanister(client: Client, namespace: str) -> None:
    """Install Kanister's CRDs and a Blueprint."""
    install_definitions(client)
    blueprint = {
        "apiVersion": BLUEPRINTS.api_version,
        "kind": BLUEPRINTS.kind,
        "metadata": {"name": "postgres"},
        "actions": {
            name: {"phases": [{"func": "Wait", "name": "dump", "args": {}}]}
            for name in ("backup", "restore")
        },
    }
    client.create(BLUEPRINTS, namespace, blueprint)


@pytest.mark.usefixtures("kanister")
def test_a_backup_is_made_waited_for_and_gone_on_with(
    run: Callable[..., plugin.Printed], server: str, client: Client, namespace: str
) -> None:
    """There is no engine: the test writes the status."""
    made = run(
        "backup", "--blueprint=postgres", "--statefulset=shop/db", f"--server={server}", "-o=json"
    )
    obj = json.loads(made.stdout)
    name = obj["metadata"]["name"]
    early = run("restore", f"--from={name}")
    nobody = run("wait", name, "--timeout=0")
    (spec,) = obj["spec"]["actions"]
    artifacts = {"dump": {"keyValue": {"backupID": "0123"}}}
    done = {
        **{word: spec[word] for word in ("name", "blueprint", "object")},
        "artifacts": artifacts,
        "phases": [{"name": "dump", "state": "complete"}],
    }
    status = {"status": {"state": "complete", "actions": [done]}}
    client.merge_patch(ACTION_SETS, namespace, name, status)

    waited = run("wait", name)
    restored = json.loads(run("restore", f"--from={name}", "-o=json").stdout)

    assert "not started, not complete" in early.stderr
    assert (nobody.code, waited.code) == (exits.NOT_IN_TIME, exits.DONE)
    assert restored["metadata"]["name"].startswith(f"restore-{name}-")
    assert restored["spec"]["actions"] == [
        {
            "name": "restore",
            "blueprint": "postgres",
            "object": {"kind": "statefulset", "namespace": "shop", "name": "db"},
            "artifacts": artifacts,
            "options": {"repositoryServer": f"{namespace}/{server}"},
        }
    ]


def test_what_fails_is_one_line(run: Callable[..., plugin.Printed], server: str) -> None:
    assert server
    for arguments, sentence in (
        (("status", "missing"), "there is no RepositoryServer missing in namespace"),
        (("status", server, "--namespace=default"), "you may not get repositoryservers"),
        (("list", "--all-namespaces"), "you may not list repositoryservers"),
        (("logs", server, "--pod=missing"), "there is no Pod missing in namespace"),
    ):
        printed = run(*arguments)

        assert (printed.code, printed.stdout) == (exits.FAILED, "")
        assert printed.stderr.count("\n") == 1
        assert sentence in printed.stderr

"""The example of docs/runtime.md, as it stands there: its CRD, its rights, its program."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import yaml
from attrs import define, field

from controller.conditions import conditions_of, is_true
from controller.errors import NotFound
from controller.events import EVENTS
from controller.leaderelection.lease import LEASES, holder_of
from controller.resource import Resource
from e2e.documented import code_blocks
from e2e.waiting import wait_for
from fakes.ports import port_of, reserved
from integration.container import ENDS_WITH_US
from integration.running import DEFINITIONS, serves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.resource import Object
    from controller.rest.client import Client

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = "docs/runtime.md"
NAME: Final = "greeter"

GREETINGS: Final = Resource("example.com", "v1", "greetings", "Greeting")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
CHILD: Final = "hello-greeting"

#: Real seconds after which the program is stuck, not slow.
STUCK_AFTER: Final = 90.0
REQUEST_SECONDS: Final = 30.0


@define
class Program:
    """The program of the page, as a process."""

    process: subprocess.Popen[str]
    health_port: int
    metrics_port: int
    lines: list[str] = field(factory=list)
    _reader: threading.Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def get(self, port: int, path: str) -> tuple[int, str]:
        """Return the status and the body of what it serves; 0 while nothing is served."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()

    def ended(self) -> int:
        """Wait for its end and return its exit code."""
        code = self.process.wait(STUCK_AFTER)
        self._reader.join(STUCK_AFTER)
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                # For pytest, which shows it where a test fails.
                print(line, end="")  # noqa: T201 - see above
                self.lines.append(line)


@pytest.fixture(scope="module", autouse=True)
def definition(client: Client) -> None:
    """Install the CRD of the page."""
    body, _ = manifests()
    client.apply(DEFINITIONS, "", body["metadata"]["name"], body)
    wait_for("the definition", lambda: serves(client, GREETINGS))


@pytest.fixture
def kubeconfig_of_page(
    kubeconfig: str, kubectl: Callable[..., str], namespace: str, tmp_path: Path
) -> Path:
    """Return a kubeconfig whose user has the rights of the page, in one namespace."""
    there = f"--namespace={namespace}"
    role = tmp_path / "role.yaml"
    role.write_text(yaml.safe_dump(manifests()[1]))
    kubectl("apply", there, f"--filename={role}")
    kubectl("create", "serviceaccount", NAME, there)
    subject = f"--serviceaccount={namespace}:{NAME}"
    kubectl("create", "rolebinding", NAME, there, f"--role={NAME}", subject)
    content = yaml.safe_load(Path(kubeconfig).read_text())
    (user,) = content["users"]
    (context,) = content["contexts"]
    user["user"] = {"token": kubectl("create", "token", NAME, there).strip()}
    context["context"]["namespace"] = namespace
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def program(kubeconfig_of_page: Path, tmp_path: Path) -> Iterator[Program]:
    """Start the program of the page; it is killed if the test leaves it running."""
    (source,) = code_blocks(PAGE, "python")
    path = tmp_path / "greeter.py"
    path.write_text(source)
    with reserved() as metrics, reserved() as health:
        ports = {"METRICS_ADDRESS": port_of(metrics), "HEALTH_ADDRESS": port_of(health)}
        process = subprocess.Popen(  # noqa: S603 - a program of ours
            [*ENDS_WITH_US, sys.executable, str(path)],
            env={
                **os.environ,
                **{name: f"127.0.0.1:{port}" for name, port in ports.items()},
                "KUBECONFIG": str(kubeconfig_of_page),
                "PYTHONPATH": str(ROOT),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        yield Program(process, ports["HEALTH_ADDRESS"], ports["METRICS_ADDRESS"])
        process.kill()
        process.wait()


def test_the_operator_of_the_page_works_as_it_stands_there(
    program: Program, client: Client, namespace: str
) -> None:
    wait_for("readiness", lambda: program.get(program.health_port, "/readyz"), is_served)
    client.create(GREETINGS, namespace, greeting("hello", "Good morning"))

    child = wait_for("the ConfigMap", lambda: config_map(client, namespace))
    assert child["data"] == {"text": "Good morning"}
    wait_for("the condition", lambda: is_ready(client, namespace))
    (event,) = wait_for("the event", lambda: events(client, namespace))
    assert (event["reason"], event["reportingController"]) == ("Greeted", NAME)

    client.delete(CONFIG_MAPS, namespace, CHILD)
    wait_for(
        "another ConfigMap",
        lambda: config_map(client, namespace),
        lambda found: found and found["metadata"]["uid"] != child["metadata"]["uid"],
    )

    changed = {"spec": {"text": "Good night"}}
    client.merge_patch(GREETINGS, namespace, "hello", changed)
    wait_for(
        "the changed text",
        lambda: config_map(client, namespace),
        lambda found: found["data"] == {"text": "Good night"},
    )
    assert program.get(program.health_port, "/healthz") == (200, "ok")
    _, metrics = program.get(program.metrics_port, "/metrics")
    assert 'controller_runtime_reconcile_total{controller="greeting",result="success"}' in metrics
    assert 'controller_runtime_reconcile_errors_total{controller="greeting"} 0.0' in metrics

    program.process.send_signal(signal.SIGTERM)

    assert program.ended() == 0
    assert holder_of(client.get(LEASES, namespace, NAME)) == ""
    # Beside the probes, which fail until the caches are filled.
    logged = [json.loads(line) for line in program.lines]
    assert [
        line
        for line in logged
        if line["level"] in ("warning", "error") and line["event"] != "check failed"
    ] == []


def test_a_greeting_on_its_way_out_gets_no_new_config_map(
    program: Program, client: Client, namespace: str
) -> None:
    """Its owner reference would hold up a deletion that waits for the children."""
    del program
    client.create(GREETINGS, namespace, greeting("leaving", "Bye", finalizers=["example.com/test"]))
    wait_for("its ConfigMap", lambda: config_map(client, namespace, "leaving-greeting"))

    client.delete(GREETINGS, namespace, "leaving")
    # One watch shows both, so that the program knows of the deletion once this one has its own.
    client.create(GREETINGS, namespace, greeting("later", "Hello"))
    wait_for("the second ConfigMap", lambda: config_map(client, namespace, "later-greeting"))
    client.delete(CONFIG_MAPS, namespace, "leaving-greeting")
    # It is reconciled after the other one as a rule: a fault may be missed, none is made up.
    client.create(GREETINGS, namespace, greeting("last", "Hello"))
    wait_for("the third ConfigMap", lambda: config_map(client, namespace, "last-greeting"))

    left = config_map(client, namespace, "leaving-greeting")
    client.merge_patch(GREETINGS, namespace, "leaving", {"metadata": {"finalizers": None}})
    assert left == {}


def manifests() -> list[Object]:
    """Return the CRD and the Role of the page."""
    (block,) = code_blocks(PAGE, "yaml")
    return list(yaml.safe_load_all(block))


def is_served(answer: tuple[int, str]) -> bool:
    return answer[0] == http.HTTPStatus.OK


def greeting(name: str, text: str, **metadata: object) -> Object:
    return {
        "apiVersion": GREETINGS.api_version,
        "kind": GREETINGS.kind,
        "metadata": {"name": name, **metadata},
        "spec": {"text": text},
    }


def config_map(client: Client, namespace: str, name: str = CHILD) -> Object:
    """Return a ConfigMap; empty if there is none."""
    try:
        return client.get(CONFIG_MAPS, namespace, name)
    except NotFound:
        return {}


def is_ready(client: Client, namespace: str) -> bool:
    return is_true(conditions_of(client.get(GREETINGS, namespace, "hello")), "Ready")


def events(client: Client, namespace: str) -> list[Object]:
    """Return the events about the Greeting."""
    found: list[Object] = client.list(EVENTS, namespace)["items"]
    return [event for event in found if event["regarding"]["kind"] == GREETINGS.kind]

"""KubeExec on a real node: what the runtime says, and what ends with the connection."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import define, evolve, field
from prometheus_client import CollectorRegistry

from controller.clock import Deadline
from controller.commands import Commands
from controller.metrics import Metrics
from controller.reconcile import Request
from controller.rest.kubeconfig import load_api_client
from controller.rest.podexec import Executor
from controller.rest.transport import Transport
from controller.stop import Stop
from e2e.cluster import NAMESPACE
from e2e.conftest import KUBECONFIG, told
from e2e.waiting import CLOCK, wait_for
from fakes.clock import FakeClock
from fakes.phaseruns import Phase, phase_run
from reconcilers import resources
from reconcilers.actionset.function import Complete, Failed, Running
from reconcilers.actionset.functions.executions import Executions
from reconcilers.actionset.functions.kubeexec import kube_exec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from e2e.cluster import Cluster
    from reconcilers.actionset.function import Step

POD: Final = "kubeexec"
WITH_SHELL: Final = "shell"
WITHOUT: Final = "bare"

#: From the end of a connection to that of a command which ends at once.
END_SECONDS: Final = 30.0


@define
class Engine:
    """A process of the engine, as far as commands go."""

    stop: Stop = field(factory=Stop)
    woken: threading.Event = field(factory=threading.Event)
    executions: Executions = field(init=False)
    thread: threading.Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        metrics = Metrics(CollectorRegistry())
        api_client = load_api_client(told(KUBECONFIG), user_agent="e2e-test")
        executor = Executor(Transport(api_client, clock=CLOCK, metrics=metrics))
        commands = Commands(
            "commands", executor, clock=CLOCK, metrics=metrics, enqueue=lambda _: self.woken.set()
        )
        self.executions = Executions(commands, clock=CLOCK, limit=8)
        self.thread = threading.Thread(target=commands.run, args=(self.stop,), daemon=True)
        self.thread.start()

    def phase(self, *command: str, container: str = WITH_SHELL) -> Phase:
        """Return a phase that runs a command."""
        run = phase_run(FakeClock())
        action = evolve(run.action, object=evolve(run.action.object, namespace=NAMESPACE))
        run = evolve(
            run,
            request=Request(NAMESPACE, os.urandom(8).hex()),
            action=action,
            started_at=CLOCK.now(),
            deadline=Deadline.after(CLOCK, 600.0),
        )
        given: dict[str, Any] = {
            "namespace": NAMESPACE,
            "pod": POD,
            "container": container,
            "command": list(command),
        }
        return Phase(kube_exec(self.executions), FakeClock(), given, run)

    def end(self) -> None:
        self.stop.set()
        self.thread.join()


@pytest.fixture
def engine(pod: Object) -> Iterator[Engine]:
    """Give an engine beside the pod."""
    assert pod
    made = Engine()
    yield made
    made.end()


@pytest.fixture(scope="module")
def pod(cluster: Cluster) -> Iterator[Object]:
    """Give a pod with two containers, one of which has nothing but its program."""
    nodes = cluster.kubectl.run(
        "get", "nodes", "--output=jsonpath={.items[*].status.images[*].names[*]}"
    )
    pause = next(name for name in nodes.split() if "pause" in name)
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    shell = {
        "name": WITH_SHELL,
        "image": cluster.server_image,
        "command": ["sleep", "100000"],
        "securityContext": security,
    }
    body: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD, "namespace": NAMESPACE},
        "spec": {
            "containers": [shell, {"name": WITHOUT, "image": pause, "securityContext": security}],
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65534,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        },
    }
    cluster.client.create(resources.PODS, NAMESPACE, body)
    yield wait_for(
        "the pod to run",
        lambda: cluster.client.get(resources.PODS, NAMESPACE, POD),
        lambda found: found.get("status", {}).get("phase") == "Running",
    )
    cluster.delete(resources.PODS, POD)


def finish(phase: Phase) -> Step:
    return wait_for("the phase to end", phase.advance, lambda step: not isinstance(step, Running))


def test_a_command_with_a_password_runs(engine: Engine, cluster: Cluster) -> None:
    """The last test of all looks for the password in the audit log."""
    password = cluster.confidential.password("an argument of KubeExec")
    script = (
        'echo "log"; echo "###Phase-output###: {\\"key\\":\\"length\\",\\"value\\":\\"${#1}\\"}"'
    )

    step = finish(engine.phase("sh", "-c", script, "x", password))

    # BusyBox counts bytes.
    assert step == Complete({"length": str(len(password.encode()))})


def test_what_fails_says_why(engine: Engine) -> None:
    step = finish(engine.phase("sh", "-c", "echo out; echo 'no space left' >&2; exit 3"))

    assert step == Failed(
        f"command terminated with exit code 3 in container {WITH_SHELL} of pod {NAMESPACE}/{POD};"
        " its last lines: no space left"
    )


def test_a_program_that_is_not_there_is_named_by_the_shell(engine: Engine) -> None:
    step = finish(engine.phase("no-such-program"))

    assert isinstance(step, Failed)
    assert "exit code 127" in step.message
    assert "no-such-program" in step.message


def test_a_container_without_a_shell_is_known_as_such(engine: Engine) -> None:
    step = finish(engine.phase("/pause", container=WITHOUT))

    assert isinstance(step, Failed)
    assert step.message.startswith(
        f"the command was not run in container {WITHOUT} of pod {NAMESPACE}/{POD}: it has no sh"
    )


@pytest.mark.parametrize(
    ("pod_name", "container", "words"),
    [
        pytest.param("no-such-pod", WITH_SHELL, 'pods "no-such-pod" not found', id="no such pod"),
        pytest.param(POD, "no-such-container", "no-such-container", id="no such container"),
        pytest.param(POD, "", "a container name must be specified", id="it has several"),
    ],
)
def test_what_is_not_there_is_named(
    engine: Engine, pod_name: str, container: str, words: str
) -> None:
    run = engine.phase("true", container=container)
    run.given = {**run.given, "pod": pod_name}

    step = finish(run)

    assert isinstance(step, Failed)
    assert step.message.startswith("the command was not run in ")
    assert words in step.message


# Both have children: the shell of a Blueprint is not the program that works.
BUSY: Final = "sleep 98765 & sleep 98765; echo never"


def sleepers(cluster: Cluster) -> int:
    """Return how many of them run in the container."""
    script = "n=0; for f in /proc/[0-9]*/cmdline; do grep -q 98765 $f && n=$((n+1)); done; echo $n"
    # This command has the number in its own words as well.
    counted = cluster.kubectl.run(
        "exec",
        f"--namespace={NAMESPACE}",
        POD,
        f"--container={WITH_SHELL}",
        "--",
        "sh",
        "-c",
        script,
    )
    return int(counted) - 1


@pytest.mark.parametrize("how", ["the engine stops", "the phase is cancelled"])
def test_the_command_ends_with_all_that_it_has_started(
    engine: Engine, cluster: Cluster, how: str
) -> None:
    run = engine.phase("sh", "-c", BUSY)
    run.settle()
    wait_for("the command to run", lambda: sleepers(cluster), lambda count: count >= 2)

    if how == "the engine stops":
        engine.end()
    else:
        step = wait_for(
            "the phase to end",
            lambda: run.function.cancel(run.run),
            lambda step: not isinstance(step, Running),
        )
        assert step == Failed("cancelled; its command was ended")

    wait_for(
        "the command to end",
        lambda: sleepers(cluster),
        lambda count: count == 0,
        seconds=END_SECONDS,
    )

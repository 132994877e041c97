"""The cluster that hack/cluster makes: what the controller relies on, and that nothing is left.

On a cluster of its own, as it is killed and taken down here. Needs root.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clusterlib import components, images, namespace, paths, processes, waiting
from clusterlib.state import State
from e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a cluster with a node needs root"),
    # The first run builds Kubernetes.
    pytest.mark.timeout(1800),
]

COMPONENTS = components.load()
KOPIA = images.reference(images.KOPIA, COMPONENTS)
STATE = State(f"test-e2e-local-{os.getpid()}")

VOLUME = f"""
apiVersion: v1
kind: PersistentVolume
metadata: {{name: e2e-local-cluster}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteOnce]
  storageClassName: manual
  hostPath: {{path: {STATE.directory}/volume, type: DirectoryOrCreate}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data}}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: manual
  resources: {{requests: {{storage: 1Gi}}}}
"""

WORKLOAD = f"""
apiVersion: v1
kind: Secret
metadata: {{name: words}}
stringData: {{index.html: hello}}
---
apiVersion: v1
kind: Pod
metadata: {{name: server, labels: {{app: server}}}}
spec:
  containers:
    - name: server
      image: {KOPIA}
      imagePullPolicy: Never
      command: [/bin/sh, -c, echo started; exec httpd -f -p 8080 -h /words]
      securityContext: {{runAsUser: 0}}
      readinessProbe: {{httpGet: {{path: /index.html, port: 8080}}, periodSeconds: 1}}
      volumeMounts:
        - {{name: words, mountPath: /words}}
        - {{name: data, mountPath: /data}}
  volumes:
    - name: words
      secret: {{secretName: words}}
    - name: data
      persistentVolumeClaim: {{claimName: data}}
---
apiVersion: v1
kind: Service
metadata: {{name: server}}
spec: {{selector: {{app: server}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: server}}
spec:
  podSelector: {{matchLabels: {{app: server}}}}
  policyTypes: [Ingress]
  ingress: [{{from: [{{podSelector: {{matchLabels: {{may: enter}}}}}}]}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: friend, labels: {{may: enter}}}}
spec:
  containers:
    - {{name: client, image: "{KOPIA}", imagePullPolicy: Never, command: [sleep, "3600"]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: stranger}}
spec:
  containers:
    - {{name: client, image: "{KOPIA}", imagePullPolicy: Never, command: [sleep, "3600"]}}
"""

# In two steps, as the image's wget is static and cannot look names up itself.
NAME = "server.default.svc.cluster.local"
FETCH = f"wget -q -O - http://$(nslookup {NAME} | awk '/^Address: / {{print $2}}')"
REFUSED = r"can't connect to remote host \(198\.18\.\d+\.\d+\): Connection refused"


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    output: str


def hack(command: str, *arguments: str) -> None:
    program = [sys.executable, str(paths.HACK / command), *arguments]
    subprocess.run(program, check=True, timeout=1500)  # noqa: S603 - a command of ours


def kubectl(*arguments: str, text: str | None = None) -> Ran:
    program = [str(COMPONENTS.program("kubectl")), f"--kubeconfig={STATE.kubeconfig}"]
    result = subprocess.run(  # noqa: S603 - a program of ours
        [*program, *arguments], input=text, capture_output=True, text=True, check=False
    )
    return Ran(result.returncode, result.stdout + result.stderr)


def start_workload() -> None:
    hack("images", "load", "--name", STATE.name, "kopia")
    waiting.until(
        lambda: kubectl("get", "serviceaccount", "default").code == 0,
        what="the default service account",
        timeout_seconds=90,
    )
    assert kubectl("apply", "--filename=-", text=VOLUME).code == 0
    # The scheduler may miss that the claim of a pod it has looked at is bound, for five minutes.
    bound = kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data", "--timeout=60s")
    assert bound.code == 0, bound.output
    assert kubectl("apply", "--filename=-", text=WORKLOAD).code == 0
    ready = kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=180s")
    assert ready.code == 0, ready.output


def fetched_by(pod: str, holds: Callable[[Ran], object]) -> Ran:
    """Return what a pod gets of the server, once kube-proxy and kube-router have caught up."""
    return wait_for(
        f"{pod} to fetch, or not",
        lambda: kubectl("exec", pod, "--", "sh", "-c", FETCH),
        holds,
    )


def left_over() -> dict[str, list[str]]:
    """Return what the machine has of the cluster, by kind."""
    group = namespace.group_of(STATE)
    below = f"{group}/"
    devices = Path("/sys/class/net").glob("*/ifalias")
    return {
        "marked processes": sorted(processes.running(STATE.directory).values()),
        "containers": [file for file in _contents("/proc/[0-9]*/cgroup") if below in file],
        "control groups": [str(path) for path in Path("/sys/fs/cgroup").glob(f"*{group}")],
        "links": [alias for alias in map(_read, devices) if alias.endswith(f" {STATE.name}\n")],
        "mounts": [line for line in _read(Path("/proc/mounts")).splitlines() if below in line],
        "files": [str(STATE.directory)] if STATE.directory.exists() else [],
    }


def _contents(pattern: str) -> list[str]:
    return [_read(path) for path in Path("/").glob(pattern.lstrip("/"))]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # the process has ended meanwhile


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    hack("cluster", "up", "--name", STATE.name)
    try:
        start_workload()
        yield
    finally:
        hack("cluster", "down", "--name", STATE.name)


@pytest.mark.usefixtures("cluster")
class TestWhatTheControllerReliesOn:
    def test_an_allowed_pod_reaches_a_service_by_its_name(self) -> None:
        assert fetched_by("friend", lambda ran: ran.code == 0) == Ran(0, "hello")

    def test_a_network_policy_refuses_another_pod(self) -> None:
        assert fetched_by("stranger", lambda ran: re.search(REFUSED, ran.output)).code != 0

    def test_logs_are_readable(self) -> None:
        assert kubectl("logs", "server") == Ran(0, "started\n")

    def test_exec_has_an_exit_code_and_standard_input(self) -> None:
        assert kubectl("exec", "friend", "--", "sh", "-c", "exit 7").code == 7
        assert kubectl("exec", "-i", "friend", "--", "cat", text="in") == Ran(0, "in")

    def test_a_persistent_volume_is_a_directory_of_the_machine(self) -> None:
        assert kubectl("exec", "server", "--", "touch", "/data/file").code == 0
        assert (STATE.directory / "volume" / "file").exists()

    def test_the_image_of_kopia_has_kopia_and_a_shell_where_the_official_one_has(self) -> None:
        ran = kubectl("exec", "friend", "--", "/bin/sh", "-c", "/bin/kopia --version")

        assert ran.output.startswith(KOPIA.rpartition(":")[2])

    def test_bringing_it_up_again_changes_nothing(self) -> None:
        # Without what they run for a moment, such as kube-proxy nft.
        before = processes.running_components(STATE.directory)

        hack("cluster", "up", "--name", STATE.name)

        assert processes.running_components(STATE.directory) == before


@pytest.mark.usefixtures("cluster")
class TestWhatIsLeft:
    def test_a_cluster_whose_processes_were_killed_comes_up_again(self) -> None:
        for pid in processes.running(STATE.directory):
            _kill(pid)

        hack("cluster", "up", "--name", STATE.name)

        start_workload()
        assert fetched_by("friend", lambda ran: ran.code == 0) == Ran(0, "hello")

    def test_a_cluster_that_was_taken_down_leaves_nothing(self) -> None:
        running = left_over()
        assert all(running[kind] for kind in running if kind != "mounts"), running

        hack("cluster", "down", "--name", STATE.name)

        assert not any(left_over().values()), left_over()

    def test_a_crashed_cluster_that_is_taken_down_leaves_nothing(self) -> None:
        hack("cluster", "up", "--name", STATE.name)
        start_workload()
        # Without what started them, and without the record of what it was.
        for pid, component in processes.running(STATE.directory).items():
            if component != namespace.INIT:
                _kill(pid)
        (STATE.directory / "cluster.json").unlink()

        hack("cluster", "down", "--name", STATE.name)

        assert not any(left_over().values()), left_over()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # ended with its parent
        os.kill(pid, signal.SIGKILL)

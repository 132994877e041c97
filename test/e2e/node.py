"""A pod that sees the node: for volumes on its disk, and for killing processes of other pods."""

from __future__ import annotations

import shlex
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import field, frozen

from e2e.cluster import LABEL, NAMESPACE, NAMESPACES, NODES, VOLUMES, Cluster
from e2e.waiting import wait_for
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.resource import Object
    from storelib.servers import Store

POD = "node"
# On the node, and by the same paths in the pod. The first is there on any node.
TEMPORARY = "/var/tmp"  # noqa: S108 - what is made there is removed by `remove`
DIRECTORY_PREFIX = "repository-server-test-"

# Longer than any run takes: what is older belongs to one that was killed, perhaps on a cluster
# that is no more.
LEFT_BEHIND_MINUTES = 1440

DEFAULT_OWNER = 65532
HOSTNAME = "kubernetes.io/hostname"
KIBIBYTES = 1024

# The one process of a container that is the first in its own process namespace.
FIND_PROCESS = """
pid=$(for file in $(grep -ls {container} /proc/[0-9]*/cgroup); do
  directory=${{file%/cgroup}}
  if grep -qs 'NSpid:.*[[:space:]]1$' "$directory/status"; then echo "${{directory#/proc/}}"; fi
done)
"""


@frozen
class Node:
    """The node that all of a test's pods run on.

    Attributes:
        cluster: Whose node.
        directory: On its disk, with a folder for each volume. Clusters on one machine may share
            the disk, and so do processes that run tests side by side.
    """

    cluster: Cluster
    directory: str = field(init=False)

    @directory.default
    def _of_the_cluster(self) -> str:
        # As good as a name of the cluster, which has none.
        uid = self.cluster.client.get(NAMESPACES, "", "kube-system")["metadata"]["uid"]
        return f"{TEMPORARY}/{DIRECTORY_PREFIX}{uid}-{NAMESPACE}"

    def start(self) -> None:
        """Start the pod, and remove what a run that was killed has left on the disk."""
        mount = {"name": "temporary", "mountPath": TEMPORARY}
        source = {"path": TEMPORARY, "type": "Directory"}
        self.cluster.kubectl.create(
            [
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": POD, "namespace": NAMESPACE},
                    "spec": {
                        "hostPID": True,
                        "terminationGracePeriodSeconds": 0,
                        "securityContext": {"runAsUser": 0},
                        "containers": [
                            {
                                "name": POD,
                                "image": self.cluster.server_image,
                                "imagePullPolicy": "IfNotPresent",
                                "command": ["/bin/sh", "-c", "while true; do sleep 3600; done"],
                                "volumeMounts": [mount],
                            }
                        ],
                        "volumes": [{"name": "temporary", "hostPath": source}],
                    },
                }
            ]
        )
        self.cluster.kubectl.wait(NAMESPACE, f"pod/{POD}", "condition=Ready")
        self.shell(
            f"find {TEMPORARY} -maxdepth 1 -name '{DIRECTORY_PREFIX}*'"
            f" -mmin +{LEFT_BEHIND_MINUTES} -exec rm -rf {{}} +"
        )
        self.remove()

    def shell(self, script: str) -> str:
        """Run a script as root, and return what it prints.

        Raises:
            AssertionError: It failed; the message has what it said.
        """
        ran = self.cluster.kubectl.shell(NAMESPACE, POD, script)
        assert ran.code == 0, f"in the pod {POD}: {ran}"
        return ran.output

    def remove(self) -> None:
        """Remove what is on the disk."""
        self.shell(f"rm -rf {self.directory}")

    def make_volume(self, name: str, namespace: str = NAMESPACE, *, measured: bool = False) -> None:
        """Make an empty volume on the disk, and the claim that is bound to it.

        Args:
            name: Of both.
            namespace: Of the claim.
            measured: Whether the kubelet measures its space, as it does not that of a hostPath.
        """
        path = f"{self.directory}/{name}"
        source = {"local": {"path": path}}
        if not measured:
            source = {"hostPath": {"path": path, "type": "Directory"}}
        self.shell(f"mkdir -p {self.directory}/{name}")
        here = {"key": HOSTNAME, "operator": "In", "values": [self._hostname()]}
        size = {"storage": "1Gi"}
        shared = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
        self.cluster.kubectl.create(
            [
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolume",
                    "metadata": {"name": f"{NAMESPACE}-{name}", "labels": {LABEL: NAMESPACE}},
                    "spec": {
                        **shared,
                        "capacity": size,
                        "claimRef": {"namespace": namespace, "name": name},
                        **source,
                        "persistentVolumeReclaimPolicy": "Retain",
                        "nodeAffinity": {
                            "required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}
                        },
                    },
                }
            ]
        )
        self.make_claim(name, name, namespace)

    def make_claim(self, name: str, volume: str, namespace: str = NAMESPACE) -> None:
        """Make a claim for a volume."""
        self.cluster.kubectl.create(
            [
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": name, "namespace": namespace},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "storageClassName": "",
                        "volumeName": f"{NAMESPACE}-{volume}",
                        "resources": {"requests": {"storage": "1Gi"}},
                    },
                }
            ]
        )

    def remove_volume(self, name: str) -> None:
        """Remove a volume and what is on the disk."""
        self.cluster.discard(VOLUMES, f"{NAMESPACE}-{name}", "")
        remove = f"rm -rf {self.directory}/{name}"
        # A Kopia that ends may write its log into a folder that is being removed.
        wait_for(
            "a volume to be removed",
            lambda: self.cluster.kubectl.shell(NAMESPACE, POD, remove).code == 0,
        )

    def make_repository(
        self, volume: str, path: str, password: str, *, owner: int = DEFAULT_OWNER
    ) -> None:
        """Make a Kopia repository on a volume, as its administrator does.

        Args:
            volume: Name of the volume.
            path: Of the repository on it.
            password: Its password.
            owner: User id that owns all its files; nobody else may read them.
        """
        directory = shlex.quote(f"{self.directory}/{volume}/{path}")
        self._administer(
            volume,
            password,
            f"""
kopia --log-level=error repository create filesystem --path={directory} \
  --override-username=owner --override-hostname=test </dev/null
""",
            owner,
        )

    def register_user(
        self, volume: str, path: str, password: str, *, user: str, user_password: str
    ) -> None:
        """Write an entry of a user into a repository, as the removed controller did.

        Args:
            volume: Name of the volume.
            path: Of the repository on it.
            password: The repository's.
            user: The user, as `name@host`.
            user_password: The user's password.
        """
        self._change_repository(
            volume,
            path,
            password,
            f"server user add {user} --user-password={shlex.quote(user_password)}",
        )

    def change_password(self, volume: str, path: str, password: str, new_password: str) -> None:
        """Change the password of a repository on a volume, as its administrator does."""
        change = f"repository change-password --new-password={shlex.quote(new_password)}"
        self._change_repository(volume, path, password, change)

    def _change_repository(self, volume: str, path: str, password: str, command: str) -> None:
        """Run a Kopia command on a repository on a volume."""
        directory = shlex.quote(f"{self.directory}/{volume}/{path}")
        self._administer(
            volume,
            password,
            f"""
kopia --log-level=error repository connect filesystem --path={directory}
kopia --no-auto-maintenance --log-level=error {command}
""",
            DEFAULT_OWNER,
        )

    def _administer(self, volume: str, password: str, script: str, owner: int) -> None:
        """Run Kopia on a volume, and give all that is there to an owner."""
        self.shell(f"""
export KOPIA_PASSWORD={shlex.quote(password)} KOPIA_CHECK_FOR_UPDATES=false
export KOPIA_CONFIG_PATH=/tmp/{volume}/repository.config KOPIA_CACHE_DIRECTORY=/tmp/{volume}/cache
export KOPIA_LOG_DIR=/tmp/{volume}/log KOPIA_PERSIST_CREDENTIALS_ON_CONNECT=false
{script}
rm -rf /tmp/{volume}
chown -R {owner}:{owner} {self.directory}/{volume}
chmod -R u=rwX,go= {self.directory}/{volume}
""")

    def make_repository_in(self, store: Store, prefix: str, password: str) -> None:
        """Make a Kopia repository in an object store, as its administrator does.

        Args:
            store: The store.
            prefix: What the names of all objects of the repository begin with.
            password: Its password.
        """
        variables = {**store.variables, **store.environment, "KOPIA_PASSWORD": password}
        exports = "\n".join(
            f"export {name}={shlex.quote(value)}" for name, value in variables.items()
        )
        self.shell(f"""
mkdir -p /tmp/store
{exports}
if [ -n "${{AUTHORITY-}}" ]; then
  export SSL_CERT_FILE=/tmp/store/ca.crt
  echo "$AUTHORITY" >$SSL_CERT_FILE
fi
export KOPIA_CONFIG_PATH=/tmp/store/repository.config KOPIA_CACHE_DIRECTORY=/tmp/store/cache
export KOPIA_LOG_DIR=/tmp/store/log KOPIA_PERSIST_CREDENTIALS_ON_CONNECT=false
export KOPIA_CHECK_FOR_UPDATES=false
kopia --log-level=error repository create {shlex.join(store.kopia)} --prefix={prefix} \
  --override-username=owner --override-hostname=test </dev/null
rm -rf /tmp/store
""")

    def checksums(self, volume: str) -> dict[str, str]:
        """Return the checksum of each file on a volume."""
        return parse_checksums(
            self.shell(f"cd {self.directory}/{volume} && find . -type f -exec sha256sum {{}} +")
        )

    def kill(self, pod: Object) -> None:
        """Kill the main process of a pod's container with SIGKILL."""
        self.shell(f"{_find_process(pod)}\nkill -9 $pid")

    @contextmanager
    def paused(self, pod: Object) -> Iterator[None]:
        """Have the main process of a pod's container do nothing."""
        pid = self.shell(f"{_find_process(pod)}\nkill -STOP $pid\necho $pid").strip()
        try:
            yield
        finally:
            # The kubelet may have killed it for that.
            self.shell(f"kill -CONT {pid} || true")

    def resident_megabytes(self, pod: Object) -> float:
        """Return the memory that the main process of a pod's container has."""
        line = self.shell(f"{_find_process(pod)}\ngrep VmRSS /proc/$pid/status")
        return int(line.split()[1]) / KIBIBYTES

    @contextmanager
    def about_to_kill(self, pod: Object) -> Iterator[Callable[[Callable[[], None]], None]]:
        """Get ready to kill the main process of a pod's container within milliseconds.

        Yields:
            A function that stops the process, calls the function that it is given, kills the
            process, and returns when it is done.
        """
        freeze = "read -r _\nkill -STOP $pid"
        script = f"{_find_process(pod)}\necho found $pid\n{freeze}\nread -r _\nkill -9 $pid"
        command = self.cluster.kubectl.command(
            "exec", "--stdin", f"--namespace={NAMESPACE}", POD, "--", "/bin/sh", "-euc", script
        )
        with subprocess.Popen(  # noqa: S603 - a program that the test run names
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as shell:
            assert shell.stdin is not None
            assert shell.stdout is not None
            assert shell.stdout.readline().split()[1:], "the container has no process"
            stdin = shell.stdin

            def kill(meanwhile: Callable[[], None]) -> None:
                stdin.write("\n")
                stdin.flush()
                meanwhile()
                stdin.write("\n")
                stdin.close()
                assert shell.wait(timeout=60) == 0

            try:
                yield kill
            finally:
                shell.kill()

    def _hostname(self) -> str:
        pod = self.cluster.client.get(resources.PODS, NAMESPACE, POD)
        node = self.cluster.client.get(NODES, "", pod["spec"]["nodeName"])
        hostname: str = node["metadata"]["labels"][HOSTNAME]
        return hostname


def _find_process(pod: Object) -> str:
    status = pod["status"]["containerStatuses"][0]
    return FIND_PROCESS.format(container=status["containerID"].rpartition("/")[2])


def parse_checksums(text: str) -> dict[str, str]:
    """Read what sha256sum prints."""
    lines = (line.split(maxsplit=1) for line in text.splitlines())
    return {name: checksum for checksum, name in lines}

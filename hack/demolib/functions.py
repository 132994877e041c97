"""Loses a folder and restores it by the data functions, in a pod of their own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clusterlib.errors import ClusterError
from demolib.backup import FOLDER, WRITE_FOLDER

if TYPE_CHECKING:
    from demolib.kubectl import Kubectl
    from demolib.objects import Object

POD = "functions"
DATA = "/data"
PROGRAM = "repository-server-functions"

# The user of the samples, and the key of the server's access Secret with its password.
USERNAME, HOSTNAME = "backup", "client"

MARKER = "###Phase-output###:"
CHECKSUMS = f"cd {FOLDER} && find . -type f -exec sha256sum {{}} + | sort"
LOSE = f"rm -rf {FOLDER}"
NO_SUCH_OUTPUT = "{program} has put out no {name}, but: {text}"
DIFFERENT = "what was restored differs:\n{before}{after}"


def pod(*, namespace: str, image: str, server: Object, users: str) -> dict[str, Any]:
    """Return a pod that waits, with the program and a volume.

    Args:
        namespace: where it is: pods of the server's namespace may always connect.
        image: the controller's, which has the program.
        server: the RepositoryServer, which is Ready: its status names Service and fingerprint.
        users: name of its access Secret.
    """
    info = server["status"]["serverInfo"]
    url = f"https://{info['serviceName']}.{server['metadata']['namespace']}.svc:51515"
    password = {"secretKeyRef": {"name": users, "key": HOSTNAME}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD, "namespace": namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "functions",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", "while true; do sleep 3600; done"],
                    "env": [
                        {"name": "RSF_URL", "value": url},
                        {"name": "RSF_FINGERPRINT", "value": info["tlsFingerprint"]},
                        {"name": "RSF_USERNAME", "value": USERNAME},
                        {"name": "RSF_HOSTNAME", "value": HOSTNAME},
                        {"name": "KOPIA_PASSWORD", "valueFrom": password},
                    ],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [
                        {"name": "data", "mountPath": DATA},
                        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - of the pod
                    ],
                }
            ],
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
        },
    }


def outputs_of(text: str) -> dict[str, str]:
    """Return the outputs in what the program has printed."""
    pairs = [
        json.loads(line.removeprefix(MARKER))
        for line in text.splitlines()
        if line.startswith(MARKER)
    ]
    return {pair["key"]: pair["value"] for pair in pairs}


@dataclass(frozen=True)
class Functions:
    """The pod.

    Attributes:
        kubectl: asks the cluster.
        namespace: the pod's.
    """

    kubectl: Kubectl
    namespace: str

    def write_folder(self) -> str:
        """Write a folder of random files, and return their checksums."""
        return self._shell(f"{WRITE_FOLDER}\n{CHECKSUMS}", what="writing the folder")

    def back_up(self) -> dict[str, str]:
        """Back the folder up, and return the outputs.

        Raises:
            ClusterError: it has failed, or there is no tag among the outputs.
        """
        arguments = ["--arg=namespace=demo", "--arg=pod=demo-0", f"--arg=includePath={FOLDER}"]
        text = self._run(PROGRAM, "run", "BackupData", *arguments, what="backing up")
        outputs = outputs_of(text)
        if "backupTag" not in outputs:
            raise ClusterError(
                NO_SUCH_OUTPUT.format(program=PROGRAM, name="backupTag", text=text[:400])
            )
        return outputs

    def lose(self) -> None:
        """Delete the folder."""
        self._shell(LOSE, what="deleting the folder")

    def restore(self, tag: str) -> None:
        """Restore a backup to where it was.

        Args:
            tag: the output `backupTag`.

        Raises:
            ClusterError: it has failed.
        """
        arguments = ["run", "RestoreData", f"--arg=backupTag={tag}"]
        self._run(PROGRAM, *arguments, what="restoring")

    def compare(self, before: str) -> None:
        """Compare what is there to what was backed up, byte for byte.

        Args:
            before: what `write_folder` returned.

        Raises:
            ClusterError: they differ; the message has both.
        """
        after = self._shell(CHECKSUMS, what="comparing")
        if after != before:
            raise ClusterError(DIFFERENT.format(before=before, after=after))

    def _shell(self, script: str, *, what: str) -> str:
        return self._run("/bin/sh", "-eu", what=what, text=script)

    def _run(self, *command: str, what: str, text: str | None = None) -> str:
        stdin = [] if text is None else ["--stdin"]
        options = [f"--namespace={self.namespace}", *stdin, POD, "--"]
        return self.kubectl.run("exec", *options, *command, what=what, text=text)

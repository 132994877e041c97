"""Backs a folder up in the client's pod, restores it elsewhere and compares the two."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from demolib.kubectl import Kubectl

FOLDER = "/data/documents"
RESTORED = "/tmp/restored"  # noqa: S108 - of the pod, not of this machine

# Fresh random contents in each run: nothing can come from an earlier one.
WRITE_FOLDER = f"""\
rm -rf {FOLDER} {RESTORED}
mkdir -p '{FOLDER}/a name with spaces/deep'
head -c 16777216 /dev/urandom >{FOLDER}/large
head -c 1000 /dev/urandom >'{FOLDER}/a name with spaces/deep/small'
date >{FOLDER}/text
: >{FOLDER}/empty
chmod 0640 {FOLDER}/text
"""
# What differs goes where kubectl's complaint goes, into the error.
COMPARE = f"""\
diff -r {FOLDER} {RESTORED} >&2
find {RESTORED} -type f | wc -l
"""

NO_SNAPSHOT = "kopia printed no snapshot, but: {text}"
DIFFERENT = "restored {found} files of {expected}"


@dataclass(frozen=True)
class Snapshot:
    """A backup in the repository.

    Attributes:
        name: its id.
        files: how many files it has.
        size: their bytes.
    """

    name: str
    files: int
    size: int

    def __str__(self) -> str:
        """Return it in words."""
        return f"snapshot {self.name}: {self.files} files, {self.size / 2**20:.1f} MiB"


def parse_snapshot(text: str) -> Snapshot:
    """Read what `kopia snapshot create --json` prints.

    Raises:
        ClusterError: that is no snapshot.
    """
    try:
        document = json.loads(text)
        summary = document["rootEntry"]["summ"]
        return Snapshot(document["id"], summary["files"], summary["size"])
    except (ValueError, KeyError, TypeError):
        raise ClusterError(NO_SNAPSHOT.format(text=text[:400])) from None


@dataclass(frozen=True)
class Client:
    """The client's pod.

    Attributes:
        kubectl: asks the cluster.
        namespace: the pod's.
        pod: the pod's name.
    """

    kubectl: Kubectl
    namespace: str
    pod: str

    def write_folder(self) -> None:
        """Write a folder of random files.

        Raises:
            ClusterError: it could not.
        """
        self._shell(WRITE_FOLDER, what="writing the folder")

    def back_up(self) -> Snapshot:
        """Back the folder up through the server.

        Raises:
            ClusterError: Kopia failed.
        """
        command = ["kopia", "snapshot", "create", FOLDER, "--json", "--no-progress"]
        return parse_snapshot(self._run(*command, what="backing up"))

    def restore(self, snapshot: Snapshot) -> None:
        """Restore a snapshot to another place.

        Raises:
            ClusterError: Kopia failed.
        """
        command = ["kopia", "snapshot", "restore", snapshot.name, RESTORED, "--no-progress"]
        self._run(*command, what="restoring")

    def compare(self, snapshot: Snapshot) -> None:
        """Compare what was restored to what was backed up, byte for byte.

        Raises:
            ClusterError: they differ; the message says where.
        """
        found = int(self._shell(COMPARE, what="comparing"))
        if found != snapshot.files:
            raise ClusterError(DIFFERENT.format(found=found, expected=snapshot.files))

    def _shell(self, script: str, *, what: str) -> str:
        return self._run("/bin/sh", "-eu", what=what, text=script)

    def _run(self, *command: str, what: str, text: str | None = None) -> str:
        stdin = [] if text is None else ["--stdin"]
        options = [f"--namespace={self.namespace}", *stdin, self.pod, "--"]
        return self.kubectl.run("exec", *options, *command, what=what, text=text)

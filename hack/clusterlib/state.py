"""The state directory of one cluster: where its files are, and the record of what it is."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from clusterlib import layout, paths
from clusterlib.certificates import Authority
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_NAME = "reposerver"
NAME_PATTERN = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class Record:
    """What a cluster is; written before anything of it exists, so that `down` always knows.

    Attributes:
        node: whether it has a node, or is a control plane only.
        slot: its slot among the clusters of the same kind.
        audit: whether its API server logs the requests.
        audited_user: whose requests alone are logged, without their bodies; empty for all, with.
    """

    node: bool
    slot: int
    audit: bool = False
    audited_user: str = ""

    @property
    def layout(self) -> layout.Layout:
        """The addresses and ports of the slot."""
        return (layout.with_node if self.node else layout.control_plane_only)(self.slot)


class State:
    """The files of one cluster.

    Args:
        name: the cluster's name.

    Raises:
        ClusterError: the name cannot be one.
    """

    def __init__(self, name: str) -> None:
        if not NAME_PATTERN.fullmatch(name):
            raise ClusterError(
                f"--name {name!r}: take lower-case letters, digits and '-', at most 32, "
                "beginning with a letter"
            )
        self.name = name
        self.directory = paths.clusters() / name
        self.logs = self.directory / "logs"
        self.audit_log = self.logs / "audit.log"
        self.kubeconfig = self.directory / "kubeconfig"
        self.authority = Authority(self.directory / "pki")
        self.etcd_authority = Authority(self.directory / "pki" / "etcd")
        self._record = self.directory / "cluster.json"

    @property
    def lock(self) -> Path:
        """The lock for everything that changes this cluster; outside of what `down` deletes."""
        return paths.cache() / "locks" / f"cluster-{self.name}"

    def read_record(self) -> Record | None:
        """Return the record, or None if there is no such cluster or only a broken rest of one."""
        try:
            return Record(**json.loads(self._record.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write_record(self, record: Record) -> None:
        """Make the state directory with its record."""
        self.logs.mkdir(parents=True, mode=0o700)
        # Whole or not at all, whatever happens in between.
        unfinished = self._record.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(asdict(record)))
        unfinished.rename(self._record)

    def component_kubeconfig(self, component: str) -> Path:
        """Return where the kubeconfig of a component is."""
        return self.directory / "pki" / f"{component}.kubeconfig"

    def remove(self) -> None:
        """Delete the directory with everything in it."""
        if self.directory.exists():
            shutil.rmtree(self.directory)


def all_names() -> list[str]:
    """Return the names of this user's clusters."""
    parent = paths.clusters()
    return sorted(entry.name for entry in parent.iterdir()) if parent.exists() else []


def taken_slots(*, node: bool) -> set[int]:
    """Return the slots of the clusters of one kind."""
    records = [State(name).read_record() for name in all_names()]
    return {record.slot for record in records if record is not None and record.node == node}

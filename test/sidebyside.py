"""Which tests one process runs, where several run side by side."""

from __future__ import annotations

from typing import Final

from xdist.scheduler import LoadScopeScheduling

#: What takes long to make and is shared by the tests of files: one process runs all of those.
SHARING: Final = {
    "test/e2e/test_actionset_postgres.py": "a controller of ActionSets, and PostgreSQL",
    "test/e2e/test_attacker.py": "the attacker's controller",
    "test/e2e/test_datafunctions.py": "a controller of ActionSets, with a server and a workload",
    "test/e2e/test_functions.py": "a server with functions",
    "test/e2e/test_kubeexec.py": "a pod with a shell",
    "test/e2e/test_local_cluster.py": "a cluster that is killed",
    "test/e2e/test_prometheus.py": "a Prometheus, with what it reads",
    "test/integration/test_actionset_scale.py": "a control plane with Kubernetes' controllers",
    "test/integration/test_kopia_client.py": "a Kopia server",
    "test/integration/test_kopia_client_faults.py": "a Kopia server that fails",
    "test/integration/test_kopia_client_refusals.py": "a Kopia server that is damaged",
    "test/integration/test_lost_node.py": "a control plane with Kubernetes' controllers",
    "test/integration/test_outages.py": "a control plane that fails",
    "test/integration/test_refusals.py": "a control plane with Kubernetes' controllers",
}


class OneByOne(LoadScopeScheduling):  # type: ignore[misc] # has no types
    """Gives each process the next test when it is done with another, in the order of the tests.

    Only the tests of the files in `SHARING` stay together, and these come first. pytest-xdist's
    own `loadgroup` goes by marks, which it no longer finds with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """Return what is the same for all tests that stay together."""
    return SHARING.get(nodeid.partition("::")[0], nodeid)

"""Which tests one process runs, where several run side by side."""

from __future__ import annotations

from typing import Final

from xdist.scheduler import LoadScopeScheduling

#: Files whose tests share what takes long to make: one process runs all of them.
SHARING: Final = frozenset(
    {
        "test/e2e/test_attacker.py",
        "test/e2e/test_local_cluster.py",
        "test/integration/test_outages.py",
    }
)


class OneByOne(LoadScopeScheduling):  # type: ignore[misc] # has no types
    """Gives each process the next test when it is done with another, in the order of the tests.

    Only the tests of a file in `SHARING` stay together, and such files come first. pytest-xdist's
    own `loadgroup` goes by marks, which it no longer finds with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """Return what is the same for all tests that stay together."""
    file = nodeid.partition("::")[0]
    return file if file in SHARING else nodeid

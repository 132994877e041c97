"""A machine on which no cluster can be made is told what to do, in one line."""

from __future__ import annotations

import pytest

from clusterlib.errors import ClusterError
from demolib import machine, target


@pytest.mark.parametrize(
    ("debian", "root", "kind", "words"),
    [
        pytest.param(True, False, False, "run it with sudo, or", id="without root: sudo"),
        pytest.param(True, False, False, "--context CONTEXT --image", id="or another cluster"),
        pytest.param(True, False, True, "kind load docker-image", id="with kind: that one"),
        pytest.param(False, True, False, "with a cluster that you have: --c", id="another system"),
        pytest.param(False, False, True, "kind load docker-image", id="another system with kind"),
    ],
)
def test_one_line_says_what_to_do(*, debian: bool, root: bool, kind: bool, words: str) -> None:
    said = machine.judge(debian=debian, root=root, kind=kind)

    assert words in said
    assert "\n" not in said
    assert ("sudo" in said) == debian


@pytest.mark.parametrize("kind", [True, False])
def test_root_on_debian_makes_a_cluster_whether_kind_is_there_or_not(*, kind: bool) -> None:
    assert machine.judge(debian=True, root=True, kind=kind) == ""


def test_nothing_is_begun_on_such_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "unfit", lambda: "run it elsewhere")

    with pytest.raises(ClusterError, match="run it elsewhere"):
        target.OwnCluster("demo").prepare()

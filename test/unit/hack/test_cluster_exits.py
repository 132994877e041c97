"""How a command ends."""

from __future__ import annotations

import pytest

from clusterlib import exits
from clusterlib.errors import ClusterError


@pytest.mark.parametrize("code", [0, 1])
def test_a_command_that_ends_by_itself_says_its_exit_code(code: int) -> None:
    assert exits.code_of(lambda: code) == code


@pytest.mark.parametrize(
    ("end", "code", "printed"),
    [
        pytest.param(ClusterError("no disk"), 1, "error: no disk\n", id="an error, which is told"),
        pytest.param(KeyboardInterrupt(), 130, "", id="an interruption, which needs no words"),
    ],
)
def test_what_ends_it_otherwise(
    end: BaseException, code: int, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> int:
        raise end

    assert exits.code_of(run) == code
    assert capsys.readouterr().err == printed


def test_a_bug_keeps_its_traceback() -> None:
    def run() -> int:
        raise KeyError("x")

    with pytest.raises(KeyError):
        exits.code_of(run)

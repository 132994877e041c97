"""What is fuzzed: the corpus as it stands, what counts as a finding, and the summary."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
import structlog

from fuzzlib import cli, mutation
from fuzzlib.campaign import Outcome, outcome
from fuzzlib.target import MARKER, Finding, Target, judge, secret
from fuzzlib.targets import TARGETS
from reconcilers.errors import InvalidInput
from reconcilers.secrets import pem

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus"
FILES = sorted(CORPUS.glob("*/*"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_nothing_but_a_typed_error_comes_of(file: Path) -> None:
    """No hang, no more memory than its size explains, and no secret value that is shown."""
    judge(TARGETS[file.parent.name], file.read_bytes(), measured=True)


def test_each_target_has_a_corpus_and_each_corpus_a_target() -> None:
    assert {file.parent.name for file in FILES} == set(TARGETS)


def fail(_: bytes) -> object:
    raise KeyError("a key")


def refuse(_: bytes) -> object:
    try:
        raise ValueError(MARKER)
    except ValueError as error:
        raise InvalidInput("Reason", "no value here") from error


def log(_: bytes) -> object:
    structlog.get_logger().info("read", value=MARKER)
    return None


def loop(_: bytes) -> object:
    while True:
        pass


@pytest.mark.parametrize(
    ("target", "what"),
    [
        pytest.param(Target("t", fail), "KeyError is none of the errors", id="an untyped error"),
        pytest.param(Target("t", loop), "longer than 0 s of CPU", id="a hang"),
        pytest.param(
            Target("t", lambda _: len(bytearray(30_000_000))), "bytes of memory", id="a bomb"
        ),
        pytest.param(
            Target("t", lambda _: {"a": MARKER}), "in what it returns", id="a value that is shown"
        ),
        pytest.param(Target("t", log), "in the log", id="a value that is logged"),
        pytest.param(
            Target("t", refuse, (InvalidInput,)), "in its error", id="a value in what caused it"
        ),
    ],
)
def test_a_finding_is(target: Target, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzzlib.target.SECONDS", 0.2)

    with pytest.raises(Finding, match=what):
        judge(target, b"", measured=True)


def test_a_typed_refusal_is_none() -> None:
    judge(Target("t", fail, (KeyError,)), b"")


def test_a_secret_value_is_still_what_it_was() -> None:
    """Otherwise the code behind the first check of it would never be reached."""
    text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

    assert pem.blocks(secret(text)) == pem.blocks(text)
    assert MARKER in secret(text)
    assert secret("YWJj").startswith(MARKER)


def test_a_change_of_json_is_json_and_another_value() -> None:
    seed = {"a": [1, {"b": "text"}], "c": "d"}

    found = {
        mutation.changed(json.dumps(seed).encode(), lambda text: text + b"!", Random(number))  # noqa: S311 - no secret
        for number in range(200)
    }

    assert all(json.loads(data) is not ... for data in found)
    assert len(found) > 100


@pytest.mark.parametrize(
    ("code", "printed", "found"),
    [
        pytest.param(
            0,
            "#2\tINITED cov: 6\n#1024 pulse\nDone 2048 runs in 16 second(s)\n",
            Outcome("t", 2048, ()),
            id="nothing found",
        ),
        pytest.param(
            0,
            "FINDING found-12345678: KeyError in a.py, line 1\nDone 7 runs in 1 second(s)\n",
            Outcome("t", 7, ("found-12345678: KeyError in a.py, line 1",)),
            id="a finding, and it went on",
        ),
        pytest.param(
            -9,
            "#64\tpulse\nSUMMARY: libFuzzer: timeout\n",
            Outcome("t", 64, ("the process ended with code -9: SUMMARY: libFuzzer: timeout",)),
            id="it died",
        ),
    ],
)
def test_what_a_worker_printed_is_summed_up(code: int, printed: str, found: Outcome) -> None:
    assert outcome("t", code, printed) == found


@pytest.mark.parametrize(
    "argument",
    ["--minutes=0", "--minutes=-1", "--minutes=nan", "--minutes=inf", "--jobs=0", "--jobs=two"],
)
def test_no_time_and_no_targets_at_a_time_are_refused(
    argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.parse([argument])

    assert argument.partition("=")[0] in capsys.readouterr().err

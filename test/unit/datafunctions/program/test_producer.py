"""A command whose output is backed up, which must not look complete if the command fails."""

import subprocess
from pathlib import Path

import pytest

from reconcilers.datafunctions.program.producer import Producer
from reconcilers.kopia.client.errors import ProducerFailed


def test_its_output_is_read_to_the_end() -> None:
    with Producer(["printf", "%s", "a dump"]) as producer:
        assert [producer.read(4), producer.read(4), producer.read(4)] == [b"a du", b"mp", b""]


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        pytest.param("printf half; exit 3", [b"half"], id="half way"),
        pytest.param("exit 3", [], id="before it prints anything"),
    ],
)
def test_its_failure_is_raised_where_the_end_would_be(script: str, printed: list[bytes]) -> None:
    with Producer(["sh", "-c", script]) as producer:
        assert [producer.read(100) for _ in printed] == printed
        with pytest.raises(ProducerFailed, match="the command sh has failed with exit code 3"):
            producer.read(100)


def test_reading_all_at_once_finds_it_as_well() -> None:
    with (
        Producer(["sh", "-c", "printf half; exit 3"]) as producer,
        pytest.raises(ProducerFailed, match="exit code 3"),
    ):
        producer.read()


def test_what_nobody_reads_any_more_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with Producer(["sh", "-c", f"echo $$ >{pid}; echo begun; exec sleep 1000"]) as producer:
        assert producer.read(6) == b"begun\n"

    shown = subprocess.run(  # noqa: S603 - a process that the test has started
        ["/bin/kill", "-0", pid.read_text().strip()], capture_output=True, check=False
    )
    assert shown.returncode != 0

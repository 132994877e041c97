"""A command whose output is backed up, which must not look complete if the command fails."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from reconcilers.datafunctions.program.producer import Producer
from reconcilers.kopia.client.errors import ProducerFailed


def test_its_output_is_read_to_the_end() -> None:
    with Producer(["printf", "%s", "a dump"]) as producer:
        assert b"".join(iter(lambda: producer.read(4), b"")) == b"a dump"


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


def test_what_nobody_reads_any_more_is_ended_with_all_that_it_has_started() -> None:
    with Producer(["sh", "-c", "echo begun; sleep 1000 | cat"]) as producer:
        assert producer.read(6) == b"begun\n"
        with ThreadPoolExecutor(1) as executor:
            reading = executor.submit(producer.read, 1)
            producer.__exit__()

            # It ends once nobody has the pipe any more.
            with pytest.raises(ProducerFailed, match="exit code -15"):
                reading.result(60)

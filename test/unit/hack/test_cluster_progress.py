"""What a command shows of its steps."""

from __future__ import annotations

import io
import re

import pytest

from clusterlib.progress import Progress


def test_a_step_shows_its_number_its_words_and_its_seconds() -> None:
    stream = io.StringIO()
    progress = Progress(2, stream)

    with progress.step("building etcd"):
        pass
    with progress.step("starting etcd"):
        pass

    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r"\[1/2\] building etcd \.\.\. \d+\.\d s", first)
    assert re.fullmatch(r"\[2/2\] starting etcd \.\.\. \d+\.\d s", second)


def test_a_failed_step_says_so_and_passes_the_error_on() -> None:
    stream = io.StringIO()

    with pytest.raises(ValueError, match="broken"), Progress(1, stream).step("building etcd"):
        raise ValueError("broken")

    assert re.fullmatch(r"\[1/1\] building etcd \.\.\. failed after \d+\.\d s\n", stream.getvalue())

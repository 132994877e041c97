"""Kopia's lines of progress, as the program of version 0.23.1 printed them."""

import pytest

from reconcilers.kopia.client.model import Progress
from reconcilers.kopia.client.progress import Lines, parsed, size

BACKUP = " | 1 hashing, 7 hashed (758.6 MB), 2 cached (1.5 KB), uploaded 753.8 MB"


@pytest.mark.parametrize(
    ("line", "shown", "rest"),
    [
        pytest.param(
            " | 1 hashing, 0 hashed (65.5 KB), 0 cached (0 B), uploaded 0 B, estimating...",
            Progress(size=65_500, hashed=65_500),
            "",
            id="a backup whose size is not known yet",
        ),
        pytest.param(
            " / 1 hashing, 4 hashed (500 MB), 1 cached (1.5 KB), uploaded 499.9 MB, "
            "estimated 800 MB (62.5%) 1m4s left    ",
            Progress(
                files=5,
                size=500_001_500,
                hashed=500_000_000,
                uploaded=499_900_000,
                total_size=800_000_000,
            ),
            "",
            id="a backup whose size is known; blanks cover what the line before had more",
        ),
        pytest.param(
            " \\ 0 hashing, 20 hashed (6 MB), 0 cached (0 B), uploaded 6 MB (1 fatal errors) "
            "(2 errors ignored), estimating...",
            Progress(files=20, size=6_000_000, hashed=6_000_000, uploaded=6_000_000),
            "",
            id="a backup with errors",
        ),
        pytest.param(
            " - 0 hashing, 1 hashed (1.2.3 B), 0 cached (0 B), uploaded 0 B, estimating...",
            None,
            " - 0 hashing, 1 hashed (1.2.3 B), 0 cached (0 B), uploaded 0 B, estimating...",
            id="a size that is no number is no progress",
        ),
        pytest.param(
            f"Processed {'9' * 5000} (1 B) of 8 (800 MB).",
            None,
            f"Processed {'9' * 5000} (1 B) of 8 (800 MB).",
            id="nor is a number that is longer than any",
        ),
        pytest.param(
            " - 0 hashing, 1 hashed (0 B), 0 cached (0 B), uploaded 0 B, estimating..."
            "upload error: permission denied",
            Progress(files=1),
            "upload error: permission denied",
            id="the log goes on in the line of a backup",
        ),
        pytest.param(
            " / 1 hashing, 7 hashed (798.2 MB), 0 cached (0 B), uploaded 791.1 MB, estimated "
            "800 MB (99.8%) 0s leftflush error: error waiting for async writes",
            Progress(
                files=7,
                size=798_200_000,
                hashed=798_200_000,
                uploaded=791_100_000,
                total_size=800_000_000,
            ),
            "flush error: error waiting for async writes",
            id="the log goes on behind the time that is left",
        ),
        pytest.param(
            " * 0 hashing, 8 hashed (850 MB), 0 cached (0 B), uploaded 6.6 MB, estimated 800 MB "
            "(106.2%) 0s left  ",
            Progress(
                files=8,
                size=850_000_000,
                hashed=850_000_000,
                uploaded=6_600_000,
                total_size=800_000_000,
            ),
            "",
            id="the end of a backup of what has grown",
        ),
        pytest.param(
            "Processed 1 (32.8 KB) of 8 (800 MB).",
            Progress(files=1, size=32_800, total_files=8, total_size=800_000_000),
            "",
            id="a restore that has just begun",
        ),
        pytest.param(
            "Processed 1 (110.3 MB) of 8 (800 MB) 7.5 MB/s (13.8%) remaining 1m31s.error restoring:"
            " restore error",
            Progress(files=1, size=110_300_000, total_files=8, total_size=800_000_000),
            "error restoring: restore error",
            id="a restore; the log goes on in its line",
        ),
        pytest.param(
            "Processed 9 (800 MB) of 8 (800 MB) 46 MB/s (100.0%) remaining 0s. ",
            Progress(files=9, size=800_000_000, total_files=8, total_size=800_000_000),
            "",
            id="the end of a restore, which counts the root as well",
        ),
        pytest.param(
            '{"processedObjectCount":6,"processedBytes":500000000,"readFileCount":5,'
            '"readBytes":500000000,"expectedTotalObjectCount":9,"expectedTotalFileCount":8,'
            '"expectedTotalBytes":800000000}',
            Progress(files=6, size=500_000_000, total_files=9, total_size=800_000_000),
            "",
            id="a verification",
        ),
        pytest.param(
            "Snapshotting alice@h1:/ns/claim ...",
            None,
            "Snapshotting alice@h1:/ns/claim ...",
            id="the log",
        ),
        pytest.param(
            '{"processedObjectCount":6',
            None,
            '{"processedObjectCount":6',
            id="what only begins as a verification does",
        ),
        pytest.param(
            ' ! Error when processing "Processed 1": permission denied',
            None,
            ' ! Error when processing "Processed 1": permission denied',
            id="a file with the name of a line",
        ),
    ],
)
def test_a_line_shows_how_far_a_command_is(line: str, shown: Progress | None, rest: str) -> None:
    assert parsed(line) == (shown, rest)


@pytest.mark.parametrize(
    ("text", "found"),
    [("0 B", 0), ("899 B", 899), ("0.9 KB", 900), ("1.2 MB", 1_200_000), ("3 TB", 3 * 10**12)],
)
def test_a_size_is_read(text: str, found: int) -> None:
    assert size(text) == found


def test_lines_end_at_carriage_returns_as_well_and_come_in_any_pieces() -> None:
    printed = f"Snapshotting x ...\n\r{BACKUP}, estimating...\r\n\nOn\u00fc\nend".encode()
    whole = ["Snapshotting x ...", f"{BACKUP}, estimating...", "On\u00fc", "end"]

    for piece in (1, 2, 7, len(printed)):
        lines = Lines()
        chunks = [printed[at : at + piece] for at in range(0, len(printed), piece)]
        assert [line for chunk in [*chunks, b""] for line in lines.feed(chunk)] == whole


def test_a_line_without_an_end_takes_no_more_memory_than_one() -> None:
    lines = Lines()

    for piece in (b"a" * 10_000, b"b" * 10_000):
        assert list(lines.feed(piece)) == []

    assert list(lines.feed(b"")) == ["b" * 8192]


@pytest.mark.parametrize(
    ("progress", "percent", "remaining"),
    [
        pytest.param(Progress(size=5), None, None, id="the sum is unknown"),
        pytest.param(Progress(size=5, total_size=20, rate=5.0), 25.0, 3.0, id="it is known"),
        pytest.param(Progress(size=5, total_size=20), 25.0, None, id="nothing has come yet"),
        pytest.param(Progress(size=9, total_size=6, rate=1.0), 100.0, 0.0, id="it has grown"),
    ],
)
def test_progress_says_how_much_is_left(
    progress: Progress, percent: float | None, remaining: float | None
) -> None:
    assert (progress.percent, progress.remaining_seconds) == (percent, remaining)

"""Whether a process is connected, as Linux shows it."""

import os
import socket
from pathlib import Path

import pytest

from reconcilers.kopia.client.connections import is_connected, transferred

HEAD = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode\n"
)
ROW = (
    "   0: 0100007F:AF82 0100007F:{port:04X} {state} 00000000:00000000 00:00000000 00000000     0  "
    "      0 {inode} 1 0000000000000000 100 0 0 10 0\n"
)


def process(folder: Path, table: str, *, sockets: tuple[int, ...] = (77,)) -> Path:
    """Make the folder of process 5, and return the one that it is in."""
    (folder / "5" / "fd").mkdir(parents=True)
    (folder / "5" / "net").mkdir()
    for number, inode in enumerate(sockets):
        (folder / "5" / "fd" / str(number)).symlink_to(f"socket:[{inode}]")
    (folder / "5" / "net" / "tcp").write_text(HEAD)
    (folder / "5" / "net" / "tcp6").write_text(HEAD + table)
    return folder


@pytest.mark.parametrize(
    ("table", "sockets", "found"),
    [
        pytest.param(ROW.format(port=443, state="01", inode=77), (3, 77), True, id="connected"),
        pytest.param(ROW.format(port=444, state="01", inode=77), (77,), False, id="elsewhere"),
        pytest.param(
            ROW.format(port=443, state="01", inode=78), (77,), False, id="another process"
        ),
        pytest.param(ROW.format(port=443, state="08", inode=77), (77,), False, id="half closed"),
        pytest.param(ROW.format(port=443, state="02", inode=77), (77,), False, id="not yet open"),
        pytest.param("   0: cut\n", (77,), False, id="a row that is not whole"),
        pytest.param("", (), False, id="no sockets"),
    ],
)
def test_a_connection_is_the_process_own_open_and_to_the_port(
    tmp_path: Path, table: str, sockets: tuple[int, ...], found: bool
) -> None:
    assert is_connected(5, 443, process(tmp_path, table, sockets=sockets)) is found


def test_a_machine_without_one_of_the_protocols_is_seen(tmp_path: Path) -> None:
    process(tmp_path, ROW.format(port=443, state="01", inode=77))

    (tmp_path / "5" / "net" / "tcp").unlink()
    assert is_connected(5, 443, tmp_path) is True
    (tmp_path / "5" / "net" / "tcp6").unlink()
    assert is_connected(5, 443, tmp_path) is None


def test_a_descriptor_that_is_closed_meanwhile_is_left_out(tmp_path: Path) -> None:
    process(tmp_path, ROW.format(port=443, state="01", inode=77))
    # What cannot be read as a link stands for one that has gone.
    (tmp_path / "5" / "fd" / "9").touch()

    assert is_connected(5, 443, tmp_path) is True


def test_a_process_that_cannot_be_seen_is_not_judged(tmp_path: Path) -> None:
    assert is_connected(5, 443, tmp_path) is None


def test_a_process_of_this_machine_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert is_connected(os.getpid(), port) is False
        with socket.create_connection(("127.0.0.1", port)):
            assert is_connected(os.getpid(), port) is True
        assert is_connected(os.getpid(), port) is False


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("rchar: 100\nwchar: 20\nsyscr: 3\n", 120, id="what was read and written"),
        pytest.param("rchar: 100\n", None, id="one of them is not shown"),
        pytest.param("rchar: x\nwchar: 1\n", None, id="no number"),
        pytest.param(None, None, id="nothing is shown"),
    ],
)
def test_what_a_process_has_transferred(
    tmp_path: Path, text: str | None, found: int | None
) -> None:
    (tmp_path / "5").mkdir()
    if text is not None:
        (tmp_path / "5" / "io").write_text(text)

    assert transferred(5, tmp_path) == found

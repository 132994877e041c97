"""Only what was started here is found and killed, whatever process ids say."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from clusterlib import processes, waiting
from clusterlib.errors import ClusterError
from clusterlib.processes import Command
from fakes.ports import port_of, reserved

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLEEP = ["/bin/sleep", "60"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.kill_all(tmp_path)


def start(cluster: Path, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
    return processes.start(Command(name, arguments), cluster=cluster, logs=cluster)


def test_what_was_started_is_found_by_its_mark(cluster: Path) -> None:
    started = start(cluster, "etcd", SLEEP)

    assert processes.running(cluster) == {started.pid: "etcd"}
    assert processes.running_components(cluster) == {"etcd": started.pid}


def test_what_still_loads_its_program_is_found(
    cluster: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started = start(cluster, "etcd", SLEEP)
    real = processes.PROC / str(started.pid)
    waiting.until(lambda: bool((real / "environ").read_bytes()), what="sleep", timeout_seconds=30)
    process = tmp_path / "proc" / str(started.pid)
    process.mkdir(parents=True)
    monkeypatch.setattr(processes, "PROC", process.parent)
    # As the kernel shows it from the moment in which Popen returns, for up to a few milliseconds.
    *before, _, exit_code = (real / "stat").read_text().rsplit(maxsplit=2)
    (process / "stat").write_text(" ".join([*before, "0", exit_code]))
    (process / "environ").write_bytes(b"")

    def load() -> None:
        for file in ("stat", "environ"):
            (process / file).write_bytes((real / file).read_bytes())

    monkeypatch.setattr(os, "sched_yield", load)

    assert processes.running(cluster) == {started.pid: "etcd"}


def test_a_component_stands_back_with_its_whole_session(cluster: Path) -> None:
    command = Command("kube-proxy", SLEEP, nice=10)

    started = processes.start(command, cluster=cluster, logs=cluster)

    assert os.getpriority(os.PRIO_PROCESS, started.pid) == command.nice
    group = processes.PROC / str(started.pid) / "autogroup"
    assert not group.exists() or group.read_text().endswith(f"nice {command.nice}\n")


def test_a_cluster_whose_name_begins_alike_is_another(cluster: Path) -> None:
    start(cluster, "etcd", SLEEP)

    assert processes.running(cluster.with_name(cluster.name[:-1])) == {}


def test_everything_of_the_cluster_is_killed_and_nothing_else(cluster: Path) -> None:
    with subprocess.Popen(SLEEP) as stranger:  # noqa: S603 - a constant of this file
        mine = [start(cluster, "etcd", SLEEP), start(cluster, "kubelet", SLEEP)]

        killed = processes.kill_all(cluster)

        assert killed == len(mine)
        assert [process.wait(timeout=30) for process in mine] == [-9, -9]
        assert stranger.poll() is None
        stranger.kill()


def test_a_component_is_signalled_and_no_other(cluster: Path) -> None:
    etcd, kubelet = start(cluster, "etcd", SLEEP), start(cluster, "kubelet", SLEEP)

    assert processes.signal_component(cluster, "kubelet", signal.SIGTERM) == 1

    assert kubelet.wait(timeout=30) == -signal.SIGTERM
    assert etcd.poll() is None
    assert processes.signal_component(cluster, "kubelet", signal.SIGTERM) == 0


def test_a_killed_component_has_closed_its_sockets(cluster: Path) -> None:
    # Many threads and much memory: it takes a while from the end of the first to the last's.
    script = f"""
import socket, sys, threading
memory = bytearray(b"x") * {256 << 20}
for _ in range(50):
    threading.Thread(target=threading.Event().wait).start()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
"""
    # A port that nobody else is given in the moment when it is free.
    with reserved() as kept:
        port = port_of(kept)
        start(cluster, "etcd", [sys.executable, "-c", script, str(port)])
        log = cluster / "etcd.log"
        waiting.until(lambda: bool(log.read_text()), what="its port", timeout_seconds=30, log=log)

        assert processes.kill_component(cluster, "etcd") == 1

        socket.create_server(("127.0.0.1", port)).close()
        assert processes.kill_component(cluster, "etcd") == 0


def test_killing_nothing_is_no_error(cluster: Path) -> None:
    assert processes.kill_all(cluster) == 0


def test_a_child_that_outlives_its_component_is_not_taken_for_it(cluster: Path) -> None:
    # As containerd's shims do: they inherit the mark.
    script = "import subprocess; subprocess.Popen(['/bin/sleep', '60'])"
    start(cluster, "containerd", [sys.executable, "-c", script]).wait(timeout=30)

    assert list(processes.running(cluster).values()) == ["containerd"]
    assert processes.running_components(cluster) == {}


def test_output_goes_to_the_log_of_the_component(cluster: Path) -> None:
    start(cluster, "etcd", ["/bin/echo", "hello"]).wait(timeout=30)

    assert (cluster / "etcd.log").read_text() == "hello\n"


def test_components_do_not_inherit_a_proxy(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test")

    start(cluster, "etcd", ["/usr/bin/env"]).wait(timeout=30)

    assert "proxy.test" not in (cluster / "etcd.log").read_text()


def test_components_do_not_inherit_a_umask(cluster: Path) -> None:
    former = os.umask(0o077)
    try:
        start(cluster, "etcd", ["/bin/sh", "-c", "umask"]).wait(timeout=30)
    finally:
        os.umask(former)

    assert (cluster / "etcd.log").read_text() == "0022\n"


def test_a_failed_command_says_what_it_was_for_and_what_it_said() -> None:
    script = "import sys; sys.exit('no such device')"

    with pytest.raises(ClusterError, match=r"making the link: .* failed: no such device"):
        processes.run([sys.executable, "-c", script], what="making the link")

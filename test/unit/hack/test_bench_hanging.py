"""What stands for a node on which every command hangs."""

from __future__ import annotations

import socket

import pytest

from benchlib import hanging
from clusterlib.errors import TimedOut


def test_a_connection_is_taken_and_never_answered() -> None:
    with (
        hanging.SilentKubelet() as kubelet,
        socket.create_connection(("127.0.0.1", kubelet.port)) as asking,
    ):
        asking.sendall(b"POST /exec HTTP/1.1\r\n\r\n")
        kubelet.wait_until_asked()

        asking.setblocking(False)  # noqa: FBT003 - socket's own signature
        with pytest.raises(BlockingIOError):
            asking.recv(1)


def test_each_command_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with hanging.SilentKubelet() as kubelet:
        address = ("127.0.0.1", kubelet.port)
        with socket.create_connection(address):
            kubelet.wait_until_asked()
            monkeypatch.setattr(hanging, "COMMAND_TIMEOUT_SECONDS", 0)
            with pytest.raises(TimedOut, match="a command is run in the pod"):
                kubelet.wait_until_asked()


def test_its_connections_end_with_it() -> None:
    with hanging.SilentKubelet() as kubelet:
        asking = socket.create_connection(("127.0.0.1", kubelet.port))
        kubelet.wait_until_asked()

    with asking:
        assert asking.recv(1) == b""


def test_a_pod_looks_as_if_all_its_containers_were_ready() -> None:
    containers = [{"name": "server", "image": "kopia:1"}, {"name": "other", "image": "other:1"}]

    status = hanging.running_status({"spec": {"containers": containers}})

    assert status["phase"] == "Running"
    assert [one["name"] for one in status["containerStatuses"]] == ["server", "other"]
    assert all(one["ready"] for one in status["containerStatuses"])
    assert {one["type"] for one in status["conditions"]} >= {"Ready", "ContainersReady"}

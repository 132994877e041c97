"""The demo's pod with the data functions, and what it reads of their outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clusterlib.errors import ClusterError
from demolib.functions import Functions, outputs_of, pod
from reconcilers.datafunctions.outputs import lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from demolib.kubectl import Kubectl

SERVER = {
    "metadata": {"name": "files", "namespace": "kanister"},
    "status": {"serverInfo": {"serviceName": "repo-server-files", "tlsFingerprint": "ab" * 32}},
}


def test_the_pod_knows_the_server_and_gets_the_password_from_its_access_secret() -> None:
    made = pod(namespace="kanister", image="controller:1", server=SERVER, users="files-users")

    (container,) = made["spec"]["containers"]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert variables == {
        "RSF_URL": "https://repo-server-files.kanister.svc:51515",
        "RSF_FINGERPRINT": "ab" * 32,
        "RSF_USERNAME": "backup",
        "RSF_HOSTNAME": "client",
        "KOPIA_PASSWORD": None,
    }
    assert container["image"] == "controller:1"


def test_outputs_are_those_that_the_program_prints() -> None:
    printed = lines({"backupTag": "abc", "size": "1 B"})

    assert outputs_of(f"something else\n{printed}") == {"backupTag": "abc", "size": "1 B"}


def test_a_backup_without_a_tag_is_an_error(
    scripted_kubectl: Callable[[str], Kubectl],
) -> None:
    functions = Functions(scripted_kubectl("#!/bin/sh\necho strange\n"), "kanister")

    with pytest.raises(ClusterError, match="has put out no backupTag, but: strange"):
        functions.back_up()


def test_what_was_restored_must_be_what_was_there(
    scripted_kubectl: Callable[[str], Kubectl],
) -> None:
    functions = Functions(
        scripted_kubectl("#!/bin/sh\ncat >/dev/null\necho 1 ./file\n"), "kanister"
    )

    functions.compare("1 ./file\n")
    with pytest.raises(ClusterError, match=r"2 \./file"):
        functions.compare("2 ./file\n")

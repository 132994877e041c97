"""Repositories in object stores: each kind against a real server process on this machine."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from e2e.backup_client import login
from e2e.cluster import NAMESPACE
from e2e.server import condition, is_ready
from e2e.waiting import CLOCK, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object
    from e2e.backup_client import Client
    from e2e.server import Server
    from e2e.stores import ObjectStores


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("s3", id="s3 over TLS with an authority of its own"),
        pytest.param("sts", id="s3 by a role that Kopia assumes"),
        pytest.param("gcs", id="google cloud storage"),
        pytest.param("azure", id="azure over TLS with an authority of its own"),
        pytest.param("azure-sas", id="azure by a token in place of the key"),
    ],
)
def test_files_are_restored_as_they_were_from(
    server: Server,
    client: Client,
    stores: ObjectStores,
    record_seconds: Callable[[str, float], None],
    kind: str,
) -> None:
    server.move_to(stores.get(kind))
    server.make_repository()
    began = CLOCK.monotonic()
    server.create()
    ready = server.wait_ready()
    record_seconds("Ready after", CLOCK.monotonic() - began)

    me = login(ready, server.password_of())
    assert client.connect(server.name, me).code == 0
    written = client.write_files(server.name)
    restored = client.restore(server.name, me, client.back_up(server.name, me))

    assert len(written) == 6
    assert restored == written
    if kind == "sts":
        # S3 itself is never asked at the root.
        assert re.search(r'"POST / HTTP/1\.1" 200', stores.log("sts"))


def test_a_repository_for_reading_only_is_restored_from_and_not_written_to(
    server: Server, client: Client
) -> None:
    """Its volume is read-only as well, and its users are not in the repository."""
    me = login(server.start(), server.password_of())
    assert client.connect(server.name, me).code == 0
    written = client.write_files(server.name)
    snapshot = client.back_up(server.name, me)

    me = login(changed(server, {"readOnly": True}), server.password_of())

    assert client.restore(server.name, me, snapshot) == written
    # The node leads clients to the former pod for a moment longer.
    refused = wait_for(
        "a refusal", lambda: client.attempt_to_back_up(server.name, me), lambda ran: ran.code != 0
    )
    assert "read-only" in refused.complaint


def test_a_former_state_of_a_bucket_is_restored_from(
    server: Server, client: Client, stores: ObjectStores
) -> None:
    server.move_to(stores.get("s3"))
    me = login(server.start(), server.password_of())
    assert client.connect(server.name, me).code == 0
    written = client.write_files(server.name)
    snapshot = client.back_up(server.name, me)
    # Times of S3 are whole seconds.
    moment = CLOCK.now().replace(microsecond=0) + timedelta(seconds=2)
    wait_for("the moment to be over", CLOCK.now, lambda now: now > moment + timedelta(seconds=2))
    later = client.back_up(server.name, me)

    me = login(changed(server, {"pointInTime": moment.isoformat()}), server.password_of())

    wait_for(
        "the former snapshots",
        lambda: client.snapshots(server.name, me),
        lambda seen: seen == [snapshot],
    )
    assert later != snapshot
    assert client.restore(server.name, me, snapshot) == written


def changed(server: Server, repository: Object) -> Object:
    """Change `spec.repository`, and return the resource once another pod serves."""
    former = server.get()["status"]["serverInfo"]["podName"]
    server.patch({"spec": {"repository": repository}})
    return server.wait(
        "to be served by another pod",
        lambda seen: is_ready(seen) and seen["status"]["serverInfo"]["podName"] != former,
    )


@frozen
class Fault:
    """What is wrong with a store, or with what a server is told of it.

    Attributes:
        kind: The store.
        role: The Secret that is wrong.
        values: What is wrong in it; None for a key that is missing.
        reason: What Ready tells.
        mends: What its message names.
    """

    kind: str
    role: str
    values: dict[str, str | None]
    reason: str
    mends: str


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            Fault(
                "s3",
                "credential",
                {"aws_secret_access_key": "wrong"},
                "StorageAccessDenied",
                "correct Secret {namespace}/{name}-credential",
            ),
            id="a wrong secret key of s3",
        ),
        pytest.param(
            Fault(
                "s3",
                "location",
                {"ca.crt": None},
                "StorageCertificateUntrusted",
                "under key ca.crt of Secret {namespace}/{name}-location",
            ),
            id="no authority for the certificate of s3",
        ),
        pytest.param(
            Fault(
                "azure",
                "location",
                {"bucket": "elsewhere"},
                "BucketMissing",
                "correct key bucket of Secret {namespace}/{name}-location",
            ),
            id="a container that azure does not have",
        ),
        pytest.param(
            Fault(
                "gcs",
                "location",
                {"bucket": "elsewhere"},
                "BucketMissing",
                "correct key bucket of Secret {namespace}/{name}-location",
            ),
            id="a bucket that google does not have",
        ),
    ],
)
def test_a_fault_of_the_store_is_told_and_is_over_when_it_is_mended(
    server: Server, stores: ObjectStores, fault: Fault
) -> None:
    server.move_to(stores.get(fault.kind))
    server.make_repository()
    values = server.secrets[fault.role]["stringData"]
    right = {key: values[key] for key in fault.values}
    wrong = {key: value for key, value in fault.values.items() if value is not None}
    server.secrets[fault.role]["stringData"] = {
        **{key: value for key, value in values.items() if key not in right},
        **wrong,
    }
    server.create()

    server.wait(f"to tell {fault.reason}", lambda seen: ready_of(seen)["reason"] == fault.reason)
    assert (
        fault.mends.format(namespace=NAMESPACE, name=server.name)
        in ready_of(server.get())["message"]
    )

    server.set_values(fault.role, right)
    server.wait_ready()


def ready_of(server: Object) -> dict[str, str]:
    """Return the condition Ready; one without a word where there is none."""
    return condition(server, "Ready") or {"reason": "", "message": ""}

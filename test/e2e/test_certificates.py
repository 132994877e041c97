"""Certificates that the controller makes are served and renewed, and the end of others is told."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from e2e import certificates
from e2e.backup_client import login
from e2e.cluster import NAMESPACE
from e2e.server import condition, events_of
from e2e.waiting import CLOCK, wait_for
from fakes.objects import KeyPair
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object
    from e2e.backup_client import Client
    from e2e.cluster import Cluster
    from e2e.installation import Controller
    from e2e.server import Server


def made_for(server: Server) -> KeyPair:
    """Return what the controller has made, and remember that its key is confidential."""
    name = f"repo-server-{server.name}-tls"
    data = server.cluster.client.get(resources.SECRETS, NAMESPACE, name)["data"]
    certificate, key = (base64.b64decode(data[key]).decode() for key in ("tls.crt", "tls.key"))
    return KeyPair(certificate, server.cluster.confidential.remember_key("private key", key))


def info(server: Object) -> dict[str, str]:
    found: dict[str, str] = server["status"]["serverInfo"]
    return found


def test_a_client_backs_up_through_a_server_with_a_certificate_of_the_controllers(
    server: Server, client: Client, controller: Controller
) -> None:
    server.self_sign()

    ready = server.start()

    assert info(ready)["tlsFingerprint"] == certificates.fingerprint(made_for(server))
    not_after = datetime.fromisoformat(info(ready)["tlsNotAfter"])
    assert timedelta(days=364) < not_after - CLOCK.now() <= timedelta(days=365)
    me = login(ready, server.password_of())
    assert client.connect(server.name, me).code == 0
    written = client.write_files(server.name)
    assert client.restore(server.name, me, client.back_up(server.name, me)) == written
    assert told(controller.metrics(), server.name) == not_after.timestamp()


def test_a_certificate_that_was_deleted_is_made_anew_and_moves_with_the_service(
    server: Server,
    client: Client,
    cluster: Cluster,
    record_seconds: Callable[[str, float], None],
) -> None:
    server.self_sign()
    before = server.start()
    former = made_for(server)
    old = login(before, server.password_of())

    began = CLOCK.monotonic()
    cluster.client.delete(resources.SECRETS, NAMESPACE, f"repo-server-{server.name}-tls")
    after = server.wait(
        "to show another fingerprint",
        lambda obj: info(obj)["tlsFingerprint"] != certificates.fingerprint(former),
    )
    record_seconds("another certificate served after", CLOCK.monotonic() - began)

    assert info(after)["tlsFingerprint"] == certificates.fingerprint(made_for(server))
    new = login(after, server.password_of())
    client.wait_until_accepted(server.name, new)
    assert client.connect(server.name, old).code != 0
    # One server or the other was Ready all the time.
    assert server.history()[-1] == "True"
    assert "False" not in server.history()[1:]
    wait_for(
        "both events",
        lambda: events_of(cluster.events(after), "CertificateIssued"),
        lambda issued: len(issued) == 2,
    )


def test_a_certificate_that_expires_in_20_days_is_told_and_over_when_it_is_renewed(
    server: Server, cluster: Cluster
) -> None:
    server.secrets["tls"]["stringData"] = server.certificate(valid=timedelta(days=20))

    ready = server.start()

    expiring = condition(ready, "CertificateExpiring")
    assert expiring is not None
    assert expiring["status"] == "True"
    for words in (
        f"{NAMESPACE}/{server.name}-tls",
        info(ready)["tlsNotAfter"],
        "put a renewed one",
    ):
        assert words in expiring["message"]
    (event,) = wait_for(
        "the event", lambda: events_of(cluster.events(ready), "CertificateExpiring")
    )
    assert (event["type"], event["note"]) == ("Warning", expiring["message"])

    server.set_values("tls", {**server.certificate()})
    server.wait(
        "to tell of the renewed certificate",
        lambda obj: (condition(obj, "CertificateExpiring") or {})["status"] == "False",
    )


def told(metrics: str, name: str) -> float:
    """Return when Prometheus is told that a server's certificate expires."""
    metric = "repository_server_certificate_expiry_timestamp_seconds"
    (value,) = re.findall(rf'^{metric}{{[^}}]*name="{name}"[^}}]*}} (\S+)$', metrics, re.MULTILINE)
    return float(value)

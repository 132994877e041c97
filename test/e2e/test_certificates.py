"""Certificates that the controller makes are served and renewed, and the end of others is told."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from clusterlib.certificates import Authority, Identity
from e2e import certificates
from e2e.backup_client import login
from e2e.cluster import NAMESPACE
from e2e.documented import as_typed, commands_of
from e2e.server import condition, events_of
from e2e.waiting import CLOCK, wait_for
from fakes.objects import KeyPair
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from controller.resource import Object
    from e2e.backup_client import Client
    from e2e.cluster import Cluster
    from e2e.installation import Controller
    from e2e.server import Server


GUIDE = "docs/certificates.md"

# What a client has, but what it has seen of the repository.
FILES = "sha256sum repository.config ca.crt"


def made_for(server: Server) -> KeyPair:
    """Return what the controller has made, and remember that its keys are confidential."""
    remembered(server, "ca")
    return remembered(server, "tls")


def remembered(server: Server, kind: str) -> KeyPair:
    name = f"repo-server-{server.name}-{kind}"
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


def run_by_guide(server: Server, word: str) -> str:
    """Run the one command of the guide that has a word in it, and return what it prints."""
    (command,) = (one for one in commands_of(GUIDE) if word in one)
    words = {"-n kanister": f"-n {NAMESPACE}", "NAME": server.name}
    return server.cluster.kubectl.run(*as_typed(command, words))


def wait_for_another(server: Server, before: Object) -> Object:
    """Wait until the server shows another certificate, and return the RepositoryServer."""
    return server.wait(
        "to show another certificate",
        lambda obj: info(obj)["tlsFingerprint"] != info(before)["tlsFingerprint"],
    )


@pytest.fixture
def users_authority(tmp_path: Path) -> Authority:
    """Give an authority of the user's."""
    authority = Authority(tmp_path / "pki")
    authority.create()
    return authority


def values_of(server: Server, authority: Authority, name: str) -> dict[str, str]:
    """Return a Secret as cert-manager writes it, with a new certificate for the server."""
    host = f"DNS:repo-server-{server.name}.{NAMESPACE}.svc"
    authority.issue(Identity(name, name, hosts=(host,)))
    key = authority.key_of(name).read_text()
    return {
        "tls.crt": authority.certificate_of(name).read_text(),
        "tls.key": server.cluster.confidential.remember_key("private key", key),
        "ca.crt": authority.certificate.read_text(),
    }


@pytest.mark.parametrize(
    "by_user",
    [
        pytest.param(False, id="an authority of the controller"),
        pytest.param(True, id="an authority of the user"),
    ],
)
def test_a_client_that_trusts_the_authority_needs_nothing_new_after_a_renewal(
    server: Server, client: Client, users_authority: Authority, *, by_user: bool
) -> None:
    if by_user:
        server.secrets["tls"]["stringData"] = values_of(server, users_authority, "first")
    else:
        server.self_sign()
    server.resource["spec"]["publish"] = {"connection": {}}
    before = server.start()
    wait_for(
        "the connection Secret",
        lambda: server.cluster.get(resources.SECRETS, f"repo-server-{server.name}-connection"),
    )
    trusting, pinning = f"{server.name}-trusting", f"{server.name}-pinning"
    me = evolve(login(before, server.password_of()), fingerprint="")
    assert "x509" in client.connect(trusting, me).complaint
    client.trust(trusting, run_by_guide(server, "ca.crt"))
    assert client.connect(trusting, me).code == 0
    written = client.write_files(trusting)
    files = client.shell(trusting, FILES)

    if by_user:
        server.set_values("tls", {**values_of(server, users_authority, "renewed")})
    else:
        made_for(server)
        run_by_guide(server, "-tls")
    after = wait_for_another(server, before)

    # Who pins the renewed certificate sees it: so does everybody from now on.
    client.wait_until_accepted(pinning, login(after, server.password_of()))
    assert client.restore(trusting, me, client.back_up(trusting, me)) == written
    assert client.shell(trusting, FILES) == files


def test_an_authority_that_was_deleted_is_trusted_no_more(server: Server, client: Client) -> None:
    """As after its key was leaked."""
    server.self_sign()
    server.resource["spec"]["publish"] = {"connection": {}}
    before = server.start()
    made_for(server)
    former = remembered(server, "ca")
    client.trust(server.name, former.certificate)

    run_by_guide(server, "-ca")
    after = wait_for_another(server, before)

    me = login(after, server.password_of())
    client.wait_until_accepted(server.name, me)
    trusting = evolve(me, fingerprint="")
    assert "x509" in client.connect(server.name, trusting).complaint
    made_for(server)
    published = wait_for(
        "the new authority to be published",
        lambda: run_by_guide(server, "ca.crt"),
        lambda found: found.strip() != former.certificate.strip(),
    )
    client.trust(server.name, published)
    assert client.connect(server.name, trusting).code == 0


def test_a_certificate_that_was_deleted_is_made_anew_and_moves_with_the_service(
    server: Server,
    client: Client,
    cluster: Cluster,
    record_seconds: Callable[[str, float], None],
) -> None:
    server.self_sign()
    before = server.start()
    made_for(server)
    old = login(before, server.password_of())

    began = CLOCK.monotonic()
    cluster.client.delete(resources.SECRETS, NAMESPACE, f"repo-server-{server.name}-tls")
    after = wait_for_another(server, before)
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

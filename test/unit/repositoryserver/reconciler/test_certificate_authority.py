"""The authority that signs the controller's certificates: made, renewed, lost, and in the way."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

import pytest
from cryptography import x509

from controller.errors import Conflict, Forbidden
from controller.reconcile import Result
from fakes import objects
from fakes.apiclient import Action
from fakes.world import SERVICE, World
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.caches import owner_uids
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.inputs.issuer import RETRY_SECONDS
from reconcilers.repositoryserver.rollout import podstatus

if TYPE_CHECKING:
    from structlog.typing import EventDict

    from controller.resource import Object

LEAF = f"{SERVICE}-tls"
SECRET = f"{SERVICE}-ca"
READ = Action("get", "secrets", SECRET)
CREATE = Action("create", "secrets", SECRET)
RENEW = Action("patch", "secrets", SECRET)
RENEW_LEAF = Action("patch", "secrets", LEAF)

# A third of a year is left then, and a third of ten years.
LEAF_DUE_SECONDS = timedelta(days=243, hours=8).total_seconds()
DUE_SECONDS = timedelta(days=3650).total_seconds() * 2 / 3

SELF_SIGNED: Object = {"spec": {"server": {"tlsSecretRef": None, "tls": {"selfSigned": {}}}}}


@pytest.fixture
def signed() -> World:
    """Give a world with a server that is new."""
    world = World()
    world.drop_secret(objects.TLS)
    world.api.put(api.REPOSITORY_SERVERS, objects.repository_server(SELF_SIGNED))
    return world


@pytest.fixture
def settled(signed: World) -> World:
    signed.settle()
    return signed


def value(world: World, secret: str, key: str) -> str:
    return base64.b64decode(world.secret(secret)["data"][key]).decode()


def certificate(world: World, secret: str, key: str = "tls.crt") -> x509.Certificate:
    return x509.load_pem_x509_certificate(value(world, secret, key).encode())


def is_signed(world: World) -> bool:
    """Return whether clients that trust what is beside the certificate believe in it."""
    trusted = certificate(world, LEAF, "ca.crt")
    certificate(world, LEAF).verify_directly_issued_by(trusted)
    return trusted == certificate(world, SECRET)


def there(world: World) -> set[str]:
    """Return the names of the Secrets that there are."""
    return {one["metadata"]["name"] for one in world.api.store(resources.SECRETS).list()}


def of_authority(world: World) -> list[Action]:
    return [action for action in world.api.taken() if action.name == SECRET]


class TestTheFirst:
    def test_is_made_with_the_certificate_that_it_signs(self, signed: World) -> None:
        signed.reconcile()

        assert of_authority(signed) == [READ, CREATE]
        secret = signed.secret(SECRET)
        assert secret["type"] == "kubernetes.io/tls"
        assert secret["data"].keys() == {"tls.crt", "tls.key"}
        assert owner_uids(secret) == [objects.UID]
        assert is_signed(signed)
        assert signed.recorder.lines()[0] == (
            "Normal AuthorityIssued: created an authority for the server's certificates that is "
            "valid until 2035-12-30T00:00:00Z, in Secret repo-server-files-ca: there was none"
        )

    def test_is_not_part_of_what_a_pod_mounts(self, settled: World) -> None:
        snapshot = settled.secret(settled.replica_set()["metadata"]["name"])

        assert value(settled, SECRET, "tls.key") not in {
            base64.b64decode(held).decode() for held in snapshot["data"].values()
        }

    def test_costs_a_steady_server_no_request_after_a_restart(self, settled: World) -> None:
        settled.restart()

        settled.reconcile()

        assert settled.api.taken() == []

    def test_shows_its_key_nowhere_but_in_its_secret(
        self, settled: World, logged: list[EventDict]
    ) -> None:
        line = value(settled, SECRET, "tls.key").splitlines()[1]

        assert "AuthorityIssued" in str(logged)
        assert line not in str(logged) + str(settled.recorder.lines())
        assert line not in str(settled.server()) + str(settled.pods())


class TestTheCertificate:
    def test_is_renewed_by_the_same_authority(self, settled: World) -> None:
        before, former = settled.secret(SECRET), certificate(settled, LEAF)
        settled.clock.step(LEAF_DUE_SECONDS)

        settled.reconcile()

        assert of_authority(settled)[-1] == READ
        assert settled.secret(SECRET) == before
        assert certificate(settled, LEAF) != former
        assert is_signed(settled)

    def test_is_made_anew_by_the_same_authority_when_it_was_deleted(self, settled: World) -> None:
        before = settled.secret(SECRET)
        settled.drop_secret(LEAF)

        settled.begin_revision()

        assert settled.secret(SECRET) == before
        assert is_signed(settled)

    @pytest.fixture
    def of_before(self, signed: World) -> World:
        """Give a world with a certificate that signs itself, as the controller made them once."""
        pair = objects.key_pair(not_after=objects.NOW + timedelta(days=365))
        values = {"tls.crt": pair.certificate, "tls.key": pair.key}
        secret = objects.secret(LEAF, "kubernetes.io/tls", values)
        metadata = names.metadata(api.parse(signed.server()), LEAF)
        signed.change_secret(objects.merged(secret, {"metadata": metadata}))
        signed.settle()
        return signed

    def test_of_before_authorities_is_served_and_has_none(self, of_before: World) -> None:
        assert of_before.progress() == "Ready"
        assert SECRET not in there(of_before)

    def test_of_before_authorities_gets_one_when_it_is_renewed(self, of_before: World) -> None:
        of_before.clock.step(LEAF_DUE_SECONDS)

        of_before.reconcile()

        assert is_signed(of_before)


class TestARenewal:
    @pytest.fixture
    def due(self, settled: World) -> World:
        """Give a world in which authority and certificate are due."""
        settled.clock.step(DUE_SECONDS)
        settled.api.taken()
        return settled

    def test_keeps_the_key_and_tells_clients(self, due: World) -> None:
        key, former = value(due, SECRET, "tls.key"), certificate(due, SECRET)

        due.reconcile()

        assert value(due, SECRET, "tls.key") == key
        assert certificate(due, SECRET) != former
        assert is_signed(due)
        # Clients that trust the former one believe in the certificate as well.
        certificate(due, LEAF).verify_directly_issued_by(former)
        (line,) = (one for one in due.recorder.lines() if "AuthorityIssued" in one)
        assert line.endswith("the previous one expires at 2035-12-30T00:00:00Z")

    def test_that_is_refused_puts_the_certificates_off(self, due: World) -> None:
        """None is signed by an authority that may not outlive it."""
        before = due.secret(LEAF)
        due.api.failures[RENEW] = Forbidden(403, "Forbidden", "no")

        result = due.reconcile()

        assert result.requeue_after == RETRY_SECONDS
        assert due.secret(LEAF) == before
        due.api.failures.clear()
        due.clock.step(RETRY_SECONDS)
        due.reconcile()
        assert is_signed(due)

    def test_of_another_controller_is_not_written_over(self, due: World) -> None:
        due.api.failures[RENEW] = Conflict(409, "Conflict", "modified")

        assert due.reconcile() == Result(requeue=True)

    def test_is_told_once_the_certificate_can_be_written_again(self, settled: World) -> None:
        """The certificate is not due, so that nothing but the retry looks again."""
        settled.drop_secret(SECRET)
        settled.api.failures[RENEW_LEAF] = Forbidden(403, "Forbidden", "no")
        settled.reconcile()
        assert certificate(settled, LEAF, "ca.crt") != certificate(settled, SECRET)
        settled.reconcile()
        settled.api.failures.clear()

        settled.clock.step(RETRY_SECONDS)
        settled.reconcile()

        assert is_signed(settled)


class TestALoss:
    def test_makes_another_one_and_another_certificate(self, settled: World) -> None:
        former, pod = certificate(settled, SECRET), settled.pod()
        settled.drop_secret(SECRET)

        settled.begin_revision()

        assert certificate(settled, SECRET) != former
        assert is_signed(settled)
        assert len(settled.pods()) == 2
        # Until the new pod serves, clients see the former certificate.
        assert settled.selected() == pod["metadata"]["labels"]["cr.kanister.io/digest"]

    def test_of_the_key_alone_makes_another_one(self, settled: World) -> None:
        spoilt = {"data": {"tls.key": ""}}
        settled.change_secret(objects.merged(settled.secret(SECRET), spoilt))

        settled.reconcile()

        assert is_signed(settled)
        assert "the previous one was not an authority with its key" in str(settled.recorder.lines())


class TestTheName:
    TAKEN: ClassVar[Object] = objects.secret(
        SECRET, "kubernetes.io/tls", {"tls.crt": "", "tls.key": ""}
    )

    def test_of_a_secret_of_others_is_refused(self, signed: World) -> None:
        signed.change_secret(self.TAKEN)

        signed.reconcile()

        assert signed.condition("Ready")[:2] == ("False", "NameTaken")
        assert SECRET in signed.condition("Ready")[2]
        assert of_authority(signed) == [READ]

    def test_goes_when_the_resource_names_another_certificate_and_that_is_served(
        self, settled: World
    ) -> None:
        settled.change_secret(objects.tls_secret())
        changed = objects.repository_server({"metadata": {"generation": 2}})
        settled.api.put(api.REPOSITORY_SERVERS, {**changed, "status": settled.server()["status"]})
        settled.begin_revision()
        assert settled.secret(SECRET)

        (new,) = (pod for pod in settled.pods() if not podstatus.is_ready(pod))
        settled.kubelet(new, objects.serving())
        settled.reconcile()

        assert SECRET not in there(settled)

    def test_is_adopted_when_it_has_lost_its_owner(self, settled: World) -> None:
        secret = settled.secret(SECRET)
        settled.change_secret(objects.merged(secret, {"metadata": {"ownerReferences": None}}))

        settled.reconcile()

        assert owner_uids(settled.secret(SECRET)) == [objects.UID]

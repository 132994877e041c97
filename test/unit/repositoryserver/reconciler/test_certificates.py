"""Certificates that expire, and those that the controller makes itself."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from controller.conditions import conditions_of, get_condition
from controller.errors import Conflict, Forbidden
from controller.reconcile import Result
from fakes import objects
from fakes.apiclient import Action, FakeClient
from fakes.world import SERVICE, World
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.caches import owner_uids
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.inputs.issuer import RETRY_SECONDS
from reconcilers.repositoryserver.rollout import podstatus
from reconcilers.repositoryserver.users.purge import FIRST_SEARCH_SECONDS

if TYPE_CHECKING:
    from structlog.typing import EventDict

    from controller.resource import Object


class TestCertificateThatExpires:
    """One of the user's, 31 days before its end."""

    NOT_AFTER = objects.NOW + timedelta(days=31)
    SOON = (
        "the certificate in key tls.crt of Secret backup/files-tls, named by "
        "spec.server.tlsSecretRef, expires at 2026-02-01T00:00:00Z; put a renewed one and its key "
        "into the Secret before then"
    )

    @pytest.fixture
    def expiring(self, world: World) -> World:
        world.change_secret(objects.tls_secret(objects.key_pair(not_after=self.NOT_AFTER)))
        world.settle()
        return world

    def test_is_no_matter_before(self, expiring: World) -> None:
        expiring.clock.step(FIRST_SEARCH_SECONDS)
        expiring.reconcile()

        result = expiring.reconcile()

        assert get_condition(conditions_of(expiring.server()), "CertificateExpiring") is None
        assert result.requeue_after == timedelta(days=1).total_seconds() - FIRST_SEARCH_SECONDS

    def test_is_told_from_30_days_before_on_in_one_event(self, expiring: World) -> None:
        expiring.clock.step(timedelta(days=1).total_seconds())
        expiring.reconcile()
        expiring.restart()
        expiring.clock.step(timedelta(days=1).total_seconds())
        expiring.reconcile()

        assert expiring.condition("CertificateExpiring") == (
            "True",
            "CertificateExpiring",
            self.SOON,
        )
        assert expiring.recorder.lines() == [f"Warning CertificateExpiring: {self.SOON}"]
        assert expiring.progress() == "Ready"

    def test_is_told_once_more_when_it_has_expired(self, expiring: World) -> None:
        expiring.clock.step(timedelta(days=30).total_seconds())
        expiring.reconcile()
        result = expiring.reconcile()
        expiring.recorder.events.clear()

        expiring.clock.step(result.requeue_after or 0.0)
        expiring.reconcile()

        value, reason, message = expiring.condition("CertificateExpiring")
        assert (value, reason) == ("True", "CertificateExpired")
        assert "expired at 2026-02-01T00:00:00Z" in message
        assert expiring.recorder.lines() == [f"Warning CertificateExpired: {message}"]
        assert expiring.progress() == "Ready"
        assert expiring.condition("Ready")[0] == "True"

    def test_is_over_when_it_is_replaced(self, expiring: World) -> None:
        expiring.clock.step(timedelta(days=1).total_seconds())
        expiring.reconcile()

        expiring.change_secret(objects.tls_secret())
        expiring.reconcile()

        assert expiring.condition("CertificateExpiring")[:2] == ("False", "CertificateRenewed")


class TestCertificateThatHasExpired:
    """One of the user's: clients that trust its fingerprint go on with it."""

    EXPIRED = (
        "the certificate in key tls.crt of Secret backup/files-tls, named by "
        "spec.server.tlsSecretRef, expired at 2025-12-31T00:00:00Z: clients that trust its "
        "fingerprint connect, those that trust its authority do not; put a renewed one and its key "
        "into the Secret"
    )

    @pytest.fixture
    def expired(self, world: World) -> World:
        not_after = objects.NOW - timedelta(days=1)
        world.change_secret(objects.tls_secret(objects.key_pair(not_after=not_after)))
        world.settle()
        return world

    def test_is_served_and_warned_of(self, expired: World) -> None:
        assert expired.progress() == "Ready"
        assert expired.condition("CertificateExpiring") == (
            "True",
            "CertificateExpired",
            self.EXPIRED,
        )

    def test_keeps_no_pod_from_coming_back(self, expired: World) -> None:
        expired.drop_pod(expired.pod())
        expired.settle()

        assert expired.progress() == "Ready"


class TestCertificateOfTheControllersOwn:
    """`spec.server.tls.selfSigned`."""

    SECRET = f"{SERVICE}-tls"
    READ = Action("get", "secrets", SECRET)
    CREATE = Action("create", "secrets", SECRET)
    RENEW = Action("patch", "secrets", SECRET)
    # A third of a year is left then.
    DUE_SECONDS = timedelta(days=243, hours=8).total_seconds()
    SELF_SIGNED: ClassVar[Object] = {
        "spec": {"server": {"tlsSecretRef": None, "tls": {"selfSigned": {}}}}
    }

    @pytest.fixture
    def signed(self) -> World:
        """Give a world with a server that is new."""
        world = World()
        world.drop_secret(objects.TLS)
        world.api.put(api.REPOSITORY_SERVERS, objects.repository_server(self.SELF_SIGNED))
        return world

    @pytest.fixture
    def settled(self, signed: World) -> World:
        signed.settle()
        return signed

    def of_certificate(self, world: World) -> list[Action]:
        """Return the requests about the Secret since the last call."""
        return [action for action in world.api.taken() if action.name == self.SECRET]

    def test_is_made_once_and_served(self, signed: World) -> None:
        signed.reconcile()

        assert self.of_certificate(signed) == [self.READ, self.CREATE, self.READ]
        secret = signed.secret(self.SECRET)
        assert secret["type"] == "kubernetes.io/tls"
        assert owner_uids(secret) == [objects.UID]
        snapshot = signed.secret(signed.replica_set()["metadata"]["name"])
        served = {key: secret["data"][key] for key in ("tls.crt", "tls.key")}
        assert served.items() <= snapshot["data"].items()
        assert signed.recorder.lines()[1] == (
            "Normal CertificateIssued: created a certificate that is valid until "
            "2027-01-01T00:00:00Z, in Secret repo-server-files-tls: there was none"
        )

    def test_costs_a_steady_server_no_request(self, settled: World) -> None:
        settled.reconcile()

        assert settled.api.taken() == []

    def test_is_looked_at_when_it_is_due(self, settled: World) -> None:
        settled.clock.step(FIRST_SEARCH_SECONDS)
        settled.reconcile()

        assert settled.reconcile().requeue_after == self.DUE_SECONDS - FIRST_SEARCH_SECONDS

    def test_stays_when_the_controller_starts_anew(self, settled: World) -> None:
        before = settled.secret(self.SECRET)
        settled.restart()

        settled.reconcile()

        assert settled.api.taken() == []
        assert settled.secret(self.SECRET) == before
        assert len(settled.pods()) == 1

    def test_stays_when_another_program_starts(self, settled: World) -> None:
        before = settled.secret(self.SECRET)
        settled.record("")
        settled.restart()

        settled.reconcile()

        assert self.of_certificate(settled) == [self.READ, self.READ]
        assert settled.secret(self.SECRET) == before
        assert len(settled.pods()) == 1

    def test_stays_when_the_cache_does_not_show_it(self, settled: World) -> None:
        settled.restart(cached_secrets=[])

        settled.reconcile()

        assert self.CREATE not in settled.api.taken()

    def test_is_that_of_another_controller_which_was_faster(
        self, settled: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs = settled.secret(self.SECRET)
        settled.drop_secret(self.SECRET)
        create = FakeClient.create

        def late(api: FakeClient, *arguments: Any, **options: Any) -> Object:
            api.put(resources.SECRETS, theirs)
            return create(api, *arguments, **options)

        monkeypatch.setattr(FakeClient, "create", late)
        settled.reconcile()

        assert self.of_certificate(settled) == [self.READ, self.CREATE, self.READ, self.READ]
        assert settled.secret(self.SECRET)["data"] == theirs["data"]

    def test_comes_back_as_another_one_when_it_is_deleted(self, settled: World) -> None:
        former, pod = settled.secret(self.SECRET), settled.pod()
        settled.drop_secret(self.SECRET)

        settled.begin_revision()

        assert settled.secret(self.SECRET)["data"] != former["data"]
        assert len(settled.pods()) == 2
        assert settled.selected() == names.hash_of(pod)

    def test_is_renewed_when_a_third_of_its_life_is_left(self, settled: World) -> None:
        settled.clock.step(FIRST_SEARCH_SECONDS)
        settled.reconcile()
        before = settled.server()["status"]["serverInfo"]
        settled.clock.step(self.DUE_SECONDS - FIRST_SEARCH_SECONDS)

        settled.reconcile()

        assert self.of_certificate(settled) == [self.READ, self.RENEW, self.READ]
        settled.begin_revision()
        # Until the new pod serves, clients see the former certificate.
        assert settled.server()["status"]["serverInfo"] == before
        (new,) = (pod for pod in settled.pods() if pod["metadata"]["name"] != before["podName"])
        settled.kubelet(new, objects.serving())
        settled.reconcile()
        settled.reconcile()
        after = settled.server()["status"]["serverInfo"]
        assert after["tlsFingerprint"] != before["tlsFingerprint"]
        assert after["tlsNotAfter"] == "2027-09-01T08:00:00Z"
        assert get_condition(conditions_of(settled.server()), "CertificateExpiring") is None

    def test_is_renewed_once(self, settled: World) -> None:
        settled.clock.step(self.DUE_SECONDS)
        settled.reconcile()
        settled.api.taken()

        settled.reconcile()

        assert self.of_certificate(settled) == []

    def test_is_not_renewed_over_the_renewal_of_another_controller(self, settled: World) -> None:
        settled.clock.step(self.DUE_SECONDS)
        settled.api.failures[self.RENEW] = Conflict(409, "Conflict", "modified")

        assert settled.reconcile() == Result(requeue=True)

    def test_goes_on_while_its_renewal_is_refused_and_is_told_a_month_before(
        self, settled: World
    ) -> None:
        settled.api.failures[self.RENEW] = Forbidden(403, "Forbidden", "no")
        settled.clock.step(self.DUE_SECONDS)

        result = settled.reconcile()

        assert result.requeue_after == RETRY_SECONDS
        assert settled.progress() == "Ready"
        assert settled.recorder.lines() == []

        settled.clock.step(timedelta(days=92).total_seconds())
        settled.reconcile()

        told = (
            "the certificate in Secret backup/repo-server-files-tls, made for "
            "spec.server.tls.selfSigned, expires at 2027-01-01T00:00:00Z and could not be "
            "renewed; `certificate not renewed` in the controller's log says why"
        )
        assert settled.condition("CertificateExpiring")[2] == told
        assert settled.recorder.lines() == [f"Warning CertificateExpiring: {told}"]

        settled.api.failures.clear()
        settled.clock.step(RETRY_SECONDS)
        settled.reconcile()

        assert settled.condition("CertificateExpiring")[0] == "False"

    def test_a_refused_renewal_is_tried_again_every_ten_minutes(self, settled: World) -> None:
        settled.api.failures[self.RENEW] = Forbidden(403, "Forbidden", "no")
        settled.clock.step(self.DUE_SECONDS)
        settled.reconcile()
        settled.api.taken()

        for _ in range(5):
            settled.clock.step(1.0)
            settled.reconcile()
        assert settled.api.taken() == []

        settled.clock.step(RETRY_SECONDS)
        settled.reconcile()
        assert self.RENEW in self.of_certificate(settled)

    def test_a_renewal_that_is_taken_in_the_end_is_the_last(self, settled: World) -> None:
        settled.api.failures[self.RENEW] = Forbidden(403, "Forbidden", "no")
        settled.clock.step(self.DUE_SECONDS)
        settled.reconcile()
        del settled.api.failures[self.RENEW]
        settled.clock.step(RETRY_SECONDS)
        settled.reconcile()
        settled.begin_revision()
        settled.api.taken()

        settled.clock.step(RETRY_SECONDS)
        settled.reconcile()

        assert self.of_certificate(settled) == []

    def test_is_not_written_into_a_secret_of_others(self, signed: World) -> None:
        theirs = objects.secret(self.SECRET, "kubernetes.io/tls", {"tls.crt": "", "tls.key": ""})
        signed.change_secret(theirs)

        signed.reconcile()

        assert signed.condition("Ready")[:2] == ("False", "NameTaken")
        assert self.of_certificate(signed) == [self.READ]

    def test_goes_when_the_resource_names_another_one_and_that_is_served(
        self, settled: World
    ) -> None:
        settled.change_secret(objects.tls_secret())
        changed = objects.repository_server({"metadata": {"generation": 2}})
        settled.api.put(api.REPOSITORY_SERVERS, {**changed, "status": settled.server()["status"]})
        settled.begin_revision()
        assert settled.secret(self.SECRET)

        (new,) = (pod for pod in settled.pods() if not podstatus.is_ready(pod))
        settled.kubelet(new, objects.serving())
        settled.reconcile()

        secrets = {one["metadata"]["name"] for one in settled.api.store(resources.SECRETS).list()}
        assert self.SECRET not in secrets
        assert objects.TLS in secrets

    def test_stays_when_the_resource_names_it_as_if_it_were_the_users(self, settled: World) -> None:
        named = {"tlsSecretRef": {"name": self.SECRET}, "tls": None}
        settled.edit({"server": named})
        settled.reconcile()
        settled.reconcile()

        assert settled.progress() == "Ready"
        assert settled.secret(self.SECRET)

    def test_shows_its_key_nowhere_but_in_secrets(
        self, settled: World, logged: list[EventDict]
    ) -> None:
        settled.clock.step(self.DUE_SECONDS)
        settled.reconcile()
        key = base64.b64decode(settled.secret(self.SECRET)["data"]["tls.key"])
        line = key.decode().splitlines()[1]

        assert "CertificateIssued" in str(logged)
        assert line not in str(logged) + str(settled.recorder.lines())
        assert line not in str(settled.server()) + str(settled.pods())

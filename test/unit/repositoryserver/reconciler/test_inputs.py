"""Secrets and references that are wrong, missing, or gone for a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fakes import objects
from fakes.world import READ_INPUTS
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.status import patience
from reconcilers.repositoryserver.users.purge import FIRST_SEARCH_SECONDS
from reconcilers.repositoryserver.verdict import STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object
    from fakes.world import World


def _without(name: str) -> Callable[[World], None]:
    return lambda world: world.drop_secret(name)


def _with(secret: Object) -> Callable[[World], None]:
    return lambda world: world.change_secret(secret)


def _retyped(secret: Object) -> Callable[[World], None]:
    return _with({**secret, "type": "example.com/other"})


P224 = ec.SECP224R1()


@pytest.mark.parametrize(
    ("spoil", "step", "reason", "words"),
    [
        pytest.param(
            _without(objects.ADMIN),
            "ServerSetup",
            "SecretMissing",
            (f"{objects.NAMESPACE}/{objects.ADMIN}", "spec.server.adminSecretRef", "create it"),
            id="a Secret that is missing is named with the field that names it",
        ),
        pytest.param(
            _retyped(objects.password_secret()),
            "ServerSetup",
            "SecretTypeWrong",
            (objects.REPOSITORY_PASSWORD, "secrets.kanister.io/kopia-repository/password"),
            id="a Secret of another type is named with the type it should have",
        ),
        pytest.param(
            _with(objects.location_secret({"type": "filestore"})),
            "ServerSetup",
            "SecretKeyMissing",
            (objects.LOCATION, "claimName", "add it"),
            id="a missing key is named",
        ),
        pytest.param(
            _with(objects.password_secret("")),
            "ServerSetup",
            "SecretKeyMissing",
            (objects.REPOSITORY_PASSWORD, "repo-password", "is empty"),
            id="an empty key is named",
        ),
        pytest.param(
            _with(objects.location_secret({"type": "ftp", "claimName": "c"})),
            "ServerSetup",
            "LocationTypeUnknown",
            (objects.LOCATION, "key type", "filestore"),
            id="an unknown location type is named with those that are known",
        ),
        pytest.param(
            _with(objects.location_secret({"type": "azure", "bucket": "backups"})),
            "ServerSetup",
            "CredentialMissing",
            ("spec.storage.credentialSecretRef is missing", "azure_storage_key"),
            id="a storage that needs a credential has none",
        ),
        pytest.param(
            _with(objects.tls_secret(objects.key_pair(key=ec.generate_private_key(P224)))),
            "ServerSetup",
            "CertificateInvalid",
            (objects.TLS, "ECDSA on secp224r1", "P-256"),
            id="a key that Kopia cannot serve is named with those that it can",
        ),
        pytest.param(
            _without(objects.USERS),
            "ClientUserInitialized",
            "SecretMissing",
            (objects.USERS, "spec.server.userAccess.userAccessSecretRef"),
            id="a missing access Secret fails the users, not the server",
        ),
        pytest.param(
            _with(objects.users_secret({"App": "x"})),
            "ClientUserInitialized",
            "UserNameInvalid",
            ("backup@App", "lower-case"),
            id="a host that Kopia refuses is named with what it takes",
        ),
    ],
)
def test_bad_input_is_told_once_and_mends_itself(
    world: World,
    spoil: Callable[[World], None],
    step: str,
    reason: str,
    words: tuple[str, ...],
) -> None:
    spoil(world)

    world.reconcile()
    world.clock.step(patience.SECONDS)
    world.reconcile()

    assert world.progress() == "Failed"
    assert world.condition("Ready")[:2] == ("False", reason)
    assert world.condition(step)[:2] == ("False", STEPS[step][1])
    for word in words:
        assert word in world.condition(step)[2]
    warnings = world.recorder.warnings()
    assert warnings == [f"Warning {reason}: {world.condition('Ready')[2]}"]
    world.api.taken()
    world.reconcile()
    assert world.api.taken() == []

    for secret in objects.all_secrets():
        world.change_secret(secret)
    world.settle()
    world.reconcile()
    assert world.progress() == "Ready"


def test_bad_input_leaves_a_running_server_alone(settled: World) -> None:
    pod = settled.pod()
    settled.change_secret(objects.password_secret(""))

    settled.reconcile()

    assert settled.progress() == "Ready"
    assert settled.condition("Available")[0] == "True"
    assert settled.condition("Ready")[:2] == ("False", "SecretKeyMissing")
    assert settled.condition("Stalled")[:2] == ("True", "SecretKeyMissing")
    assert settled.pod() == pod
    assert settled.condition("ServerInitialized")[0] == "True"
    assert settled.selected() == pod["metadata"]["labels"][names.LABEL_HASH]


ELSEWHERE = {"namespace": "other"}


@pytest.mark.parametrize(
    ("spec", "reason", "word"),
    [
        pytest.param(
            {"storage": {"secretRef": ELSEWHERE}},
            "ReferenceInOtherNamespace",
            "spec.storage.secretRef",
            id="a reference to the location",
        ),
        pytest.param(
            {"server": {"tlsSecretRef": ELSEWHERE}},
            "ReferenceInOtherNamespace",
            "spec.server.tlsSecretRef",
            id="a reference to the certificate",
        ),
        pytest.param(
            {"repository": {"pointInTime": "2026-01-31T25:00:00Z"}},
            "InvalidPointInTime",
            "spec.repository.pointInTime",
            id="a time that is none",
        ),
    ],
)
class TestResourceThatIsWrongByItself:
    def test_makes_no_revision_and_reads_none_of_its_inputs(
        self, world: World, spec: Object, reason: str, word: str
    ) -> None:
        world.edit(spec)

        world.reconcile()

        assert world.pods() == []
        assert not [one for one in world.api.taken() if one in READ_INPUTS]
        assert world.condition("Ready")[1] == reason
        assert word in world.condition("Ready")[2]

    def test_keeps_in_nobody_who_is_removed(
        self, settled: World, spec: Object, reason: str, word: str
    ) -> None:
        before, right = settled.pod()["metadata"]["uid"], settled.server()["spec"]

        settled.edit(spec)
        settled.change_secret(objects.users_secret({"other": "p"}))
        settled.reconcile()

        assert settled.may_connect() == {"backup@other": "p"}
        assert settled.condition("Available")[0] == "True"
        assert settled.condition("Ready")[1] == reason
        assert word in settled.condition("Ready")[2]
        assert settled.pod()["metadata"]["uid"] == before

        settled.api.put(api.REPOSITORY_SERVERS, {**settled.server(), "spec": right})
        settled.edit({})
        settled.reconcile()

        assert settled.condition("Ready")[0] == "True"
        assert settled.pod()["metadata"]["uid"] == before


def test_a_secret_that_the_cache_does_not_have_yet_is_not_called_missing(world: World) -> None:
    world.restart(cached_secrets=[])

    world.report()

    assert world.progress() == "Pending"
    assert not world.recorder.warnings()


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(objects.users_secret(), id="with users"),
        pytest.param(objects.admin_secret(), id="that the server was started with"),
    ],
)
def test_a_secret_that_is_deleted_and_made_again_is_not_told_of(
    settled: World, secret: Object
) -> None:
    """As `kubectl replace --force` does it: nobody is to be woken by that at night."""
    settled.clock.step(FIRST_SEARCH_SECONDS)
    settled.reconcile()
    settled.api.taken()
    before = settled.server()["status"]
    settled.drop_secret(secret["metadata"]["name"])

    result = settled.reconcile()

    assert result.requeue_after == patience.SECONDS
    settled.clock.step(patience.SECONDS - 1)
    assert settled.reconcile().requeue_after == 1
    settled.change_secret(secret)
    settled.reconcile()
    assert settled.server()["status"] == before
    assert settled.recorder.lines() == []


def test_each_gap_of_a_secret_has_its_time(settled: World) -> None:
    for _ in range(2):
        settled.drop_secret(objects.USERS)
        settled.reconcile()
        settled.clock.step(patience.SECONDS - 1)
        settled.reconcile()
        settled.change_secret(objects.users_secret())
        settled.reconcile()

    assert settled.progress() == "Ready"


def test_a_secret_that_stays_away_is_told_of(settled: World) -> None:
    settled.drop_secret(objects.USERS)
    settled.reconcile()
    settled.clock.step(patience.SECONDS)

    settled.reconcile()

    assert settled.condition("Ready")[:2] == ("False", "SecretMissing")


def test_a_server_that_serves_nobody_gets_as_much_time_for_it(settled: World) -> None:
    settled.kubelet(settled.pod(), objects.started())
    settled.reconcile()
    settled.drop_secret(objects.ADMIN)

    settled.reconcile()

    assert settled.progress() == "Pending"
    settled.clock.step(patience.SECONDS)
    settled.reconcile()
    assert settled.condition("Ready")[:2] == ("False", "SecretMissing")


def test_no_secret_value_is_written_anywhere_but_into_the_snapshot(world: World) -> None:
    world.settle()
    world.change_secret(objects.users_secret({"app": "another-pass-9b"}))
    world.reconcile()
    values = (
        objects.REPOSITORY_PASSWORD_VALUE,
        objects.ADMIN_PASSWORD_VALUE,
        objects.USER_PASSWORD_VALUE,
        "another-pass-9b",
    )

    written = [body for body in world.api.bodies if body.get("kind") != "Secret"]

    assert written
    for value in values:
        assert value not in repr(written)
        assert value not in repr(world.recorder.lines())
        assert value not in repr(world.server())

"""Kanister's Profile of a server: the requests, its content, and what is said when it cannot be."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from controller.errors import Forbidden, NotFound
from fakes import objects
from fakes.apiclient import Action
from fakes.published import (
    CERTIFICATE,
    CHAINED,
    CONDITION,
    CONNECTION,
    READ_USERS,
    ROOT,
    URL,
    WRITE_CERTIFICATE,
    WRITE_PROFILE,
    content,
    info,
    leaf,
    profile,
    profiles,
    publish,
    read_snapshot,
    replace,
    there,
    tls_secret,
)
from fakes.world import READ_INPUTS, SERVICE, WRITE_STATUS
from reconcilers import resources
from reconcilers.repositoryserver.publish.publisher import (
    AGAIN_SECONDS,
    UNLISTED_SECONDS,
)
from reconcilers.repositoryserver.status import reasons

if TYPE_CHECKING:
    from controller.resource import Object
    from fakes.world import World

#: As the API server answers where Kanister's CRD is not installed, and without the right.
NO_CRD = NotFound(404, "NotFound", "the server could not find the requested resource")
NO_RIGHT = Forbidden(403, "Forbidden", "profiles.cr.kanister.io is forbidden")


@pytest.fixture
def profiled(settled: World) -> World:
    """Give a world whose server has published a Profile; what that took is forgotten."""
    publish(settled, kanisterProfile={})
    settled.api.taken()
    return settled


class TestProfile:
    def test_is_one_of_type_kopia_with_a_secret_that_holds_the_leaf(self, settled: World) -> None:
        publish(settled, kanisterProfile={})

        assert settled.api.taken() == [
            *READ_INPUTS,
            read_snapshot(settled),
            WRITE_CERTIFICATE,
            READ_USERS,
            WRITE_PROFILE,
            settled.write_record,
            WRITE_STATUS,
        ]
        found = profile(settled)
        assert found["location"] == {"type": "kopia", "endpoint": URL}
        assert found["credential"] == {
            "type": "kopia",
            "kopiaServerSecret": {
                "username": "backup",
                "hostname": "app",
                "userPassphrase": {
                    "key": "app",
                    "secret": {"name": objects.USERS, "namespace": objects.NAMESPACE},
                },
                "tlsCert": {
                    "key": "tls.crt",
                    "secret": {"name": CERTIFICATE, "namespace": objects.NAMESPACE},
                },
            },
        }
        assert [owner["uid"] for owner in found["metadata"]["ownerReferences"]] == [objects.UID]
        assert content(settled, CERTIFICATE) == {"tls.crt": leaf(objects.key_pair())}
        assert info(settled)["kanisterProfileName"] == SERVICE

    def test_its_secret_holds_one_block_of_a_chain_and_of_a_renewed_one(self, world: World) -> None:
        """Kanister decodes one block and refuses what comes after it."""
        world.change_secret(tls_secret(CHAINED, ROOT.certificate))
        world.settle()
        publish(world, kanisterProfile={})
        assert content(world, CERTIFICATE)["tls.crt"] == leaf(CHAINED)

        renewed = objects.key_pair("renewed", issuer=ROOT)
        world.change_secret(tls_secret(renewed, ROOT.certificate))
        world.begin_revision()
        replace(world)

        assert content(world, CERTIFICATE)["tls.crt"] == leaf(renewed)
        assert content(world, CERTIFICATE)["tls.crt"].count("BEGIN") == 1

    def test_costs_no_request_while_nothing_changes(self, profiled: World) -> None:
        profiled.reconcile()

        assert profiled.api.taken() == []

    def test_what_somebody_has_changed_is_restored(self, profiled: World) -> None:
        before = profile(profiled)
        change = {"location": {"endpoint": "https://elsewhere.example:51515"}}
        profiled.api.put(resources.PROFILES, objects.merged(before, change))

        profiled.reconcile()

        assert profile(profiled)["location"] == before["location"]
        assert profiled.api.taken() == [WRITE_PROFILE]

    def test_is_gone_with_the_field_also_after_a_restart(self, profiled: World) -> None:
        profiled.edit({"publish": None})
        profiled.restart()

        profiled.reconcile()

        assert profiles(profiled) == []
        assert not there(profiled, CERTIFICATE)
        assert "kanisterProfileName" not in info(profiled)

    def test_one_that_cannot_be_deleted_keeps_nothing_from_its_course(
        self, profiled: World
    ) -> None:
        refusal = Forbidden(403, "Forbidden", "may not delete")
        profiled.api.failures[Action("delete", "profiles", SERVICE)] = refusal

        publish(profiled, connection={}, kanisterProfile=None)

        assert there(profiled, CONNECTION)
        assert profiled.condition("Ready")[0] == "True"
        assert profiled.condition(CONDITION)[2] == (
            f"Profile {SERVICE}, which spec.publish does not ask for, cannot be deleted: may not "
            "delete"
        )

    def test_a_profile_of_somebody_else_is_left_alone(self, settled: World) -> None:
        metadata = {"name": SERVICE, "namespace": objects.NAMESPACE, "uid": "theirs"}
        settled.api.put(resources.PROFILES, {"metadata": metadata, "location": {"type": "gcs"}})

        publish(settled, kanisterProfile={})

        assert profile(settled)["location"] == {"type": "gcs"}
        assert settled.condition("Ready")[:2] == ("False", "NameTaken")
        assert settled.condition("Available")[0] == "True"
        assert "kanisterProfileName" not in info(settled)

    def test_is_adopted_with_the_other_children_that_have_lost_their_owner(
        self, profiled: World
    ) -> None:
        change = {"metadata": {"ownerReferences": None}}
        profiled.api.put(resources.PROFILES, objects.merged(profile(profiled), change))

        profiled.reconcile()

        (owner,) = profile(profiled)["metadata"]["ownerReferences"]
        assert owner["uid"] == objects.UID

    def test_before_the_profiles_are_listed_none_is_written(self, settled: World) -> None:
        """One of somebody else's may have the name."""
        settled.profiles.listed = False

        settled.edit({"publish": {"kanisterProfile": {}}})
        result = settled.reconcile()
        assert profiles(settled) == []
        assert result.requeue_after == UNLISTED_SECONDS

        settled.profiles.listed = True
        settled.reconcile()
        assert len(profiles(settled)) == 1


class TestProfilesThatAreNotThere:
    @pytest.mark.parametrize(
        ("refused", "message"),
        [
            pytest.param(
                NO_CRD,
                "spec.publish.kanisterProfile asks for a Profile, which the API server does not "
                "know: install Kanister, or its CRD profiles.cr.kanister.io alone, or remove the "
                "field",
                id="Kanister's CRD is not installed",
            ),
            pytest.param(
                NO_RIGHT,
                "spec.publish.kanisterProfile asks for a Profile, which the controller may not "
                "write: add manifests/kanister-profiles to the components of your kustomization, "
                "or remove the field",
                id="the right to write Profiles was not given",
            ),
        ],
    )
    def test_a_warning_says_so_and_everything_else_works(
        self, settled: World, refused: Any, message: str
    ) -> None:
        settled.profiles.refused = refused

        settled.edit({"publish": {"connection": {}, "kanisterProfile": {}}})
        result = settled.reconcile()

        assert settled.condition(CONDITION) == ("True", CONDITION, message)
        assert settled.recorder.lines().count(f"Warning {CONDITION}: {message}") == 1
        assert settled.condition("Ready")[0] == "True"
        assert there(settled, CONNECTION)
        assert "kanisterProfileName" not in info(settled)
        assert result.requeue_after == AGAIN_SECONDS
        settled.api.taken()
        settled.reconcile()
        assert settled.api.taken() == []

    def test_a_crd_that_has_just_gone_is_told_as_well(self, settled: World) -> None:
        """The watch shows it a moment later."""
        settled.api.failures[WRITE_PROFILE] = NO_CRD

        publish(settled, connection={}, kanisterProfile={})

        assert settled.condition(CONDITION)[2].startswith(
            "spec.publish.kanisterProfile asks for a Profile, which the API server does not know"
        )
        assert settled.condition("Ready")[0] == "True"
        assert there(settled, CONNECTION)

    def test_it_is_published_once_they_are_there(self, settled: World) -> None:
        settled.profiles.refused = NO_CRD
        publish(settled, kanisterProfile={})

        settled.profiles.refused = None
        settled.clock.step(AGAIN_SECONDS)
        settled.reconcile()

        assert len(profiles(settled)) == 1
        assert settled.condition(CONDITION)[:2] == ("False", "ConnectionPublished")
        assert info(settled)["kanisterProfileName"] == SERVICE

    def test_the_warning_is_over_with_the_field(self, settled: World) -> None:
        settled.profiles.refused = NO_CRD
        publish(settled, kanisterProfile={})

        settled.edit({"publish": None})
        settled.reconcile()

        assert settled.condition(CONDITION)[:2] == ("False", "ConnectionPublished")


class TestUserOfTheProfile:
    def test_several_users_are_a_fault_that_names_the_field(self, settled: World) -> None:
        settled.change_secret(objects.users_secret({"app": "n", "web": "p"}))

        publish(settled, kanisterProfile={})

        value, reason, message = settled.condition("Ready")
        assert (value, reason) == ("False", "ProfileUserInvalid")
        assert message.startswith(
            "a Profile has one user, and the server has 2: set spec.publish.kanisterProfile.user "
            "to one of backup@app, backup@web"
        )
        assert settled.condition("Available")[0] == "True"
        assert reasons.REASONS[reason] is reasons.Kind.LASTING
        assert profiles(settled) == []

        publish(settled, kanisterProfile={"user": "backup@web"})
        settled.reconcile()

        assert settled.condition("Ready")[0] == "True"
        secret = profile(settled)["credential"]["kopiaServerSecret"]
        assert (secret["hostname"], secret["userPassphrase"]["key"]) == ("web", "web")

    def test_a_user_who_comes_makes_the_choice_a_fault_and_the_profile_stays(
        self, profiled: World
    ) -> None:
        before = profile(profiled)
        profiled.change_secret(objects.users_secret({"app": "n", "web": "p"}))
        profiled.reconcile()

        assert profiled.condition("Ready")[1] == "ProfileUserInvalid"
        assert profile(profiled) == before
        profiled.reconcile()
        profiled.api.taken()
        profiled.reconcile()
        assert profiled.api.taken() == []

    def test_what_is_said_of_a_user_keeps_the_connection_from_nothing(self, settled: World) -> None:
        settled.edit({"publish": {"connection": {}, "kanisterProfile": {"user": "a@b"}}})
        settled.reconcile()

        assert there(settled, CONNECTION)
        assert settled.condition("Ready")[1] == "ProfileUserInvalid"


def test_a_certificate_of_the_controllers_own_is_renewed_in_what_is_published(
    world: World,
) -> None:
    server: Object = {"tlsSecretRef": None, "tls": {"selfSigned": {}}}
    world.edit({"server": server, "publish": {"connection": {}, "kanisterProfile": {}}})
    world.settle()
    before = content(world, CERTIFICATE)

    world.clock.step(timedelta(days=300).total_seconds())
    world.begin_revision()
    replace(world)

    assert content(world, CERTIFICATE) != before
    assert content(world, CONNECTION)["fingerprint"] == info(world)["tlsFingerprint"]
    assert content(world, CONNECTION)["tls.crt"] == content(world, CERTIFICATE)["tls.crt"]

"""The connection of a server that is published: the requests, and the content of the Secret."""

from __future__ import annotations

import base64
import gc
from typing import TYPE_CHECKING

import pytest

from controller.conditions import conditions_of, get_condition
from controller.errors import Forbidden
from fakes import objects
from fakes.published import (
    CHAINED,
    CONDITION,
    CONNECTION,
    ROOT,
    URL,
    WRITE_CONNECTION,
    content,
    info,
    leaf,
    profiles,
    publish,
    read_snapshot,
    there,
    tls_secret,
)
from fakes.world import READ_INPUTS, REQUEST, SERVICE, WRITE_STATUS
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.publish.publisher import (
    FIELD_CONNECTION,
)

if TYPE_CHECKING:
    from controller.resource import Object, Resource
    from fakes.world import World


@pytest.fixture
def connected(settled: World) -> World:
    """Give a world whose server has published its connection; what that took is forgotten."""
    publish(settled, connection={})
    settled.api.taken()
    return settled


class TestNothing:
    def test_without_the_field_nothing_is_published_or_asked(self, settled: World) -> None:
        settled.reconcile()

        assert settled.api.taken() == []
        assert not settled.profiles.demanded
        assert get_condition(conditions_of(settled.server()), CONDITION) is None

    def test_before_a_service_selects_a_pod_nothing_is_published(self, world: World) -> None:
        """The certificate is the one that clients see."""
        world.edit({"publish": {"connection": {}, "kanisterProfile": {}}})

        world.reconcile()
        assert not there(world, CONNECTION)

        world.reconcile()
        assert there(world, CONNECTION)
        assert len(profiles(world)) == 1


class TestConnection:
    def test_is_a_secret_with_what_a_client_needs_but_a_user(self, settled: World) -> None:
        publish(settled, connection={})

        assert settled.api.taken() == [
            *READ_INPUTS,
            read_snapshot(settled),
            WRITE_CONNECTION,
            settled.write_record,
            WRITE_STATUS,
        ]
        assert content(settled, CONNECTION) == {
            "url": URL,
            "fingerprint": settled.fingerprint(settled.pod()),
            "tls.crt": leaf(objects.key_pair()),
        }
        assert info(settled)["connectionSecretName"] == CONNECTION
        assert info(settled)["url"] == URL

    def test_is_a_child_of_the_resource(self, connected: World) -> None:
        metadata = connected.secret(CONNECTION)["metadata"]

        assert [owner["uid"] for owner in metadata["ownerReferences"]] == [objects.UID]
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "repository-server-controller"

    def test_of_a_chain_it_holds_the_leaf_and_the_authority(self, world: World) -> None:
        chained = tls_secret(CHAINED, ROOT.certificate, **{"ca.crt": ROOT.certificate})
        world.change_secret(chained)
        world.settle()

        publish(world, connection={})

        found = content(world, CONNECTION)
        assert found["tls.crt"] == leaf(CHAINED)
        assert found["ca.crt"] == leaf(ROOT)

    def test_costs_no_request_while_nothing_changes(self, connected: World) -> None:
        connected.reconcile()

        assert connected.api.taken() == []

    def test_nor_does_it_after_a_restart(self, connected: World) -> None:
        # The record of what is known is written at most once an hour.
        connected.clock.step(3600)
        connected.reconcile()
        connected.api.taken()

        connected.restart()
        connected.reconcile()

        assert connected.api.taken() == []

    def test_is_renewed_when_the_service_moves_and_not_before(self, connected: World) -> None:
        _, new = connected.renew()
        before = content(connected, CONNECTION)
        connected.reconcile()
        assert content(connected, CONNECTION) == before
        assert WRITE_CONNECTION not in connected.api.taken()

        connected.kubelet(new, objects.serving())
        for _ in range(2):
            connected.reconcile()

        found = content(connected, CONNECTION)
        assert found["tls.crt"] == leaf(objects.key_pair("renewed"))
        assert found["fingerprint"] == info(connected)["tlsFingerprint"]
        assert found["fingerprint"] != before["fingerprint"]
        connected.api.taken()
        connected.reconcile()
        assert connected.api.taken() == []

    def test_stays_as_it_is_while_a_changed_certificate_is_wrong(self, connected: World) -> None:
        before = connected.secret(CONNECTION)
        wrong = objects.merged(objects.tls_secret(), {"data": {"tls.crt": "eA=="}})
        connected.change_secret(wrong)
        connected.reconcile()

        assert connected.condition("Ready")[1] == "CertificateInvalid"
        assert connected.secret(CONNECTION) == before

    def test_another_authority_of_the_same_certificate_is_published(self, world: World) -> None:
        world.change_secret(tls_secret(CHAINED))
        world.settle()
        publish(world, connection={})
        assert "ca.crt" not in content(world, CONNECTION)

        world.change_secret(tls_secret(CHAINED, **{"ca.crt": ROOT.certificate}))
        world.reconcile()

        assert content(world, CONNECTION)["ca.crt"] == leaf(ROOT)
        assert len(world.pods()) == 1

    def test_that_of_a_certificate_which_is_not_served_yet_is_not(self, world: World) -> None:
        chained = tls_secret(CHAINED, ROOT.certificate, **{"ca.crt": ROOT.certificate})
        world.change_secret(chained)
        world.settle()
        publish(world, connection={})
        renewed = objects.key_pair("renewed")
        world.change_secret(tls_secret(renewed, **{"ca.crt": renewed.certificate}))
        world.begin_revision()
        world.drop_secret(CONNECTION)

        world.reconcile()

        found = content(world, CONNECTION)
        assert found["tls.crt"] == leaf(CHAINED)
        assert "ca.crt" not in found

    def test_an_authority_that_is_none_is_told_once(self, world: World) -> None:
        world.change_secret(tls_secret(CHAINED, **{"ca.crt": "none"}))
        world.settle()

        publish(world, connection={})
        world.reconcile()
        world.api.taken()
        # A Secret that is still in memory would be read without a request.
        gc.collect()
        world.reconcile()

        value, reason, message = world.condition("Ready")
        assert (value, reason) == ("False", "CertificateInvalid")
        assert message.startswith(
            f"key ca.crt of Secret {objects.NAMESPACE}/{objects.TLS}, named by "
            "spec.server.tlsSecretRef, is not a certificate in PEM; replace its value"
        )
        assert world.condition("Available")[0] == "True"
        assert world.api.taken() == []

    def test_what_was_read_for_one_that_is_refused_leaves_the_memory(self, world: World) -> None:
        world.change_secret(tls_secret(CHAINED, **{"ca.crt": "none"}))
        world.settle()

        publish(world, connection={})
        gc.collect()

        publisher = world.reconciler._parts.publisher  # noqa: SLF001 - it shows nowhere
        assert dict(publisher._secrets._lent) == {}  # noqa: SLF001

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"data": {"fingerprint": "eA=="}}, id="another fingerprint"),
            pytest.param({"metadata": {"labels": None}}, id="no labels"),
        ],
    )
    def test_what_somebody_has_changed_is_restored(self, connected: World, change: Object) -> None:
        before = connected.secret(CONNECTION)
        connected.change_secret(objects.merged(before, change))

        connected.reconcile()

        after = connected.secret(CONNECTION)
        assert after["data"] == before["data"]
        assert after["metadata"]["labels"] == before["metadata"]["labels"]
        told = f"Normal ChildRestored: Secret {CONNECTION} was not as it should be and has been"
        assert any(event.startswith(told) for event in connected.recorder.lines())

    def test_an_owner_that_somebody_has_added_is_let_be(self, connected: World) -> None:
        other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "foreign"}

        def add_owner(_: Resource, obj: Object) -> None:
            """An apply leaves an owner that another manager has added."""
            if obj["metadata"]["name"] == CONNECTION:
                own = [one for one in obj["metadata"]["ownerReferences"] if one != other]
                obj["metadata"]["ownerReferences"] = [*own, other]

        connected.api.admission = add_owner
        secret = connected.secret(CONNECTION)
        connected.change_secret(objects.merged(secret, {"metadata": {"labels": None}}))
        connected.reconcile()
        connected.reconcile()
        connected.api.taken()

        connected.reconcile()

        assert other in connected.secret(CONNECTION)["metadata"]["ownerReferences"]
        assert connected.api.taken() == []

    def test_one_that_was_deleted_is_made_again(self, connected: World) -> None:
        before = content(connected, CONNECTION)
        connected.drop_secret(CONNECTION)

        connected.reconcile()

        assert content(connected, CONNECTION) == before

    @pytest.mark.parametrize(
        "left",
        [
            pytest.param({"publish": None}, id="all of it"),
            pytest.param({"publish": {"connection": None}}, id="what is in it"),
        ],
    )
    def test_is_gone_with_the_field(self, connected: World, left: Object) -> None:
        connected.edit(left)
        connected.reconcile()

        assert not there(connected, CONNECTION)
        assert "connectionSecretName" not in info(connected)
        assert info(connected)["url"] == URL

    def test_is_gone_with_the_field_after_a_restart(self, connected: World) -> None:
        connected.edit({"publish": None})
        connected.restart()

        connected.reconcile()

        assert not there(connected, CONNECTION)

    def test_a_secret_of_somebody_else_is_left_alone(self, settled: World) -> None:
        theirs = objects.secret(CONNECTION, "Opaque", {"url": "theirs"})
        settled.change_secret(theirs)

        publish(settled, connection={})
        settled.reconcile()

        assert content(settled, CONNECTION) == {"url": "theirs"}
        assert settled.condition("Ready")[:2] == ("False", "NameTaken")
        assert settled.condition("Available")[0] == "True"
        settled.api.taken()
        settled.reconcile()
        assert settled.api.taken() == []

    def test_leaves_the_name_to_one_that_the_resource_refers_to(self, world: World) -> None:
        theirs = objects.merged(objects.users_secret(), {"metadata": {"name": CONNECTION}})
        world.change_secret(theirs)
        ref = {"name": CONNECTION, "namespace": objects.NAMESPACE}
        access = {"username": "backup", "userAccessSecretRef": ref}
        world.edit({"server": {"userAccess": access}, "publish": {"connection": {}}})

        world.settle()

        assert world.secret(CONNECTION)["data"] == theirs["data"]
        assert content(world, f"{CONNECTION}-own")["url"] == URL
        assert info(world)["connectionSecretName"] == f"{CONNECTION}-own"

    def test_is_adopted_with_the_other_children_that_have_lost_their_owner(
        self, connected: World
    ) -> None:
        secret = connected.secret(CONNECTION)
        connected.change_secret(objects.merged(secret, {"metadata": {"ownerReferences": None}}))

        connected.reconcile()

        (owner,) = connected.secret(CONNECTION)["metadata"]["ownerReferences"]
        assert owner["uid"] == objects.UID

    def test_one_that_is_refused_is_told_and_tried_again(self, settled: World) -> None:
        settled.api.failures[WRITE_CONNECTION] = Forbidden(403, "Forbidden", "full")
        publish(settled, connection={})

        assert settled.condition(CONDITION) == (
            "True",
            CONDITION,
            f"Secret {CONNECTION}, which {FIELD_CONNECTION} asks for, is not in place: full",
        )
        assert settled.progress() == "Ready"
        assert settled.condition("Ready")[0] == "True"

        settled.api.failures.clear()
        settled.reconcile()
        assert settled.condition(CONDITION)[:2] == ("False", "ConnectionPublished")
        assert content(settled, CONNECTION)["url"] == URL

    def test_of_the_controllers_own_certificate(self, world: World) -> None:
        server: Object = {"tlsSecretRef": None, "tls": {"selfSigned": {}}}
        world.edit({"server": server, "publish": {"connection": {}}})

        world.settle()

        found = content(world, CONNECTION)
        assert found.keys() == {"url", "fingerprint", "tls.crt", "ca.crt"}
        assert found["fingerprint"] == world.fingerprint(world.pod())
        authority = world.secret(f"{SERVICE}-ca")["data"]["tls.crt"]
        assert found["ca.crt"] == base64.b64decode(authority).decode()


def test_a_server_that_is_gone_is_forgotten(connected: World) -> None:
    connected.api.drop(api.REPOSITORY_SERVERS, objects.NAMESPACE, objects.NAME)
    connected.reconcile()

    publisher = connected.reconciler._parts.publisher  # noqa: SLF001 - it shows nowhere
    assert REQUEST not in publisher._known._states  # noqa: SLF001

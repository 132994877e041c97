"""How a new server comes up, and what is told of it meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.conditions import timestamp
from fakes import objects
from fakes.apiclient import Action
from fakes.world import READ_INPUTS, READ_PASSWORDS, SERVICE, USER, USERS_SECRET, WRITE_STATUS
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import endpoints
from reconcilers.repositoryserver.status import patience
from reconcilers.repositoryserver.status.stages import NEXT_STAGE_PAUSE_SECONDS, STAGE_PAUSE_SECONDS
from reconcilers.repositoryserver.verdict import STEPS

if TYPE_CHECKING:
    from fakes.world import World


def test_a_new_server_gets_its_children_in_the_order_of_their_need(world: World) -> None:
    world.reconcile()

    revision = world.replica_set()["metadata"]["name"]
    assert world.api.taken() == [
        Action("apply", "networkpolicies", SERVICE),
        READ_PASSWORDS,
        Action("create", "secrets", USERS_SECRET),
        *READ_INPUTS,
        Action("apply", "secrets", revision),
        Action("apply", "replicasets", revision),
        Action("apply", "services", SERVICE),
    ]
    assert world.selected() == names.hash_of(world.pod())
    assert world.recorder.lines() == [f"Normal RevisionCreated: created ReplicaSet {revision}"]


def test_a_new_server_starts_with_its_users(world: World) -> None:
    world.reconcile()

    world.kubelet(world.pod(), objects.serving())
    world.reconcile()

    assert world.progress() == "Ready"
    assert world.may_connect() == {USER: objects.USER_PASSWORD_VALUE}
    assert world.kopia.ran() == []


def test_a_server_without_users_starts_and_lets_nobody_in(world: World) -> None:
    world.drop_secret(objects.USERS)
    world.reconcile()
    world.clock.step(patience.SECONDS)
    world.kubelet(world.pod(), objects.serving())

    world.reconcile()

    assert world.may_connect() == {}
    assert world.selected() == names.NO_HASH
    assert world.condition("ServerInitialized")[0] == "True"
    assert world.condition("Ready")[:2] == ("False", "SecretMissing")

    world.change_secret(objects.users_secret())
    world.reconcile()

    assert world.kopia.ran() == ["load users"]
    assert world.may_connect() == {USER: objects.USER_PASSWORD_VALUE}
    assert world.selected() == names.hash_of(world.pod())
    world.reconcile()
    assert world.progress() == "Ready"


def test_a_pod_that_is_ready_makes_the_server_ready(world: World) -> None:
    world.settle()

    assert world.progress() == "Ready"
    assert world.server()["status"]["serverInfo"] == {
        "podName": world.pod()["metadata"]["name"],
        "serviceName": SERVICE,
        "networkPolicyName": SERVICE,
        "url": f"https://{SERVICE}.{objects.NAMESPACE}.svc:51515",
        "port": 51515,
        "tlsFingerprint": world.fingerprint(world.pod()),
        "tlsNotAfter": "2027-01-01T00:00:00Z",
    }
    for step in STEPS:
        assert world.condition(step)[0] == "True"


def test_a_server_is_ready_when_the_service_routes_to_it(world: World) -> None:
    world.endpoints_lag = True
    world.reconcile()
    world.kubelet(world.pod(), objects.serving(since=timestamp(world.clock.now())))

    result = world.reconcile()

    assert result.requeue_after == STAGE_PAUSE_SECONDS
    assert "status" not in world.server()
    world.route_to(world.pod())
    world.reconcile()
    assert world.progress() == "Ready"


def test_where_no_endpoint_is_told_of_nobody_waits_for_ever(world: World) -> None:
    world.endpoints_lag = True
    world.reconcile()
    world.kubelet(world.pod(), objects.serving(since=timestamp(world.clock.now())))
    world.clock.step(endpoints.LAG_SECONDS)

    world.reconcile()

    assert world.progress() == "Ready"


def test_becoming_ready_is_told_once(world: World) -> None:
    world.reconcile()
    world.kubelet(world.pod(), objects.started())
    world.reconcile()
    world.kubelet(world.pod(), objects.serving())
    world.recorder.events.clear()

    world.reconcile()
    world.reconcile()

    assert world.recorder.lines() == [
        f"Normal ServerReady: clients can connect to service {SERVICE}"
    ]


def test_a_server_that_comes_up_slowly_is_told_stage_by_stage(world: World) -> None:
    world.report()

    assert world.progress() == "Pending"
    assert world.condition("Ready")[0] == "False"
    assert world.condition("ServerSetup")[0] == "Unknown"


def test_the_stages_of_a_server_that_comes_up_are_told_in_one(world: World) -> None:
    world.reconcile()
    world.kubelet(world.pod(), objects.running())
    world.api.taken()

    result = world.reconcile()

    assert world.api.taken() == []
    assert result.requeue_after == STAGE_PAUSE_SECONDS
    world.clock.step(STAGE_PAUSE_SECONDS)
    world.reconcile()
    assert world.api.taken() == [WRITE_STATUS]
    assert world.condition("RepositoryConnected")[2].startswith("Kopia is opening the repository")


def test_the_stage_after_the_first_is_told_later(world: World) -> None:
    world.report()
    world.kubelet(world.pod(), objects.running())
    world.api.taken()

    world.clock.step(STAGE_PAUSE_SECONDS)
    world.reconcile()
    assert world.api.taken() == []

    world.clock.step(NEXT_STAGE_PAUSE_SECONDS - STAGE_PAUSE_SECONDS)
    world.reconcile()
    assert world.api.taken() == [WRITE_STATUS]


def test_a_stage_that_has_just_begun_is_told_if_it_lasts(world: World) -> None:
    """The last one before Ready takes a moment, and its write would delay the others."""
    world.report()
    world.clock.step(NEXT_STAGE_PAUSE_SECONDS)
    world.kubelet(world.pod(), objects.running())
    world.api.taken()

    result = world.reconcile()
    assert (world.api.taken(), result.requeue_after) == ([], STAGE_PAUSE_SECONDS)

    world.clock.step(STAGE_PAUSE_SECONDS)
    world.reconcile()
    assert world.api.taken() == [WRITE_STATUS]

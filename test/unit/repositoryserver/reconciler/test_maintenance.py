"""A repository is maintained on a schedule, or its user is told that nobody does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from controller.conditions import conditions_of, get_condition
from controller.errors import Invalid
from fakes import objects
from fakes.apiclient import Action
from fakes.world import READ_INPUTS
from reconcilers import resources
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.inputs.reader import InputReader
from reconcilers.repositoryserver.maintenance.maintainer import (
    ASK_AFTER_SECONDS,
    ASK_AGAIN_SOON_SECONDS,
)
from reconcilers.repositoryserver.status import patience

if TYPE_CHECKING:
    from controller.resource import Object, Resource
    from fakes.world import World

NAME = f"repo-server-{objects.NAME}-maintenance"
CONDITION = "RepositoryUnmaintained"
IDENTITY = {"username": "backup-admin", "hostname": "store.example"}
OWNER = "backup-admin@store.example"
SCHEDULE = {"maintenance": {"schedule": "0 3 * * *", "owner": "admin@laptop"}}


def cron_jobs(world: World) -> list[Object]:
    return world.api.store(resources.CRON_JOBS).list()


def end_run(world: World, type_: str, time: str, output: str = "") -> None:
    """Write what the Job controller and the kubelet do of a run that has ended."""
    (cron_job,) = cron_jobs(world)
    uid = cron_job["metadata"]["uid"]

    def metadata(name: str, kind: str, owner: str, owner_uid: str) -> Object:
        reference = {"apiVersion": "batch/v1", "kind": kind, "name": owner, "uid": owner_uid}
        return {
            "name": name,
            "uid": f"uid-{time}",
            "namespace": objects.NAMESPACE,
            "ownerReferences": [reference],
        }

    condition = {"type": type_, "status": "True", "lastTransitionTime": time}
    job = metadata("run", "CronJob", NAME, uid)
    status: Object = {"conditions": [condition], "completionTime": time}
    world.api.put(resources.JOBS, {"metadata": job, "status": status})
    terminated = {"exitCode": 1, "message": output, "finishedAt": time}
    world.api.put(
        resources.PODS,
        {
            "metadata": {**metadata("run-1", "Job", "run", job["uid"]), "uid": f"pod-{time}"},
            "status": {"containerStatuses": [{"state": {"terminated": terminated}}]},
        },
    )


@pytest.fixture
def scheduled(settled: World) -> World:
    """Give a world with a server that is Ready, whose repository is maintained."""
    settled.edit({"repository": SCHEDULE})
    settled.reconcile()
    settled.api.taken()
    return settled


class TestSchedule:
    def test_without_the_field_there_is_none_and_nothing_is_asked(self, settled: World) -> None:
        settled.clock.step(ASK_AFTER_SECONDS)
        settled.reconcile()

        assert cron_jobs(settled) == []
        assert "maintenance info" not in settled.kopia.ran()
        assert get_condition(conditions_of(settled.server()), CONDITION) is None

    def test_with_it_a_cron_job_is_owned_by_the_resource(self, scheduled: World) -> None:
        (cron_job,) = cron_jobs(scheduled)

        assert cron_job["spec"]["schedule"] == "0 3 * * *"
        assert cron_job["metadata"]["ownerReferences"][0]["uid"] == objects.UID
        assert scheduled.secret(NAME)["data"].keys() == {"repository.config", "repository-password"}
        assert get_condition(conditions_of(scheduled.server()), CONDITION) is None

    def test_the_servers_pod_is_not_replaced(self, settled: World) -> None:
        before = settled.pod()

        settled.edit({"repository": SCHEDULE})
        settled.reconcile()

        assert settled.pod()["metadata"]["uid"] == before["metadata"]["uid"]

    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            pytest.param(
                {"serviceAccountName": "cloud"}, "ServiceAccountMissing", id="another account"
            ),
            pytest.param(
                {"podOverride": {"hostAliases": []}}, "InvalidPodOverride", id="an override"
            ),
        ],
    )
    def test_it_gets_nothing_that_the_server_may_not_have(
        self, scheduled: World, settings: Object, reason: str
    ) -> None:
        before = cron_jobs(scheduled)

        scheduled.edit({"repository": {"maintenance": {"schedule": "@daily"}}, "server": settings})
        scheduled.reconcile()
        scheduled.clock.step(patience.SECONDS)
        scheduled.reconcile()

        assert scheduled.condition("Ready")[1] == reason
        assert cron_jobs(scheduled) == before

    def test_it_costs_no_request_while_nothing_changes(self, scheduled: World) -> None:
        scheduled.reconcile()

        assert scheduled.api.taken() == []

    def test_nor_does_it_after_a_restart(self, scheduled: World) -> None:
        # The record of what is known is written at most once an hour.
        scheduled.clock.step(3600)
        scheduled.reconcile()
        scheduled.api.taken()

        scheduled.restart()
        scheduled.reconcile()

        assert scheduled.api.taken() == []

    def test_another_schedule_changes_it(self, scheduled: World) -> None:
        scheduled.edit({"repository": {"maintenance": {"schedule": "@weekly"}}})
        scheduled.reconcile()

        (cron_job,) = cron_jobs(scheduled)
        assert cron_job["spec"]["schedule"] == "@weekly"

    def test_what_is_refused_to_the_server_is_not_given_to_it(
        self, settled: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The resource may ask for an account or an override that it may not have."""

        def refuse(_current: object) -> None:
            raise InvalidInput("NotAllowed", "this account is not allowed")

        monkeypatch.setattr(InputReader, "known_inputs", lambda _self, current: refuse(current))
        settled.edit({"repository": SCHEDULE, "server": {"serviceAccountName": "powerful"}})

        settled.reconcile()

        assert settled.condition("Ready")[:2] == ("False", "NotAllowed")
        assert cron_jobs(settled) == []

    def test_it_is_adopted_with_the_other_children_that_have_lost_their_owner(
        self, scheduled: World
    ) -> None:
        for resource in (resources.CRON_JOBS, resources.SECRETS):
            child = scheduled.api.store(resource).get(objects.NAMESPACE, NAME)
            assert child is not None
            change = {"metadata": {"ownerReferences": None}}
            scheduled.api.put(resource, objects.merged(child, change))

        scheduled.reconcile()

        for resource in (resources.CRON_JOBS, resources.SECRETS):
            child = scheduled.api.store(resource).get(objects.NAMESPACE, NAME)
            assert child is not None
            assert child["metadata"]["ownerReferences"][0]["uid"] == objects.UID
        assert get_condition(conditions_of(scheduled.server()), CONDITION) is None

    def test_its_secret_leaves_the_name_to_one_that_the_resource_refers_to(
        self, settled: World
    ) -> None:
        theirs = objects.merged(objects.users_secret(), {"metadata": {"name": NAME}})
        settled.change_secret(theirs)
        ref = {"name": NAME, "namespace": objects.NAMESPACE}
        access = {"username": "backup", "userAccessSecretRef": ref}
        settled.edit({"repository": SCHEDULE, "server": {"userAccess": access}})

        settled.begin_revision()
        settled.settle()

        (cron_job,) = cron_jobs(settled)
        pod = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["volumes"][0]["secret"]["secretName"] == f"{NAME}-own"
        assert settled.secret(f"{NAME}-own")["data"].keys() >= {"repository.config"}
        assert settled.secret(NAME)["data"] == theirs["data"]
        assert get_condition(conditions_of(settled.server()), CONDITION) is None

    def test_a_changed_password_reaches_it(self, scheduled: World) -> None:
        before = scheduled.secret(NAME)["data"]["repository-password"]
        scheduled.change_secret(objects.password_secret("another"))

        scheduled.reconcile()

        assert scheduled.secret(NAME)["data"]["repository-password"] != before

    @pytest.mark.parametrize("what", ["CronJob", "Secret"])
    def test_one_that_was_deleted_is_made_again(self, scheduled: World, what: str) -> None:
        resource = resources.CRON_JOBS if what == "CronJob" else resources.SECRETS
        scheduled.api.drop(resource, objects.NAMESPACE, NAME)

        scheduled.reconcile()

        assert scheduled.api.store(resource).get(objects.NAMESPACE, NAME) is not None
        assert [one for one in scheduled.api.taken() if one in READ_INPUTS] == READ_INPUTS

    @pytest.mark.parametrize("resource", [resources.CRON_JOBS, resources.SECRETS])
    def test_the_label_by_which_it_is_found_is_put_back(
        self, scheduled: World, resource: Resource
    ) -> None:
        """Without it neither would be adopted some day."""
        child = scheduled.api.store(resource).get(objects.NAMESPACE, NAME)
        assert child is not None
        change = {"metadata": {"labels": {names.LABEL_INSTANCE: None}}}
        scheduled.api.put(resource, objects.merged(child, change))

        scheduled.reconcile()

        after = scheduled.api.store(resource).get(objects.NAMESPACE, NAME)
        assert after is not None
        assert after["metadata"]["labels"] == child["metadata"]["labels"]

    def test_it_goes_when_the_field_goes(self, scheduled: World) -> None:
        end_run(scheduled, "Complete", "2026-01-01T03:00:05Z")
        scheduled.reconcile()

        scheduled.edit({"repository": {"maintenance": None}})
        scheduled.reconcile()

        assert cron_jobs(scheduled) == []
        assert scheduled.api.store(resources.SECRETS).get(objects.NAMESPACE, NAME) is None
        assert "maintenance" not in scheduled.server()["status"]

    def test_a_cron_job_of_somebody_else_is_left_alone(self, settled: World) -> None:
        metadata = {"name": NAME, "namespace": objects.NAMESPACE, "uid": "x"}
        settled.api.put(resources.CRON_JOBS, {"metadata": metadata, "spec": {"schedule": "x"}})
        settled.edit({"repository": SCHEDULE})

        settled.reconcile()

        assert [one["spec"] for one in cron_jobs(settled)] == [{"schedule": "x"}]
        value, _, message = settled.condition(CONDITION)
        assert value == "True"
        assert f"CronJob {objects.NAMESPACE}/{NAME} exists and does not belong to" in message
        assert settled.progress() == "Ready"

    def test_a_schedule_that_the_api_server_refuses_is_told_and_the_server_goes_on(
        self, settled: World
    ) -> None:
        settled.edit({"repository": {"maintenance": {"schedule": "99 * * * *"}}})
        refusal = Invalid(422, "Invalid", "spec.schedule: Invalid value")
        settled.api.failures[Action("apply", "cronjobs", NAME)] = refusal

        settled.reconcile()

        value, reason, message = settled.condition(CONDITION)
        assert (value, reason) == ("True", CONDITION)
        assert message == (
            f"CronJob {NAME}, which maintains the repository, is not in place: "
            "spec.schedule: Invalid value"
        )
        assert settled.progress() == "Ready"

    def test_a_cron_job_of_somebody_else_keeps_its_name(self, settled: World) -> None:
        """One without our labels would be taken over by an apply, and its Jobs be Kopia's."""
        theirs = {
            "metadata": {"name": NAME, "namespace": objects.NAMESPACE},
            "spec": {"schedule": "@hourly"},
        }
        settled.api.put(resources.CRON_JOBS, theirs)

        settled.edit({"repository": SCHEDULE})
        settled.reconcile()

        (cron_job,) = cron_jobs(settled)
        assert cron_job["spec"] == {"schedule": "@hourly"}
        assert Action("apply", "cronjobs", NAME) not in settled.api.taken()
        value, _, message = settled.condition(CONDITION)
        assert value == "True"
        assert f"CronJob {objects.NAMESPACE}/{NAME} exists and does not belong to" in message
        assert settled.progress() == "Ready"


class TestRuns:
    def test_a_success_is_in_the_status(self, scheduled: World) -> None:
        end_run(scheduled, "Complete", "2026-01-01T03:00:05Z")

        scheduled.reconcile()

        assert scheduled.server()["status"]["maintenance"] == {
            "lastRunTime": "2026-01-01T03:00:05Z",
            "lastSuccessTime": "2026-01-01T03:00:05Z",
            "result": "Succeeded",
            "message": "",
        }

    def test_a_failure_is_told_once_until_a_run_succeeds(self, scheduled: World) -> None:
        output = "maintenance must be run by designated user: a@b"
        end_run(scheduled, "Failed", "2026-01-01T03:00:05Z", output)
        for _ in range(2):
            scheduled.reconcile()

        status, _, message = scheduled.condition(CONDITION)
        assert status == "True"
        assert (
            "failed at 2026-01-01T03:00:05Z: the maintenance of the repository is owned" in message
        )
        assert scheduled.recorder.lines().count(f"Warning {CONDITION}: {message}") == 1
        assert scheduled.progress() == "Ready"

        end_run(scheduled, "Complete", "2026-01-02T03:00:05Z")
        scheduled.reconcile()

        assert scheduled.condition(CONDITION)[:2] == ("False", "RepositoryMaintained")


class TestNobodyMaintains:
    @pytest.fixture
    def owner(self, world: World) -> World:
        """Give a world with a server that has the identity that owns the maintenance."""
        change = {"spec": {"repository": IDENTITY}}
        world.api.put(api.REPOSITORY_SERVERS, objects.repository_server(change))
        world.kopia.owner = OWNER
        world.settle()
        return world

    def ask(self, world: World, seconds: float = ASK_AFTER_SECONDS) -> None:
        world.clock.step(seconds)
        for _ in range(2):
            world.reconcile()

    def test_is_told_once_with_the_fix(self, owner: World) -> None:
        self.ask(owner)

        value, reason, message = owner.condition(CONDITION)
        assert (value, reason) == ("True", CONDITION)
        assert f"the owner of its maintenance is {OWNER}, which is this server" in message
        assert "set spec.repository.maintenance.schedule, or make the owner somebody" in message
        assert owner.recorder.lines().count(f"Warning {CONDITION}: {message}") == 1
        assert owner.progress() == "Ready"

    def test_is_told_though_the_identity_ends_in_a_line_end(self, owner: World) -> None:
        owner.edit({"repository": {name: f"{word}\n" for name, word in IDENTITY.items()}})
        owner.reconcile()

        self.ask(owner)

        assert owner.condition(CONDITION)[0] == "True"
        assert len(owner.revisions()) == 1

    def test_servers_that_come_up_go_first(self, owner: World) -> None:
        owner.reconcile()

        assert "maintenance info" not in owner.kopia.ran()

    def test_is_over_with_a_schedule(self, owner: World) -> None:
        self.ask(owner)

        owner.edit({"repository": {"maintenance": {"schedule": "@daily"}}})
        owner.reconcile()

        assert owner.condition(CONDITION)[:2] == ("False", "RepositoryMaintained")

    def test_is_over_when_somebody_else_owns_it(self, owner: World) -> None:
        self.ask(owner)
        owner.kopia.owner = "admin@laptop"

        self.ask(owner, ASK_AGAIN_SOON_SECONDS)

        assert owner.condition(CONDITION)[:2] == ("False", "RepositoryMaintained")

    def test_is_asked_once_where_somebody_else_owns_it(self, owner: World) -> None:
        owner.kopia.owner = "admin@laptop"
        self.ask(owner)
        self.ask(owner)

        assert owner.kopia.ran().count("maintenance info") == 1
        assert get_condition(conditions_of(owner.server()), CONDITION) is None

    def test_stands_after_a_restart_until_the_server_was_asked(self, owner: World) -> None:
        self.ask(owner)
        told = owner.condition(CONDITION)

        owner.restart()
        owner.reconcile()

        assert owner.condition(CONDITION) == told

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"readOnly": True}, id="one that only reads cannot"),
            pytest.param(
                {"username": None, "hostname": None}, id="an identity that nobody has chosen"
            ),
        ],
    )
    def test_is_not_asked_of(self, world: World, change: Object) -> None:
        repository: Any = {**IDENTITY, **change}
        server = objects.repository_server({"spec": {"repository": repository}})
        world.api.put(api.REPOSITORY_SERVERS, server)
        world.settle()

        self.ask(world)

        assert "maintenance info" not in world.kopia.ran()

    @pytest.mark.parametrize("restarted", [False, True])
    def test_is_told_of_one_that_was_maintained_and_is_no_more(
        self, scheduled: World, *, restarted: bool
    ) -> None:
        """Whoever had a schedule has made the server the owner, which nobody is by default."""
        end_run(scheduled, "Complete", "2026-01-01T03:00:05Z")
        scheduled.reconcile()
        scheduled.kopia.owner = api.parse(scheduled.server()).identity
        scheduled.edit({"repository": {"maintenance": None}})
        scheduled.reconcile()

        self.ask(scheduled)
        if restarted:
            scheduled.restart()
            self.ask(scheduled)

        assert scheduled.condition(CONDITION)[0] == "True"
        scheduled.kopia.owner = "admin@laptop"
        self.ask(scheduled, ASK_AGAIN_SOON_SECONDS)
        assert scheduled.condition(CONDITION)[0] == "False"

    def test_a_server_that_does_not_say_is_asked_again(self, owner: World) -> None:
        owner.kopia.owner = ""
        self.ask(owner)
        owner.kopia.owner = OWNER

        self.ask(owner, ASK_AGAIN_SOON_SECONDS)

        assert owner.condition(CONDITION)[0] == "True"

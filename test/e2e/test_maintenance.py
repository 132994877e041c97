"""A repository whose maintenance the server's own identity owns: a warning, and a CronJob."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from controller.conditions import is_true
from e2e.cluster import NAMESPACE
from e2e.server import condition
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from controller.resource import Object, Resource
    from e2e.server import Server

#: Who made the repository, and so owns its maintenance.
OWNER = {"username": "owner", "hostname": "test"}
#: The 29th of February: none of these tests meets it.
NEVER = "0 0 29 2 *"
CONDITION = "RepositoryUnmaintained"


def cron_job_of(server: Server) -> str:
    return names.maintenance_name(api.parse(server.get()))


def schedule(server: Server, **settings: Any) -> None:
    server.patch({"spec": {"repository": {"maintenance": {"schedule": NEVER, **settings}}}})
    wait_for(
        "the CronJob", lambda: server.cluster.get(resources.CRON_JOBS, cron_job_of(server)), bool
    )


def run_now(server: Server) -> None:
    server.cluster.kubectl.run(
        "create",
        "job",
        f"--namespace={NAMESPACE}",
        f"--from=cronjob/{cron_job_of(server)}",
        f"{server.name}-by-hand",
    )


def result_of(server: Object) -> str:
    result: str = (server["status"].get("maintenance") or {}).get("result", "")
    return result


def test_it_is_told_and_a_schedule_has_it_run_once_beside_two_pods_of_the_server(
    server: Server,
) -> None:
    server.resource["spec"]["repository"].update(OWNER)
    server.start()

    told = condition(
        server.wait("to tell that nobody maintains it", is_warned, seconds=90), CONDITION
    )
    assert told is not None
    assert "the owner of its maintenance is owner@test" in told["message"]
    assert runs_of(server) == {}, "neither the server nor a command in it has run any"

    schedule(server)
    server.wait("to warn no more", lambda seen: not is_warned(seen))
    # The former pod drains for five minutes.
    server.patch({"spec": {"server": {"resources": {"requests": {"memory": "64Mi"}}}}})
    former = server.pod()["metadata"]["name"]
    server.wait(
        "to be served by another pod",
        lambda seen: seen["status"]["serverInfo"]["podName"] != former,
    )
    run_now(server)
    done = server.wait("to tell of the run", result_of, seconds=120)

    assert result_of(done) == "Succeeded", done["status"]["maintenance"]
    assert done["status"]["maintenance"]["lastSuccessTime"]
    assert server.cluster.get(resources.PODS, former) is not None, "both pods were there"
    assert runs_of(server)["snapshot-gc"] == 1


def test_a_run_as_somebody_else_than_the_owner_fails_with_the_fix(server: Server) -> None:
    server.start()

    schedule(server, owner="stranger@nowhere")
    run_now(server)
    failed = server.wait("to tell of the failure", result_of, seconds=120)

    assert result_of(failed) == "Failed"
    assert (
        "owned by owner@test; set spec.repository.maintenance.owner to it"
        in (failed["status"]["maintenance"]["message"])
    )
    assert is_true(failed["status"]["conditions"], "Ready")
    server.wait("to warn", is_warned)


@pytest.mark.parametrize("what", [resources.CRON_JOBS, resources.SECRETS], ids=lambda one: one.kind)
def test_what_was_deleted_is_made_again(server: Server, what: Resource) -> None:
    server.resource["spec"]["repository"]["maintenance"] = {"schedule": NEVER}
    server.start()
    name = cron_job_of(server)

    def made() -> Object:
        return server.cluster.get(what, name) or {"metadata": {"uid": ""}}

    before = wait_for("it to be there", made, lambda seen: seen["metadata"]["uid"])

    server.cluster.discard(what, name)

    uids = ("", before["metadata"]["uid"])
    after = wait_for("it to be there again", made, lambda seen: seen["metadata"]["uid"] not in uids)
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]


def is_warned(server: Object) -> bool:
    return is_true(server["status"].get("conditions") or [], CONDITION)


def runs_of(server: Server) -> dict[str, int]:
    """Return how often each part of a maintenance has run, as the repository knows it."""
    info = json.loads(server.kopia("maintenance info --json"))
    return {part: len(runs) for part, runs in (info["schedule"]["runs"] or {}).items()}

"""What the documentation tells an operator to type works as it stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.cluster import NAMESPACE
from e2e.documented import NOT_RUN, PAGES, as_typed, commands_of
from e2e.server import HOST, USER
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.server import Server

RECOVERY = "docs/disaster-recovery.md"
SAVE, BRING_BACK = "kubectl get secrets,reposerver ", "kubectl create -f "


@pytest.mark.parametrize("pages", PAGES, ids=lambda pages: pages[0])
def test_the_commands_of(pages: tuple[str, ...], server: Server) -> None:
    # None of the runs that the schedule makes falls into a test.
    server.resource["spec"]["repository"]["maintenance"] = {"schedule": "0 0 29 2 *"}
    info = server.start()["status"]["serverInfo"]
    cron_job = names.maintenance_name(api.parse(server.get()))
    wait_for("the CronJob", lambda: server.cluster.get(resources.CRON_JOBS, cron_job), bool)
    words = {
        "-n kanister": f"-n {NAMESPACE}",
        "NAME": server.name,
        "CLAIM": server.name,
        "PODNAME": info["podName"],
        "USER@HOST": f"nobody@{HOST}",
    }

    said = {}
    for command in [command for page in pages for command in commands_of(page)]:
        if command not in NOT_RUN:
            ran = server.cluster.kubectl.attempt(*as_typed(command, words))
            assert ran.code == 0, f"{command}: {ran}"
            said[command] = ran.output + ran.complaint

    # `user list`, `user delete` and `refresh` have nothing to say where nobody was left behind.
    silent = [command for command in said if not said[command] and "/bin/kopia" not in command]
    assert silent == []
    users = [printed for command, printed in said.items() if "data.htpasswd" in command]
    # Comments of the controller's stand between the users.
    assert all(f"\n{USER}:{{SSHA}}" in f"\n{printed}" for printed in users)


def test_a_lost_server_comes_back_from_the_copy_that_was_kept(
    server: Server, tmp_path: Path
) -> None:
    (save,) = (line for line in commands_of(RECOVERY) if line.startswith(SAVE))
    (bring_back,) = (line for line in commands_of(RECOVERY) if line.startswith(BRING_BACK))
    copy = tmp_path / "servers.yaml"
    words = {"-n kanister": f"-n {NAMESPACE}", copy.name: str(copy)}
    kubectl = server.cluster.kubectl
    lost = server.start()["metadata"]["uid"]
    copy.write_text(kubectl.run(*as_typed(save, words)))

    server.cluster.delete(api.REPOSITORY_SERVERS, server.name)
    for secret in server.secrets.values():
        server.cluster.delete(resources.SECRETS, secret["metadata"]["name"])
    ran = kubectl.attempt(*as_typed(bring_back, words))

    # Of what else is in the namespace of the tests.
    others = [line for line in ran.complaint.splitlines() if "AlreadyExists" not in line]
    assert others == []
    assert server.wait_ready()["metadata"]["uid"] != lost

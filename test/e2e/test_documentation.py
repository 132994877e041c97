"""What the documentation tells an operator to type works as it stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.cluster import NAMESPACE
from e2e.documented import PAGES, REMOVAL, as_typed, commands_of
from e2e.server import HOST, USER
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from e2e.server import Server


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of(page: str, server: Server) -> None:
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
    for command in commands_of(page):
        if not command.startswith(REMOVAL):
            ran = server.cluster.kubectl.attempt(*as_typed(command, words))
            assert ran.code == 0, f"{command}: {ran}"
            said[command] = ran.output + ran.complaint

    # `user list`, `user delete` and `refresh` have nothing to say where nobody was left behind.
    silent = [command for command in said if not said[command] and "/bin/kopia" not in command]
    assert silent == []
    users = [printed for command, printed in said.items() if "data.htpasswd" in command]
    # Comments of the controller's stand between the users.
    assert all(f"\n{USER}:{{SSHA}}" in f"\n{printed}" for printed in users)

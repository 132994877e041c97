"""Servers that write to one repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.conditions import conditions_of, get_condition
from controller.reconcile import Request
from fakes import objects
from fakes.world import REQUEST
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.reconciler import UNREADY_RECHECK_SECONDS
from reconcilers.repositoryserver.users.purge import FIRST_SEARCH_SECONDS

if TYPE_CHECKING:
    from controller.reconcile import Result
    from fakes.world import World


class TestSharedRepository:
    """Two servers that write to one repository are told of each other."""

    SECOND = Request(objects.NAMESPACE, "second")

    @pytest.fixture
    def shared(self, settled: World) -> World:
        """Give a world with a second server on the repository, of which nobody has been told."""
        metadata = {"name": self.SECOND.name, "uid": "uid-of-second"}
        second = objects.repository_server({"metadata": metadata})
        settled.api.put(api.REPOSITORY_SERVERS, second)
        return settled

    @pytest.mark.parametrize(
        ("root_path", "told"),
        [
            pytest.param("/files/.", True, id="the same folder in another spelling"),
            pytest.param("other", False, id="another folder"),
        ],
    )
    def test_a_repository_is_known_by_its_place(
        self, settled: World, root_path: str, *, told: bool
    ) -> None:
        """Not by the words in which its place is told."""
        metadata = {"name": self.SECOND.name, "uid": "uid-of-second"}
        spec = {"repository": {"rootPath": root_path}}
        second = objects.repository_server({"metadata": metadata, "spec": spec})
        settled.api.put(api.REPOSITORY_SERVERS, second)

        self.reconcile_second(settled)
        settled.reconcile()

        found = get_condition(conditions_of(settled.server()), "RepositoryShared")
        assert (found is not None) == told

    def reconcile_second(self, world: World) -> Result:
        return world.reconcile_of(self.SECOND)

    def test_each_names_the_other_in_one_event(self, shared: World) -> None:
        self.reconcile_second(shared)
        for _ in range(2):
            shared.reconcile()

        value, reason, message = shared.condition("RepositoryShared")
        assert (value, reason) == ("True", "RepositoryShared")
        assert message == (
            "the repository at backups/files/ on PersistentVolumeClaim backup/files-data is also "
            "served by RepositoryServer second, and backups made through one do not show "
            "at once through another; let only one serve it, or set spec.repository.readOnly on "
            "all but one"
        )
        assert shared.recorder.lines().count(f"Warning RepositoryShared: {message}") == 1
        assert shared.progress() == "Ready"

    def test_a_steady_one_is_not_looked_at_again_for_that(self, shared: World) -> None:
        """Another one that comes or goes wakes it."""
        shared.clock.step(FIRST_SEARCH_SECONDS)
        shared.reconcile()
        alone = shared.reconcile()

        self.reconcile_second(shared)
        for _ in range(2):
            result = shared.reconcile()

        assert shared.condition("RepositoryShared")[0] == "True"
        assert result.requeue_after == alone.requeue_after
        assert alone.requeue_after is None or alone.requeue_after > UNREADY_RECHECK_SECONDS

    def test_it_is_over_when_the_other_is_deleted(self, shared: World) -> None:
        self.reconcile_second(shared)
        shared.reconcile()
        shared.api.drop(api.REPOSITORY_SERVERS, objects.NAMESPACE, self.SECOND.name)

        shared.reconcile()

        assert shared.condition("RepositoryShared")[:2] == ("False", "RepositoryNotShared")

    def test_after_a_restart_it_stands_until_the_other_was_examined(self, shared: World) -> None:
        self.reconcile_second(shared)
        shared.reconcile()
        told = shared.condition("RepositoryShared")
        shared.restart()

        result = shared.reconcile()

        assert shared.condition("RepositoryShared") == told
        assert result.requeue_after == UNREADY_RECHECK_SECONDS
        self.reconcile_second(shared)
        shared.reconcile()
        assert shared.condition("RepositoryShared") == told

    def test_nothing_is_said_of_a_server_that_is_alone(self, settled: World) -> None:
        settled.reconcile()

        assert get_condition(conditions_of(settled.server()), "RepositoryShared") is None

    def test_after_a_restart_it_stands_until_all_others_were_examined(self, shared: World) -> None:
        third = Request(objects.NAMESPACE, "third")
        metadata = {"name": third.name, "uid": "uid-of-third"}
        shared.api.put(api.REPOSITORY_SERVERS, objects.repository_server({"metadata": metadata}))
        for _ in range(2):
            for request in (REQUEST, self.SECOND, third):
                shared.reconcile_of(request)
        told = shared.condition("RepositoryShared")
        assert "second, third" in told[2]
        shared.restart()
        shared.api.taken()

        self.reconcile_second(shared)
        shared.reconcile()

        assert shared.condition("RepositoryShared") == told

"""KubeOps: its requests, and what another process makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.errors import Invalid, TransportError
from controller.resource import Resource
from fakes.apiclient import Action
from fakes.clock import FakeClock
from fakes.kubeops import (
    ANNOTATION,
    CONFIG_MAPS,
    CREATE,
    DELETE,
    OUTPUT,
    PATCH,
    REFERENCE,
    SERVED,
    THINGS,
    existing,
    manifest,
    phase,
    restarted,
    stored,
)
from fakes.phaseclient import PhaseClient
from fakes.phaseruns import UID
from reconcilers.actionset.function import Complete, Failed, Running
from reconcilers.errors import InvalidInput


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client() -> PhaseClient:
    return PhaseClient(served=SERVED)


class TestCreate:
    """Objects are created once."""

    def test_it_is_created_once_its_beginning_is_stored(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        run = phase(client, clock, CREATE)
        assert isinstance(run.advance(), Running)
        assert client.taken() == []

        assert run.advance() == Complete(OUTPUT)

        assert client.taken() == [Action("create", "configmaps", "made")]
        assert stored(client)["metadata"]["annotations"] == {ANNOTATION: f"{UID}/0/step/1"}

    def test_the_last_of_several_is_the_output(self, client: PhaseClient, clock: FakeClock) -> None:
        spec = f"{manifest(name='a')}---\n{manifest('Deployment', 'b', 'apps/v1')}"

        step = phase(client, clock, CREATE | {"spec": spec}).settle()

        assert step == Complete(OUTPUT | {"group": "apps", "resource": "deployments", "name": "b"})
        assert [action.name for action in client.taken()] == ["a", "b"]

    def test_what_somebody_else_has_made_fails_it(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        client.put(CONFIG_MAPS, existing())

        with pytest.raises(InvalidInput) as refused:
            phase(client, clock, CREATE).settle()

        assert refused.value.message == (
            "ConfigMap made exists already, and this phase has not created it; use another name"
        )

    def test_an_answer_that_is_lost_is_no_second_object(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        run = phase(client, clock, CREATE)
        run.advance()
        client.lost.add(Action("create", "configmaps", "made"))
        with pytest.raises(TransportError):
            run.advance()

        assert isinstance(run.advance(), Complete)
        assert len(client.store(CONFIG_MAPS).list()) == 1

    def test_another_process_finds_what_was_created(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        """It was killed between the request and the status."""
        run = phase(client, clock, CREATE)
        run.settle()
        restarted(run, client, clock)
        client.taken()

        assert run.advance() == Complete(OUTPUT)
        assert len(client.store(CONFIG_MAPS).list()) == 1

    def test_what_another_process_does_not_find_may_have_been_there(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        run = phase(client, clock, CREATE)
        run.advance()
        restarted(run, client, clock)

        assert run.advance() == Failed(
            "outcome unknown: actionset-controller was restarted while it created ConfigMap made,"
            " which may have been made and be gone again; check, and set the annotation"
            " actionset.cr.kanister.io/repeatable if the phase may run twice"
        )
        assert client.store(CONFIG_MAPS).list() == []

    def test_a_phase_that_may_run_twice_goes_on(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        run = phase(client, clock, CREATE, repeatable=True)
        run.advance()
        restarted(run, client, clock)

        assert run.advance() == Complete(OUTPUT)

    def test_who_refuses_an_object_is_named(self, client: PhaseClient, clock: FakeClock) -> None:
        client.failures[Action("create", "configmaps", "made")] = Invalid(
            422,
            "Invalid",
            "configmaps \"made\" is forbidden: ValidatingAdmissionPolicy 'teams' with binding 'b'"
            " denied request: hunter2",
        )

        with pytest.raises(InvalidInput) as refused:
            phase(client, clock, CREATE).settle()

        assert (
            refused.value.message
            == "ConfigMap made is refused by policy teams; correct argument spec"
        )

    def test_a_rejected_object_is_named_with_its_fields_and_without_its_values(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        client.failures[Action("create", "configmaps", "b")] = Invalid(
            422, "Invalid", 'data.key: Invalid value: "hunter2"', fields=("data.key",)
        )
        spec = f"{manifest(name='a')}---\n{manifest(name='b')}"

        with pytest.raises(InvalidInput) as refused:
            phase(client, clock, CREATE | {"spec": spec}).settle()

        assert refused.value.message == (
            "ConfigMap b is rejected by the API server (Invalid), for its data.key; correct"
            " argument spec; created before: ConfigMap a"
        )


def test_what_it_writes_is_in_no_cache_of_an_informer(
    client: PhaseClient, clock: FakeClock
) -> None:
    """An informer selects the pods of phases, and of Secrets it keeps no content."""
    seen: list[Resource] = []
    client.admission = lambda resource, _: seen.append(resource)

    phase(client, clock, CREATE | {"spec": manifest("Secret")}).settle()

    assert seen == [Resource("", "v1", "secrets", "")]


class TestPatch:
    """Objects are patched once."""

    def test_a_kind_of_kubernetes_gets_a_strategic_merge_patch(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        client.put(CONFIG_MAPS, existing())
        run = phase(client, clock, PATCH)

        assert run.settle() == Complete(OUTPUT)

        assert client.taken() == [
            Action("get", "configmaps", "made"),
            Action("get", "configmaps", "made"),
            Action("strategic", "configmaps", "made"),
        ]
        assert stored(client)["data"] == {"kept": "as it is", "key": "value"}
        assert stored(client)["metadata"]["annotations"] == {ANNOTATION: f"{UID}/0/step/1"}

    def test_a_custom_resource_gets_a_merge_patch(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        """Kanister's patch of one always fails."""
        client.put(THINGS, existing())
        reference = REFERENCE | {"group": "example.com", "resource": "things"}
        run = phase(client, clock, PATCH | {"objectReference": reference})

        assert run.settle() == Complete(OUTPUT | {"group": "example.com", "resource": "things"})

        assert client.taken()[2:] == [
            Action("strategic", "things", "made"),
            Action("patch", "things", "made"),
        ]
        assert stored(client, THINGS)["data"]["key"] == "value"

    def test_another_process_does_not_undo_what_was_changed_since(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        client.put(CONFIG_MAPS, existing())
        run = phase(client, clock, PATCH)
        run.settle()
        changed = stored(client)
        changed["data"]["key"] = "changed by hand"
        client.put(CONFIG_MAPS, changed)

        restarted(run, client, clock)

        assert run.advance() == Complete(OUTPUT)
        assert stored(client)["data"]["key"] == "changed by hand"

    def test_another_process_sends_what_was_not_sent(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        client.put(CONFIG_MAPS, existing())
        run = phase(client, clock, PATCH)
        run.advance()
        restarted(run, client, clock)

        assert run.advance() == Complete(OUTPUT)
        assert stored(client)["data"]["key"] == "value"


class TestDelete:
    """A deletion is over when the object is gone."""

    def test_it_waits_until_the_object_is_gone(self, client: PhaseClient, clock: FakeClock) -> None:
        client.put(CONFIG_MAPS, existing(finalizers=["somebody/else"]))
        run = phase(client, clock, DELETE)

        assert run.settle() == Running(waits_for="the object to be gone", again_after=0.5)
        assert isinstance(run.advance(), Running)
        assert client.taken() == [
            Action("get", "configmaps", "made"),
            Action("get", "configmaps", "made"),
            Action("delete", "configmaps", "made"),
            # It is asked for once.
            Action("get", "configmaps", "made"),
        ]

        client.drop(CONFIG_MAPS, "app", "made")
        assert run.advance() == Complete(OUTPUT)
        assert run.rendered == 1

    @pytest.mark.parametrize("calls", [1, 2, 3])
    def test_another_process_goes_on(
        self, client: PhaseClient, clock: FakeClock, calls: int
    ) -> None:
        client.put(CONFIG_MAPS, existing())
        run = phase(client, clock, DELETE)
        for _ in range(calls):
            run.advance()
        restarted(run, client, clock)

        assert run.finish() == Complete(OUTPUT)
        assert [one.verb for one in client.taken()].count("delete") == 1

    def test_a_successor_of_the_same_name_stays(
        self, client: PhaseClient, clock: FakeClock
    ) -> None:
        client.put(CONFIG_MAPS, existing())
        run = phase(client, clock, DELETE)
        run.advance()
        client.drop(CONFIG_MAPS, "app", "made")
        client.put(CONFIG_MAPS, existing(uid="uid-2"))

        assert run.advance() == Complete(OUTPUT)
        assert stored(client)["metadata"]["uid"] == "uid-2"

    def test_it_does_not_wait_for_ever(self, client: PhaseClient, clock: FakeClock) -> None:
        client.put(CONFIG_MAPS, existing(finalizers=["somebody/else"]))

        assert phase(client, clock, DELETE).finish() == Failed(
            "configmaps app/made was deleted, and is still there after 600 s; see its finalizers,"
            " or set the annotation actionset.cr.kanister.io/timeout for a longer time",
            OUTPUT,
        )


@pytest.mark.parametrize(
    ("given", "calls", "message"),
    [
        pytest.param(CREATE, 0, "cancelled", id="before it has begun"),
        pytest.param(
            CREATE,
            1,
            "cancelled; what it has created, patched or deleted by then stays so",
            id="once it may have",
        ),
    ],
)
def test_a_cancelled_one_has_no_request_under_way(
    client: PhaseClient, clock: FakeClock, given: dict[str, Any], calls: int, message: str
) -> None:
    run = phase(client, clock, given)
    for _ in range(calls):
        run.advance()

    assert run.function.cancel(run.run) == Failed(message)

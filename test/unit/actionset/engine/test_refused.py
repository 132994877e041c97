"""What the API server refuses is told with the missing right, tried again, and then given up."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from controller.clock import Deadline
from controller.conditions import timestamp
from controller.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    ServerUnavailable,
    Stopped,
    TransportError,
    WebhookFailed,
)
from fakes.actionsets import (
    NAME,
    UID,
    ActionSetWorld,
    PodFunction,
    action,
    action_set,
    blueprint,
    phase,
)
from fakes.apiclient import Action
from fakes.refusals import OF_THE_SOURCE, RECORDED
from reconcilers.actionset.api import ANNOTATION_MEMO, ANNOTATION_WAITS_FOR, BLUEPRINTS
from reconcilers.actionset.engine.limits import CANCEL_SECONDS
from reconcilers.actionset.engine.refusals import PATIENCE_SECONDS, QUIET_SECONDS, describe
from reconcilers.actionset.parameters.lookup import RightMissing
from reconcilers.actionset.templates.errors import RendererUnavailable
from reconcilers.resources import SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

RIGHT = (
    'pods is forbidden: User "system:serviceaccount:kanister:actionset-controller" cannot create'
    ' resource "pods" in API group "" in the namespace "app"'
)
TOLD = (
    "the engine lacks the right to create pods in namespace app; give it the Role of"
    " manifests/application there (in the chart: actionsets.applications)"
)
CREATE = Action("create", "pods", "5a1e-0-dump")
WEBHOOK = WebhookFailed(
    500,
    "InternalError",
    'Internal error occurred: failed calling webhook "a.example": failed to call webhook: Post'
    ' "https://a.app.svc:443/?token=secret-1": dial tcp 10.0.0.1:443: connect: connection refused',
)
WEBHOOK_TOLD = (
    "admission webhook a.example does not answer, and the API server admits nothing without it; see"
    " whether the Service of the webhook has a pod that is ready"
)
WRITE = f"patch actionsets {NAME}"


def forbidden(message: str = RIGHT) -> Forbidden:
    return Forbidden(403, "Forbidden", message)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        pytest.param(forbidden(), TOLD, id="a right that a Role gives"),
        pytest.param(
            forbidden(RIGHT.removesuffix(' in the namespace "app"').replace("pods", "nodes")),
            "the engine lacks the right to create nodes in the whole cluster, which it should not"
            " have; name a namespaced object",
            id="a right that no Role gives",
        ),
        pytest.param(
            forbidden('pods "x" is forbidden: exceeded quota: small, requested: cpu=2, used: 1'),
            "quota small of the namespace is exceeded; free some of it or raise it",
            id="a quota",
        ),
        pytest.param(
            forbidden(
                'pods "x" is forbidden: violates PodSecurity "restricted:latest":'
                " runAsNonRoot != true"
            ),
            "the Pod Security level restricted:latest of the namespace refuses the pod:"
            " runAsNonRoot != true; change it with podOverride",
            id="the Pod Security level",
        ),
        pytest.param(
            forbidden(
                "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'no-root' with binding 'b'"
                " denied request: secret-1"
            ),
            "policy no-root refuses what the phase asks for",
            id="a policy, whose message may have a value",
        ),
        pytest.param(
            Invalid(
                422,
                "Invalid",
                "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'no-root' with binding 'b'"
                " denied request: secret-1: Invalid value",
            ),
            "policy no-root refuses what the phase asks for",
            id="a policy that says no reason",
        ),
        pytest.param(
            BadRequest(400, "", 'admission webhook "a.example" denied the request: secret-1'),
            "admission webhook a.example refuses what the phase asks for",
            id="a webhook",
        ),
        pytest.param(
            forbidden('admission webhook "a.example" denied the request: secret-1'),
            "admission webhook a.example refuses what the phase asks for",
            id="a webhook that says that it forbids it",
        ),
        pytest.param(WEBHOOK, WEBHOOK_TOLD, id="a webhook that does not answer, by its address"),
        pytest.param(
            forbidden(
                'pods "x" is forbidden: error looking up service account app/dump: serviceaccount'
                ' "dump" not found'
            ),
            "there is no ServiceAccount app/dump, which the pod is to have; create it, or name"
            " another one",
            id="an account that is not there",
        ),
        pytest.param(
            forbidden(
                'pods "x" is forbidden: [maximum memory usage per Container is 1Gi, but limit is'
                " 2Gi, minimum cpu usage per Pod is 1, but request is 50m]"
            ),
            "a LimitRange of the namespace refuses the pod by its maximum memory usage per"
            " Container; change requests and limits with podOverride",
            id="a LimitRange",
        ),
        pytest.param(
            forbidden(
                'pods "x" is forbidden: unable to create new content in namespace app because it'
                " is being terminated"
            ),
            "namespace app is being deleted, and takes nothing new",
            id="a namespace that goes",
        ),
        pytest.param(
            forbidden('pods "x" is forbidden: failed quota: small: must specify limits.memory'),
            "quota small of the namespace asks for what the pod does not say; set requests and"
            " limits with podOverride",
            id="a quota of what the pod does not ask for",
        ),
        pytest.param(
            forbidden('pods "x" is forbidden: no PriorityClass with name high was found'),
            "there is no PriorityClass high, which the pod is to have; create it, or name another"
            " one",
            id="a PriorityClass that is not there",
        ),
        pytest.param(
            forbidden('pods "x" is forbidden: pod rejected: RuntimeClass "gvisor" not found'),
            "there is no RuntimeClass gvisor, which the pod is to have; create it, or name another"
            " one",
            id="a RuntimeClass that is not there",
        ),
        pytest.param(
            forbidden("no: secret-1"),
            "the API server refuses what the phase asks for (403), by admission or policy",
            id="anything else, whose message may have a value",
        ),
        pytest.param(
            Invalid(
                422,
                "Invalid",
                'Pod "x" is invalid: [spec.containers[0].image: Invalid value: "secret-1": bad,'
                " spec.nodeName: Required value]",
            ),
            "the API server calls these fields wrong: spec.containers[0].image, spec.nodeName",
            id="wrong fields, without their values",
        ),
        pytest.param(
            Invalid(422, "Invalid", "secret-1"),
            "the API server calls what the phase asks for invalid (422)",
            id="a message that names none",
        ),
    ],
)
def test_refusals_in_words_without_a_value(error: Any, told: str) -> None:
    assert describe(error) == told


@pytest.mark.parametrize(
    ("recorded", "names"),
    [
        ("account", "ServiceAccount backup/robot"),
        ("priority class", "PriorityClass high"),
        ("runtime class", "RuntimeClass gvisor"),
        ("pod security", "Pod Security level restricted"),
        ("full quota", "quota small"),
        ("quota that asks for limits", "quota compute"),
        ("maximum", "a LimitRange"),
        ("ratio", "a LimitRange"),
        ("range of user ids", "no SecurityContextConstraints"),
        ("policy", "policy teams.backup"),
        ("webhook", "admission webhook teams.example.com"),
        ("webhook without a word", "admission webhook teams.example.com"),
    ],
)
def test_what_an_api_server_has_said_is_told_by_the_name_of_who_refuses(
    recorded: str, names: str
) -> None:
    assert names in describe(forbidden({**RECORDED, **OF_THE_SOURCE}[recorded]))


def test_a_missing_right_is_told_at_once_and_the_phase_goes_on_once_it_is_given() -> None:
    world = ActionSetWorld()
    world.api.failures[CREATE] = forbidden()

    result = world.reconcile()
    told = waits_for(world)
    running = (world.state(), world.phases()[0])
    del world.api.failures[CREATE]
    world.run()

    assert (result.requeue_after, told) == (30, f"phase dump: {TOLD}")
    assert running == ("running", "dump running")
    assert f"Warning Refused: phase dump: {TOLD}" in world.recorder.lines()
    assert world.state() == "complete"
    assert ANNOTATION_WAITS_FOR not in world.stored()["metadata"]["annotations"]


def test_a_right_that_stays_missing_fails_the_phase_after_ten_minutes_across_restarts() -> None:
    world = ActionSetWorld()
    world.api.failures[CREATE] = forbidden()
    world.reconcile()

    world.clock.step(PATIENCE_SECONDS - 1)
    world.restart()
    world.reconcile()
    before = world.state()
    world.clock.step(1)
    world.reconcile()

    assert (before, world.state()) == ("running", "failed")
    assert world.error() == f"action backup, phase dump: {TOLD} (tried for 10 minutes)"
    warnings = world.recorder.warnings()
    assert warnings.count(f"Warning Refused: phase dump: {TOLD}") == 1, "told once"


def test_an_invalid_object_fails_the_phase_at_once() -> None:
    world = ActionSetWorld()
    world.api.failures[CREATE] = Invalid(422, "Invalid", "spec.x: Invalid value: 1")

    world.run()

    assert world.error() == (
        "action backup, phase dump: the API server calls these fields wrong: spec.x"
    )


def test_a_webhook_that_does_not_answer_is_a_refusal() -> None:
    """Nobody mends it but whoever reads of it."""
    world = ActionSetWorld()
    world.api.failures[CREATE] = WEBHOOK
    result = world.reconcile()
    waits = waits_for(world)
    world.clock.step(PATIENCE_SECONDS)
    world.reconcile()

    assert result.requeue_after == 30
    assert " ".join(waits.split("\n")) == f"phase dump: {WEBHOOK_TOLD}"
    assert f"Warning Refused: phase dump: {WEBHOOK_TOLD}" in world.recorder.lines()
    expected = f"action backup, phase dump: {WEBHOOK_TOLD} (tried for 10 minutes)"
    assert (world.state(), world.error()) == ("failed", expected)


AWAY = [
    pytest.param(TransportError("secret-1"), "does not answer, and is asked again", id="no answer"),
    pytest.param(
        ServerUnavailable(503, "", "secret-1"),
        "answers with a fault of its own (503), and is asked again",
        id="an answer that passes",
    ),
]


def annotations_of(world: ActionSetWorld) -> dict[str, str]:
    found: dict[str, str] = world.stored()["metadata"]["annotations"]
    return found


def waits_for(world: ActionSetWorld) -> str:
    """Return what an ActionSet waits for, in one line."""
    return annotations_of(world)[ANNOTATION_WAITS_FOR].replace("\n", " ")


class TestAway:
    """An API server that is away for what a phase asks, while the ActionSet can be written."""

    @pytest.mark.parametrize(("error", "told"), AWAY)
    def test_it_is_told_once_it_lasts_and_no_longer_than_that(
        self, error: Exception, told: str
    ) -> None:
        world = ActionSetWorld()
        world.api.failures[CREATE] = error
        seen = []
        for _ in range(2):
            with pytest.raises(type(error)):
                world.reconcile()
            seen.append(annotations_of(world).get(ANNOTATION_WAITS_FOR))
            world.clock.step(QUIET_SECONDS)
        world.api.failures.clear()
        world.reconcile()

        assert seen == [None, f"phase dump: the API server {told}"]
        assert annotations_of(world)[ANNOTATION_WAITS_FOR] == "phase dump: its pod"
        assert world.recorder.warnings() == []
        assert "awaySince" not in annotations_of(world)[ANNOTATION_MEMO]

    def test_a_limit_of_the_phase_holds_all_the_same(self) -> None:
        world = ActionSetWorld(action_set(timeout="30m"))
        world.reconcile()
        for verb in ("get", "delete"):
            world.api.failures[Action(verb, "pods", CREATE.name)] = TransportError("refused")
        world.clock.step(1800)
        with pytest.raises(TransportError):
            world.reconcile()
        before = world.phases()[0]
        world.restart()
        world.clock.step(CANCEL_SECONDS)
        with pytest.raises(TransportError):
            world.reconcile()

        assert (before, world.phases()[0]) == ("dump running", "dump failed")
        assert world.error().endswith(
            "for 600 s: the API server does not answer, and is asked again"
        )

    def test_one_that_comes_back_long_after_the_limit_is_asked_what_has_come_of_the_phase(
        self,
    ) -> None:
        """One request that fails, the first after a long time, is no reason to give up."""
        world = ActionSetWorld(action_set(timeout="30m"))
        world.reconcile()
        world.end_pods()
        world.clock.step(7200)
        get = Action("get", "pods", CREATE.name)
        world.api.failures[get] = ServerUnavailable(503, "", "starting")
        with pytest.raises(ServerUnavailable):
            world.reconcile()
        world.api.failures.clear()
        world.reconcile()

        assert world.phases()[0] == "dump complete"

    def test_its_time_does_not_count_as_that_of_a_refusal(self) -> None:
        world = ActionSetWorld()
        world.api.failures[CREATE] = TransportError("refused")
        for _ in range(2):
            with pytest.raises(TransportError):
                world.reconcile()
            world.clock.step(PATIENCE_SECONDS)
        world.api.failures[CREATE] = forbidden()
        world.reconcile()

        assert world.state() == "running"

    def test_a_process_that_ends_says_nothing(self) -> None:
        world = ActionSetWorld()
        world.api.failures[CREATE] = Stopped("the process ends")
        for _ in range(2):
            with pytest.raises(Stopped):
                world.reconcile()
            world.clock.step(QUIET_SECONDS)

        assert ANNOTATION_WAITS_FOR not in annotations_of(world)

    def test_an_actionset_that_cannot_begin_says_so_and_is_not_given_up(self) -> None:
        world = ActionSetWorld()
        create = Action("create", "secrets", f"actionset-{UID}-0")
        world.api.failures[create] = ServerUnavailable(503, "", "secret-1")
        world.edit({"metadata": {"creationTimestamp": timestamp(world.clock.now())}})
        seen = []
        for seconds in (QUIET_SECONDS, PATIENCE_SECONDS, 0):
            with pytest.raises(ServerUnavailable):
                world.reconcile()
            seen.append(annotations_of(world).get(ANNOTATION_WAITS_FOR))
            world.clock.step(seconds)
        world.api.failures[create] = forbidden()
        world.reconcile()
        refused = world.state()
        world.api.failures.clear()
        world.run()

        told = "the API server answers with a fault of its own (503), and is asked again"
        assert seen == [None, told, told]
        assert (refused, world.state()) == ("pending", "complete")


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(TransportError("refused"), id="no answer"),
        pytest.param(ServerUnavailable(503, "", "etcd"), id="an answer that passes"),
    ],
)
def test_an_api_server_that_is_away_fails_nothing_however_long(error: Exception) -> None:
    world = ActionSetWorld()
    world.api.failures[CREATE] = error

    for _ in range(3):
        with pytest.raises(type(error)):
            world.reconcile()
        world.clock.step(PATIENCE_SECONDS)
    del world.api.failures[CREATE]
    world.run()

    assert world.state() == "complete"
    started = [line for line in world.recorder.lines() if "Executing phase dump" in line]
    assert len(started) == 1


def test_one_action_that_cannot_be_asked_does_not_hold_up_another() -> None:
    other = action(object={"kind": "pvc", "name": "data"})
    world = ActionSetWorld(action_set(action(), other))
    world.api.failures[CREATE] = TransportError("refused")

    with pytest.raises(TransportError):
        world.reconcile()

    assert (world.phases(0)[0], world.phases(1)[0]) == ("dump running", "dump running")


@pytest.mark.usefixtures("logged")
def test_a_bug_in_a_function_is_raised_and_told_by_its_type_and_ends_the_phase_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_function: PodFunction, _run: Any, _arguments: Callable[[], Any]) -> Any:
        raise KeyError("secret-1")

    monkeypatch.setattr(PodFunction, "advance", broken)
    world = ActionSetWorld()
    with pytest.raises(KeyError):
        world.reconcile()
    told = waits_for(world)
    world.clock.step(PATIENCE_SECONDS)
    world.reconcile()

    assert told.startswith("phase dump: a bug in the controller, KeyError, which is tried again")
    assert world.state() == "failed"
    assert "secret-1" not in str(world.stored()) + str(world.recorder.lines())


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(
            RightMissing(verb="get", resource="secrets", namespace="app", field="x"),
            id="a right to read",
        ),
        pytest.param(RendererUnavailable("the renderer does not start"), id="the renderer"),
    ],
)
def test_what_the_arguments_need_may_come_later(error: Exception) -> None:
    world = ActionSetWorld()
    world.parameters.failures = [None, error]
    world.reconcile()
    told = waits_for(world)
    lines = annotations_of(world)[ANNOTATION_WAITS_FOR].split("\n")
    world.run()

    assert told == f"phase dump: {error}"
    # kubectl describe cuts longer lines.
    assert max(map(len, lines)) < 140
    assert world.state() == "complete"


class TestBeginning:
    """The same for an ActionSet that has not begun."""

    def test_it_is_pending_and_says_what_it_waits_for_then_begins(self) -> None:
        world = ActionSetWorld()
        world.api.failures[Action("create", "secrets", f"actionset-{UID}-0")] = forbidden()

        result = world.reconcile()
        pending = (world.state(), waits_for(world))
        world.api.failures.clear()
        world.run()

        assert (result.requeue_after, pending) == (30, ("pending", TOLD))
        assert world.state() == "complete"

    def test_after_ten_minutes_it_has_failed(self) -> None:
        world = ActionSetWorld()
        world.api.failures[Action("create", "secrets", f"actionset-{UID}-0")] = forbidden()
        world.reconcile()
        world.clock.step(PATIENCE_SECONDS)
        world.restart()

        world.reconcile()

        assert (world.state(), world.error()) == ("failed", f"{TOLD} (tried for 10 minutes)")
        assert "finalizers" not in world.stored()["metadata"]

    def test_a_webhook_that_does_not_answer_is_a_refusal(self) -> None:
        world = ActionSetWorld()
        world.api.failures[Action("create", "secrets", f"actionset-{UID}-0")] = WEBHOOK

        world.reconcile()

        assert world.state() == "pending"
        assert waits_for(world) == WEBHOOK_TOLD

    def test_nothing_is_kept_of_one_that_has_failed_after_all(self) -> None:
        """Its options may hold a password."""
        world = ActionSetWorld()
        world.api.failures[Action("patch", "actionsets", NAME)] = forbidden()
        with pytest.raises(Forbidden):
            world.reconcile()
        kept = len(world.api.store(SECRETS).list())
        world.api.failures.clear()
        world.api.put(BLUEPRINTS, blueprint(other={"phases": [phase("a")]}))

        world.reconcile()

        assert (kept, world.state()) == (1, "failed")
        assert world.api.store(SECRETS).list() == []

    def test_a_secret_of_somebody_else_is_left_alone(self) -> None:
        world = ActionSetWorld()
        other = {"metadata": {"namespace": "kanister", "name": f"actionset-{UID}-0"}}
        world.api.put(SECRETS, other)

        world.reconcile()

        assert (world.state(), len(world.api.store(SECRETS).list())) == ("failed", 1)

    def test_what_another_process_has_begun_meanwhile_keeps_its_secret(self) -> None:
        """The cache may not show that yet."""
        world = ActionSetWorld()
        seen = copy.deepcopy(world.stored())
        world.reconcile()
        world.api.put(BLUEPRINTS, blueprint(other={"phases": [phase("a")]}))

        with pytest.raises(Conflict):
            world.reconciler._beginner.begin(seen, Deadline.after(world.clock, 60))  # noqa: SLF001

        assert len(world.api.store(SECRETS).list()) == 1

    def test_somebody_else_may_be_faster(self) -> None:
        world = ActionSetWorld()
        world.api.failures[Action("patch", "actionsets", NAME)] = Conflict(
            409, "Conflict", "changed"
        )

        assert world.reconcile().requeue
        assert world.recorder.lines() == []


class TestReleasing:
    """The same for what phases leave behind."""

    def test_a_pod_that_may_not_be_deleted_holds_the_actionset_for_ten_minutes_at_most(
        self,
    ) -> None:
        world = ActionSetWorld(plan=blueprint(backup={"phases": [phase("dump")]}))
        world.reconcile()
        world.end_pods()
        delete = Action("delete", "pods", "5a1e-0-dump")
        world.api.failures[delete] = forbidden(RIGHT.replace("create", "delete"))

        world.reconcile()
        held = (world.state(), ANNOTATION_MEMO in world.stored()["metadata"]["annotations"])
        world.clock.step(PATIENCE_SECONDS)
        world.reconcile()

        assert held == ("complete", True), "the result does not wait"
        assert world.stored()["metadata"]["finalizers"] == []
        assert world.recorder.lines()[-1] == (
            "Warning LeftBehind: the pod of phase dump is left behind: the engine lacks the right"
            " to delete pods in namespace app; give it the Role of manifests/application there"
            " (in the chart: actionsets.applications)"
        )

    def test_an_api_server_that_is_away_leaves_no_pod_behind_however_long(self) -> None:
        world = ActionSetWorld(plan=blueprint(backup={"phases": [phase("dump")]}))
        world.reconcile()
        world.end_pods()
        delete = Action("delete", "pods", CREATE.name)
        world.api.failures[delete] = ServerUnavailable(503, "", "etcd")
        for _ in range(3):
            with pytest.raises(ServerUnavailable):
                world.reconcile()
            world.clock.step(PATIENCE_SECONDS)
        world.api.failures.clear()
        world.reconcile()

        assert world.is_over()
        assert (world.pod_names(), world.recorder.warnings()) == ([], [])

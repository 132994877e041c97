"""What an ActionSet costs and says from its beginning to its end."""

from __future__ import annotations

from fakes.actionsets import (
    NAME,
    UID,
    ActionSetWorld,
    action,
    action_set,
    blueprint,
    phase,
)

FROZEN = f"actionset-{UID}-0"
WRITE = f"patch actionsets {NAME}"


def test_an_actionset_of_two_pods_sends_these_requests_and_no_other() -> None:
    world = ActionSetWorld()

    world.reconcile()
    begun = world.taken()
    world.reconcile()
    idle = world.taken()
    world.end_pods()
    world.reconcile()
    second = world.taken()
    world.end_pods()
    world.reconcile()
    end = world.taken()
    world.reconcile()

    first_pod, second_pod = "5a1e-0-dump", "5a1e-0-upload"
    look = f"get pods {first_pod}"
    assert begun == [
        "get blueprints db",
        f"create secrets {FROZEN}",
        WRITE,
        look,
        f"create pods {first_pod}",
        WRITE,
        look,
    ]
    assert idle == [look]
    assert second == [
        look,
        WRITE,
        f"delete pods {first_pod}",
        f"get pods {second_pod}",
        f"create pods {second_pod}",
        WRITE,
        f"get pods {second_pod}",
    ]
    assert end == [
        f"get pods {second_pod}",
        WRITE,
        f"delete pods {second_pod}",
        f"delete secrets {FROZEN}",
        WRITE,
    ]
    assert world.taken() == [], "one that has ended costs nothing"


def test_its_status_is_kanisters() -> None:
    world = ActionSetWorld(
        plan=blueprint(backup={"phases": [phase("dump", say="a"), phase("upload", say="b")]})
    )
    world.reconcile()
    running = world.status()
    world.clock.step(60)
    world.run()

    assert running == {
        "state": "running",
        "actions": [
            {
                "name": "backup",
                "blueprint": "db",
                "object": action()["object"],
                "phases": [
                    {"name": "dump", "state": "running"},
                    {"name": "upload", "state": "pending"},
                ],
            }
        ],
        "progress": {
            "runningPhase": "dump",
            "percentCompleted": "0",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        },
    }
    done = {"progressPercent": "100", "lastTransitionTime": "2026-01-01T00:01:00Z"}
    assert world.status() == {
        "state": "complete",
        "actions": [
            {
                "name": "backup",
                "blueprint": "db",
                "object": action()["object"],
                "phases": [
                    {
                        "name": "dump",
                        "state": "complete",
                        "output": {"said": "a"},
                        "progress": done,
                    },
                    {
                        "name": "upload",
                        "state": "complete",
                        "output": {"said": "b"},
                        "progress": done,
                    },
                ],
            }
        ],
        "progress": {
            "runningPhase": "",
            "percentCompleted": "100",
            "lastTransitionTime": "2026-01-01T00:01:00Z",
        },
    }
    metadata = world.stored()["metadata"]
    assert (metadata["annotations"], metadata["finalizers"]) == ({}, [])


def test_its_events_are_kanisters() -> None:
    world = ActionSetWorld()

    world.run()

    assert world.recorder.lines() == [
        "Normal Started Action: Executing action backup",
        "Normal Started Phase: Executing phase dump",
        "Normal Ended Phase: Completed phase dump",
        "Normal Started Phase: Executing phase upload",
        "Normal Ended Phase: Completed phase upload",
        f"Normal Update Complete: Updated ActionSet '{NAME}' Status->complete",
    ]


def test_a_phase_sees_the_outputs_of_those_before_it_and_artifacts_see_all() -> None:
    artifacts = {"dump": {"keyValue": {"path": "{{ .Phases.upload.Output.said }}"}}}
    phases = [phase("dump", say="x"), phase("upload", say="{{ .Phases.dump.Output.said }}/y")]
    world = ActionSetWorld(plan=blueprint(backup={"phases": phases, "outputArtifacts": artifacts}))
    world.reconcile()
    before = world.status()["actions"][0]["artifacts"]

    world.run()

    assert before == artifacts, "Kanister shows the templates until the end"
    (found,) = world.status()["actions"]
    assert found["artifacts"] == {"dump": {"keyValue": {"path": "x/y"}}}


def test_artifacts_that_cannot_be_rendered_fail_the_action_and_leave_no_template() -> None:
    artifacts = {"dump": {"kopiaSnapshot": "{{ .Phases.dump.Output.gone }}"}}
    plan = blueprint(backup={"phases": [phase("dump")], "outputArtifacts": artifacts})
    world = ActionSetWorld(plan=plan)

    world.run()

    assert (world.state(), world.phases()) == ("failed", ["dump complete"])
    assert world.error() == (
        "action backup, output artifacts: output artifact dump: Failed to render template:"
        ' "gone" not found'
    )
    assert "artifacts" not in world.status()["actions"][0]


def test_actions_run_side_by_side_and_one_that_fails_does_not_stop_another() -> None:
    plan = blueprint(
        backup={"phases": [phase("a", "Step", fail="{{ .Options.fail }}"), phase("b")]}
    )
    broken = action(options={"fail": "no room"})
    working = action(options={"fail": ""}, object={"kind": "pvc", "name": "data"})
    world = ActionSetWorld(action_set(broken, working), plan)

    world.reconcile()
    meanwhile = (world.state(), world.phases(0), world.phases(1), world.error())
    world.run()

    message = "action backup of app/db, phase a: no room"
    assert meanwhile == (
        "running",
        ["a failed", "b pending"],
        ["a complete", "b running"],
        message,
    ), "the error is there at once, the state when all have ended"
    assert (world.state(), world.phases(1)) == ("failed", ["a complete", "b complete"])
    assert world.error() == message
    assert world.recorder.warnings() == [
        "Warning ActionSetFailed Action: backup: a: no room",
        f"Warning ActionSetFailed: Updated ActionSet '{NAME}' Status->failed",
    ]


def test_a_defer_phase_runs_after_a_failure_and_failed_comes_after_it() -> None:
    plan = blueprint(backup={"phases": [phase("a"), phase("b")], "deferPhase": phase("last")})
    world = ActionSetWorld(plan=plan)
    world.reconcile()
    world.end_pods("exit code 1")

    world.reconcile()
    meanwhile = (world.state(), world.phases(), world.status()["progress"]["runningPhase"])
    world.run()

    assert meanwhile == ("running", ["a failed", "b pending", "last running"], "last")
    assert (world.state(), world.phases()) == ("failed", ["a failed", "b pending", "last complete"])
    assert [line for line in world.recorder.lines() if "deferPhase" in line] == [
        "Normal Started deferPhase: Executing deferPhase last",
        "Normal Ended deferPhase: Completed deferPhase last",
    ]


def test_a_failed_pod_is_kept_where_an_annotation_says_so() -> None:
    world = ActionSetWorld(action_set(keep_failed_pod="true"))
    world.reconcile()
    world.end_pods("exit code 1")

    world.run()

    assert (world.state(), world.pod_names()) == ("failed", ["5a1e-0-dump"])


def test_what_a_function_remembers_is_stored_before_it_goes_on() -> None:
    plan = blueprint(backup={"phases": [phase("a", "Step")]})
    world = ActionSetWorld(plan=plan)

    world.run()

    look = "get configmaps scale"
    taken = world.taken()
    start = taken.index(look)
    assert taken[start : start + 4] == [look, WRITE, look, "patch configmaps scale"]
    (found,) = world.status()["actions"][0]["phases"]
    assert found["output"] == {"before": "nobody"}

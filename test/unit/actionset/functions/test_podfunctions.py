"""The functions that are a pod each: which pod they make of their arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fakes.phases import APP, OWN, Object, phase_run
from fakes.phaseworld import OUTPUT, PhaseWorld
from reconcilers import resources
from reconcilers.actionset.api import ObjectReference
from reconcilers.actionset.function import Complete, Failed, Running
from reconcilers.actionset.functions.kubetask import kube_task
from reconcilers.actionset.functions.multicontainerrun import DEFAULT_DIRECTORY, multi_container_run
from reconcilers.actionset.functions.preparedata import prepare_data
from reconcilers.datafunctions.arguments import decode
from reconcilers.datafunctions.errors import Refused
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from reconcilers.actionset.function import Function, PhaseRun, Step

COMMAND = ["sh", "-c", "dump | push"]
ALL = {
    "podOverride": {"containers": [{"name": "container", "env": [{"name": "A", "value": "1"}]}]},
    "podLabels": {"team": "db"},
    "podAnnotations": {"note": "x"},
}
KUBE_TASK = {"image": "tools:1", "command": COMMAND}
PREPARE_DATA = {**KUBE_TASK, "namespace": APP, "volumes": {"data": "/data"}}
MULTI = {
    "backgroundImage": "db:1",
    "backgroundCommand": ["dump"],
    "outputImage": "tools:1",
    "outputCommand": ["push"],
}


class World(PhaseWorld):
    """Runs phases of one function."""

    def __init__(self, name: str, **given: Any) -> None:
        super().__init__()
        self.given = given
        self.warnings: list[str] = []
        functions: dict[str, Function[Any]] = {
            "KubeTask": kube_task(self.pods),
            "MultiContainerRun": multi_container_run(self.pods),
            "PrepareData": prepare_data(
                self.pods,
                self.client,  # type: ignore[arg-type]  # has what is used
                lambda _run, note: self.warnings.append(note),
            ),
        }
        self.function = functions[name]

    def arguments(self) -> Any:
        function = self.function
        return decode(function.arguments, self.given, function=function.name, phase=True).arguments

    def advance(self, **_options: Any) -> Step:
        step = self.function.advance(self.run, self.arguments)
        if isinstance(step, Running) and step.memo is not None:
            self.remember(step.memo)
        return step

    def claim(self, name: str, *modes: str) -> None:
        metadata = {"namespace": APP, "name": name}
        self.client.put(
            resources.PERSISTENT_VOLUME_CLAIMS,
            {"metadata": metadata, "spec": {"accessModes": list(modes)}},
        )

    def made(self, run: PhaseRun | None = None) -> Object:
        self.run = run or self.run
        assert isinstance(self.advance(), Running)
        return self.only_pod()


def refused(world: World) -> str:
    with pytest.raises(InvalidInput) as refusal:
        world.advance()
    return refusal.value.message


class TestKubeTask:
    """A command in a pod."""

    def test_its_pod(self) -> None:
        pod = World("KubeTask", **KUBE_TASK, **ALL, namespace=APP).made()

        (container,) = pod["spec"]["containers"]
        assert container["name"] == "container"
        assert (container["image"], container["command"]) == ("tools:1", COMMAND)
        assert "args" not in container, "the command takes the place of the entry point"
        assert container["env"] == [{"name": "A", "value": "1"}]
        assert pod["metadata"]["namespace"] == APP
        assert pod["metadata"]["labels"]["team"] == "db"
        assert pod["metadata"]["annotations"]["note"] == "x"

    def test_without_a_namespace_it_is_that_of_the_actionset(self) -> None:
        assert World("KubeTask", **KUBE_TASK).made()["metadata"]["namespace"] == OWN

    def test_the_words_of_a_command_are_kept_whole(self) -> None:
        given = {**KUBE_TASK, "command": ["sh", "-c", "a  b\nc", ""]}

        pod = World("KubeTask", **given).made()

        assert pod["spec"]["containers"][0]["command"] == ["sh", "-c", "a  b\nc", ""]

    def test_to_its_end(self) -> None:
        assert World("KubeTask", **KUBE_TASK).finish(OUTPUT) == Complete({"size": "5"})

    @pytest.mark.parametrize("missing", ["image", "command"])
    def test_it_needs(self, missing: str) -> None:
        given = {name: value for name, value in KUBE_TASK.items() if name != missing}

        with pytest.raises(Refused, match=f"argument {missing} is missing"):
            World("KubeTask", **given).arguments()

    def test_it_is_cancelled(self) -> None:
        world = World("KubeTask", **KUBE_TASK)
        world.advance()

        assert isinstance(world.function.cancel(world.run), Running)
        assert isinstance(world.function.cancel(world.run), Failed)


class TestMultiContainerRun:
    """Two containers that share a folder."""

    def test_its_pod(self) -> None:
        pod = World("MultiContainerRun", **MULTI).made()

        mounts = [{"name": "shared", "mountPath": DEFAULT_DIRECTORY}]
        found = [
            (one["name"], one["image"], one["command"], one["volumeMounts"])
            for one in pod["spec"]["containers"]
        ]
        assert found == [
            ("output", "tools:1", ["push"], mounts),
            ("background", "db:1", ["dump"], mounts),
        ]
        assert pod["spec"]["volumes"] == [{"name": "shared", "emptyDir": {}}]
        assert "initContainers" not in pod["spec"]
        annotations = pod["metadata"]["annotations"]
        assert annotations["kubectl.kubernetes.io/default-container"] == "output"
        assert pod["metadata"]["namespace"] == OWN

    def test_with_one_before_them_and_a_folder_in_memory(self) -> None:
        more = {
            "initImage": "tools:2",
            "initCommand": ["mkfifo", "/shared/pipe"],
            "sharedVolumeMedium": "Memory",
            "sharedVolumeSizeLimit": "1Gi",
            "sharedVolumeDir": "/shared",
        }

        pod = World("MultiContainerRun", **MULTI, **more).made()

        (init,) = pod["spec"]["initContainers"]
        assert (init["name"], init["image"]) == ("init", "tools:2")
        assert init["volumeMounts"] == [{"name": "shared", "mountPath": "/shared"}]
        volume = {"medium": "Memory", "sizeLimit": "1Gi"}
        assert pod["spec"]["volumes"] == [{"name": "shared", "emptyDir": volume}]

    def test_an_init_image_may_have_a_command_of_its_own(self) -> None:
        pod = World("MultiContainerRun", **MULTI, initImage="tools:2").made()

        assert "command" not in pod["spec"]["initContainers"][0]

    def test_container_in_the_override_of_an_actionset_is_all_of_them(self) -> None:
        generic = [{"name": "container", "imagePullPolicy": "Always"}]
        run = phase_run(pod_override={"containers": generic})

        pod = World("MultiContainerRun", **MULTI, initImage="tools:2").made(run)

        both = (*pod["spec"]["initContainers"], *pod["spec"]["containers"])
        assert {one["imagePullPolicy"] for one in both} == {"Always"}

    def test_both_must_succeed_and_only_output_is_read(self) -> None:
        world = World("MultiContainerRun", **MULTI)

        assert world.finish(OUTPUT) == Complete({"size": "5"})
        assert [one.container for one in world.logs.opened] == ["output"]

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            pytest.param(
                {"sharedVolumeSizeLimit": "much"},
                "argument sharedVolumeSizeLimit must be a quantity",
                id="no quantity",
            ),
            pytest.param(
                {"initCommand": ["mkfifo"]},
                "argument initCommand is given without initImage",
                id="a command that nothing would run",
            ),
        ],
    )
    def test_what_is_refused(self, more: Object, words: str) -> None:
        assert refused(World("MultiContainerRun", **MULTI, **more)).startswith(words)


class TestPrepareData:
    """A command in a pod that mounts claims."""

    def test_its_pod(self) -> None:
        world = World("PrepareData", **PREPARE_DATA, serviceaccount="copier")
        world.claim("data", "ReadWriteOnce")

        pod = world.made()

        assert pod["spec"]["serviceAccountName"] == "copier"
        assert pod["spec"]["volumes"] == [
            {
                "name": "claim-0",
                "persistentVolumeClaim": {"claimName": "data", "readOnly": False},
            }
        ]
        assert pod["spec"]["containers"][0]["volumeMounts"] == [
            {"name": "claim-0", "mountPath": "/data", "readOnly": False}
        ]

    @pytest.mark.parametrize(
        ("modes", "read_only"),
        [
            pytest.param(["ReadOnlyMany"], True, id="one that can only be read"),
            pytest.param(["ReadWriteOnce", "ReadOnlyMany"], False, id="one that can do both"),
            pytest.param(["ReadWriteMany"], False, id="one that many write"),
        ],
    )
    def test_how_a_claim_is_mounted(self, modes: list[str], *, read_only: bool) -> None:
        world = World("PrepareData", **PREPARE_DATA)
        world.claim("data", *modes)

        (volume,) = world.made()["spec"]["volumes"]

        assert volume["persistentVolumeClaim"]["readOnly"] is read_only

    @pytest.mark.parametrize("kind", ["StatefulSet", "Deployment"])
    def test_by_default_all_claims_of_the_workload_are(self, kind: str) -> None:
        claims = {"db-0": {"data-db-0": "/var/lib/db"}, "db-1": {"data-db-1": "/var/lib/db"}}
        run = phase_run(parameters={kind: {"PersistentVolumeClaims": claims}})
        world = World("PrepareData", **{**PREPARE_DATA, "volumes": {}})
        world.claim("data-db-0")
        world.claim("data-db-1")

        pod = world.made(run)

        paths = [one["mountPath"] for one in pod["spec"]["containers"][0]["volumeMounts"]]
        assert paths == ["/mnt/prepare_data/data-db-0", "/mnt/prepare_data/data-db-1"]

    @pytest.mark.parametrize(
        ("parameters", "words"),
        [
            pytest.param({}, "and the action's object is no Deployment", id="no workload"),
            pytest.param(
                {"StatefulSet": {"PersistentVolumeClaims": {"db-0": {}}}},
                "no pod of the action's object that runs has a claim",
                id="no claim",
            ),
        ],
    )
    def test_without_any_it_is_refused(self, parameters: Object, words: str) -> None:
        world = World("PrepareData", **{**PREPARE_DATA, "volumes": {}})
        world.run = phase_run(parameters=parameters)

        assert words in refused(world)

    def test_a_claim_that_is_not_there_is_named(self) -> None:
        assert refused(World("PrepareData", **PREPARE_DATA)) == (
            "PersistentVolumeClaim shop/data does not exist; correct the argument volumes or "
            "namespace"
        )

    def test_in_other_namespaces_no_claim_is_asked_for(self) -> None:
        world = World("PrepareData", **{**PREPARE_DATA, "namespace": "kube-system"})
        world.run = phase_run(object=ObjectReference("db", APP, "statefulset"))

        assert "may have one only in kanister and shop" in refused(world)
        assert world.client.taken() == []

    @pytest.mark.parametrize("given", [{}, {"failOnError": False}, {"failOnError": "false"}])
    def test_a_command_that_fails_is_told_of_and_ignored(self, given: Object) -> None:
        """As with Kanister, whose Blueprints rely on it."""
        world = World("PrepareData", **PREPARE_DATA, **given)
        world.claim("data")

        assert world.finish(OUTPUT, "oops", code=3) == Complete({"size": "5"})
        (warning,) = world.warnings
        assert warning.startswith(
            "phase dump counts as complete although its command has failed, since its argument "
            "failOnError is not true: container container of pod shop/"
        )
        assert "oops" not in warning, "what it prints is not for events"

    @pytest.mark.parametrize("given", [True, "true"])
    def test_unless_it_is_to_fail_the_phase(self, given: object) -> None:
        world = World("PrepareData", **PREPARE_DATA, failOnError=given)
        world.claim("data")

        assert isinstance(world.finish(code=3), Failed)
        assert world.warnings == []

    def test_one_that_has_never_run_fails_it(self) -> None:
        world = World("PrepareData", **PREPARE_DATA)
        world.claim("data")
        world.advance()
        world.set_status(phase="Failed", reason="OutOfcpu", message="no room")

        step = world.advance()

        assert isinstance(step, Failed)
        assert world.warnings == []

    def test_outputs_that_cannot_be_read_fail_it(self) -> None:
        world = World("PrepareData", **PREPARE_DATA)
        world.claim("data")

        assert isinstance(world.finish("###Phase-output###: {"), Failed)

"""The eleven data functions as phases: where their pods go, and what comes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from fakes import objects, placed
from fakes.dataphases import ALPHA, IMAGE, PASSWORD, SHOP, Setting
from reconcilers import resources
from reconcilers.actionset.function import Failed, Running
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from reconcilers.actionset.phases.model import PhasePod

ID = "8f2b3b4d0c7b1d9b5f0e6a1c2d3e4f50"
PREFIX = {"backupArtifactPrefix": "bucket/shop"}
BACKUP = {
    "namespace": SHOP,
    "pod": "db-0",
    "container": "db",
    "includePath": "/var/lib/data",
    **PREFIX,
}
RESTORE = {"namespace": SHOP, "image": "tools", "backupIdentifier": ID, **PREFIX}
INFO = json.dumps(
    {pod: {"PodName": pod, "BackupID": ID, "BackupTag": "t"} for pod in ("db-0", "db-1")}
)
TOLD = ["--arg=namespace=shop"]


@pytest.fixture
def setting() -> Setting:
    return Setting()


def scale_to_0(setting: Setting) -> dict[str, Any]:
    """Remove the workload's pod, and return the parameters of before."""
    parameters = setting.parameters()
    setting.reader.drop(resources.PODS, SHOP, "db-0")
    return parameters


def container_of(pod: PhasePod) -> dict[str, Any]:
    (found,) = pod.spec["containers"]
    result: dict[str, Any] = found
    return result


def mounts_of(pod: PhasePod) -> list[str]:
    """Return what a pod has mounted below the root, `path:claim`, `ro` for reading only."""
    claims = {
        one["name"]: one["persistentVolumeClaim"]["claimName"]
        for one in pod.spec["volumes"]
        if "persistentVolumeClaim" in one
    }
    return [
        f"{one['mountPath']}:{claims[one['name']]}{':ro' if one.get('readOnly') else ''}"
        for one in container_of(pod)["volumeMounts"]
        if one["name"] in claims
    ]


def node_of(pod: PhasePod) -> str:
    """Return the node that a pod must run on."""
    terms = pod.spec["affinity"]["nodeAffinity"]
    [term] = terms["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    [name] = term["matchFields"][0]["values"]
    result: str = name
    return result


def test_all_of_them_are_functions_of_the_engine(setting: Setting) -> None:
    found = setting.functions()

    assert {(one.name, one.version, one.arguments) for one in found.values()} == {
        (one.name, one.version, one.arguments) for one in FUNCTIONS
    }
    assert {one.unrendered for one in found.values()} == {frozenset()}


def test_a_backup_is_made_beside_the_pod_as_its_user(setting: Setting) -> None:
    security = {"runAsUser": 70, "runAsGroup": 71, "fsGroup": 72}
    setting.reader.put(
        resources.PODS,
        placed.pod(spec={"securityContext": security, "tolerations": [{"operator": "Exists"}]}),
    )

    step = setting.phase("BackupData", BACKUP).advance()

    assert step == Running(memo={"pod": "pod-"})
    pod = setting.pods.made[""]
    assert (pod.namespace, pod.main, container_of(pod)["image"]) == (SHOP, "container", IMAGE)
    assert container_of(pod)["args"] == [
        "run",
        "BackupData",
        f"--function-version={ALPHA}",
        "--root=/workload",
        "--arg=namespace=shop",
        "--arg=pod=db-0",
        "--arg=container=db",
        "--arg=includePath=/var/lib/data",
        "--arg=backupArtifactPrefix=bucket/shop",
    ]
    assert mounts_of(pod) == ["/workload/var/lib/data:data-db-0:ro"]
    context = pod.spec["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (70, 71)
    assert context["supplementalGroups"] == [72]
    assert "node-1" in json.dumps(pod.spec["affinity"])
    assert pod.spec["tolerations"] == [{"operator": "Exists"}]
    assert setting.warnings == []


def test_the_password_is_in_the_secret_of_the_pod_alone(setting: Setting) -> None:
    setting.phase("BackupData", BACKUP).advance()

    pod = setting.pods.made[""]
    assert pod.secret == {
        "url": b"https://repo-server-files.backup.svc:51515",
        "fingerprint": b"f" * 64,
        "username": b"backup",
        "hostname": b"app",
        "password": PASSWORD.encode(),
    }
    assert PASSWORD not in json.dumps(pod.spec)
    assert PASSWORD not in repr(pod)


def test_who_runs_as_the_image_says_is_backed_up_by_root(setting: Setting) -> None:
    setting.phase("BackupData", BACKUP).advance()

    assert setting.pods.made[""].spec["securityContext"]["runAsUser"] == 0
    (warning,) = setting.warnings
    assert warning == (
        "nothing says as whom container db of pod db-0 runs, so its backup runs as root; set "
        "runAsUser in the container's securityContext"
    )


def test_another_user_by_the_override_keeps_the_label_of_the_volume(setting: Setting) -> None:
    """Another label would be put on the volume, under the workload's feet."""
    own = {"securityContext": {"seLinuxOptions": {"level": "s0:c1"}}}
    setting.reader.put(resources.PODS, placed.pod(spec=own))
    action = {"pod_override": {"securityContext": {"runAsUser": 1000}}}

    setting.phase("BackupData", BACKUP, action=action).advance()

    context = setting.pods.made[""].spec["securityContext"]
    assert context["runAsUser"] == 1000
    assert context["seLinuxOptions"] == {"level": "s0:c1"}


def test_what_has_no_effect_is_told_once(setting: Setting) -> None:
    arguments = {
        "namespace": SHOP,
        "backupID": ID,
        "image": "tools",
        "encryptionKey": PASSWORD,
        **PREFIX,
    }
    phase = setting.phase("DeleteData", arguments)

    phase.advance()
    phase.advance()

    assert [text.split(" has no effect")[0] for text in setting.warnings] == [
        "argument encryptionKey",
        "argument image",
    ]
    assert PASSWORD not in str(setting.warnings)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("DeleteData", {"backupID": ID, **PREFIX}, id="DeleteData"),
        pytest.param("DeleteDataAll", {"backupInfo": INFO, **PREFIX}, id="DeleteDataAll"),
        pytest.param("BackupDataStats", {"backupID": ID, **PREFIX}, id="BackupDataStats"),
        pytest.param(
            "DeleteDataUsingKopiaServer",
            {"backupID": ID, "image": "tools"},
            id="DeleteDataUsingKopiaServer",
        ),
    ],
)
def test_what_only_asks_the_server_sees_no_data_and_is_nobody(
    setting: Setting, name: str, arguments: dict[str, Any]
) -> None:
    setting.phase(name, {"namespace": SHOP, **arguments}).advance()

    pod = setting.pods.made[""]
    assert mounts_of(pod) == []
    assert pod.spec["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container_of(pod)["args"][:3] == [
        "run",
        name,
        f"--function-version={setting.functions()[name].version}",
    ]


def test_the_authors_additions_are_handed_on(setting: Setting) -> None:
    added = {
        "podOverride": {"nodeSelector": {"a": "b"}},
        "podLabels": {"l": "1"},
        "podAnnotations": {"n": "2"},
    }

    setting.phase("DeleteData", {"namespace": SHOP, "backupID": ID, **PREFIX, **added}).advance()

    pod = setting.pods.made[""]
    assert (pod.override, pod.labels, pod.annotations) == tuple(added.values())


class TestRestore:
    def test_the_claims_of_a_pod_that_is_gone(self, setting: Setting) -> None:
        parameters = scale_to_0(setting)
        phase = setting.phase("RestoreData", {**RESTORE, "pod": "db-0"}, parameters=parameters)

        phase.advance()

        pod = setting.pods.made[""]
        assert mounts_of(pod) == ["/workload/var/lib/data:data-db-0"]
        assert container_of(pod)["args"] == [
            "run",
            "RestoreData",
            f"--function-version={ALPHA}",
            "--root=/workload",
            "--mounted=/var/lib/data",
            "--arg=namespace=shop",
            "--arg=backupArtifactPrefix=bucket/shop",
            f"--arg=backupIdentifier={ID}",
            "--arg=restorePath=/",
            "--arg=pod=db-0",
        ]
        assert pod.spec["securityContext"]["runAsUser"] == 0
        assert "affinity" not in pod.spec

    def test_claims_that_are_named(self, setting: Setting) -> None:
        setting.reader.put(resources.PERSISTENT_VOLUME_CLAIMS, placed.claim("other"))
        arguments = {
            "namespace": SHOP,
            "image": "tools",
            "backupIdentifier": ID,
            "restorePath": "/data",
            "volumes": {"other": "/data"},
        }

        setting.phase("RestoreDataUsingKopiaServer", arguments).advance()

        assert mounts_of(setting.pods.made[""]) == ["/workload/data:other"]

    def test_a_claim_in_use_is_refused_by_the_name_of_the_pod(self, setting: Setting) -> None:
        phase = setting.phase("RestoreData", {**RESTORE, "pod": "db-0"})

        with pytest.raises(
            InvalidInput, match="data-db-0 is in use by pod db-0; scale its workload"
        ):
            phase.advance()

        assert setting.pods.made == {}

    def test_a_pod_that_is_being_deleted_is_waited_for(self, setting: Setting) -> None:
        phase = setting.phase("RestoreData", {**RESTORE, "pod": "db-0"})
        ending = placed.pod()
        ending["metadata"]["deletionTimestamp"] = objects.NOW.isoformat()
        setting.reader.put(resources.PODS, ending)

        step = phase.advance()

        assert step == Running(
            waits_for="claims are still in use by pods that are being deleted: db-0",
            again_after=10.0,
        )
        setting.reader.drop(resources.PODS, SHOP, "db-0")
        assert phase.advance() == Running(memo={"pod": "pod-"})

    def test_somebody_else_than_root_by_the_override(self, setting: Setting) -> None:
        parameters = scale_to_0(setting)
        override = {"securityContext": {"runAsUser": 1000}}
        arguments = {**RESTORE, "pod": "db-0", "podOverride": override}

        setting.phase("RestoreData", arguments, parameters=parameters).advance()

        pod = setting.pods.made[""]
        assert pod.spec["securityContext"]["runAsNonRoot"] is True
        assert container_of(pod)["securityContext"]["capabilities"] == {"drop": ["ALL"]}

    def test_a_claim_for_reading_only_of_a_pod_is_left_out(self, setting: Setting) -> None:
        both = placed.container("db", placed.mount("data", "/data"), placed.mount("shared", "/ro"))
        shared = {"persistentVolumeClaim": {"claimName": "shared"}}
        volumes = {"data": placed.CLAIM, "shared": shared}
        setting.reader.put(resources.PODS, placed.pod(both, volumes=volumes))
        setting.reader.put(
            resources.PERSISTENT_VOLUME_CLAIMS, placed.claim("shared", modes=["ReadOnlyMany"])
        )
        parameters = scale_to_0(setting)

        setting.phase("RestoreData", {**RESTORE, "pod": "db-0"}, parameters=parameters).advance()

        assert mounts_of(setting.pods.made[""]) == ["/workload/data:data-db-0"]

    @pytest.mark.parametrize(
        "more",
        [
            pytest.param({}, id="neither"),
            pytest.param({"pod": "db-0", "volumes": {"a": "/b"}}, id="both"),
        ],
    )
    def test_either_a_pod_or_claims(self, setting: Setting, more: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput, match="exactly one of the arguments pod and volumes"):
            setting.phase("RestoreData", {**RESTORE, **more}).advance()


class TestCopyVolumeData:
    ARGUMENTS: Final = {
        "namespace": SHOP,
        "volume": "data-db-0",
        "dataArtifactPrefix": "bucket/shop",
    }

    def test_a_claim_that_nobody_uses(self, setting: Setting) -> None:
        scale_to_0(setting)

        setting.phase("CopyVolumeData", self.ARGUMENTS).advance()

        pod = setting.pods.made[""]
        assert mounts_of(pod) == ["/workload/mnt/vol_data/data-db-0:data-db-0:ro"]
        capabilities = container_of(pod)["securityContext"]["capabilities"]
        assert capabilities == {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]}

    def test_a_claim_in_use_is_read_beside_the_pod_that_uses_it(self, setting: Setting) -> None:
        """The scripts of a Blueprint see to it that the files can be copied meanwhile."""
        context = {"securityContext": {"seLinuxOptions": {"level": "s0:c1"}}}
        setting.reader.put(
            resources.PODS, placed.pod(spec={"tolerations": [{"key": "db"}], **context})
        )

        setting.phase("CopyVolumeData", self.ARGUMENTS).advance()

        pod = setting.pods.made[""]
        assert mounts_of(pod) == ["/workload/mnt/vol_data/data-db-0:data-db-0:ro"]
        assert node_of(pod) == placed.NODE
        assert pod.spec["tolerations"] == [{"key": "db"}]
        assert pod.spec["securityContext"]["seLinuxOptions"] == {"level": "s0:c1"}
        [warning] = setting.warnings
        assert warning.startswith("claim shop/data-db-0 is in use by pod db-0")

    def test_a_claim_for_one_pod_is_refused_with_another_way(self, setting: Setting) -> None:
        modes = ["ReadWriteOncePod"]
        setting.reader.put(resources.PERSISTENT_VOLUME_CLAIMS, placed.claim(modes=modes))

        with pytest.raises(InvalidInput, match=r"in use by pod db-0; .* or use BackupData"):
            setting.phase("CopyVolumeData", self.ARGUMENTS).advance()

    @pytest.mark.parametrize(
        ("modes", "waits_for"),
        [
            pytest.param(
                ["ReadWriteOnce"],
                "pod db-0, which uses claim data-db-0, to be on a node",
                id="one node at a time can mount it, and which it will be is not known yet",
            ),
            pytest.param(["ReadWriteMany"], "", id="every node can mount it"),
        ],
    )
    def test_beside_a_pod_that_has_no_node(
        self, setting: Setting, modes: list[str], waits_for: str
    ) -> None:
        setting.reader.put(resources.PERSISTENT_VOLUME_CLAIMS, placed.claim(modes=modes))
        setting.reader.put(
            resources.PODS, placed.pod(spec={"nodeName": ""}, status={"phase": "Pending"})
        )

        step = setting.phase("CopyVolumeData", self.ARGUMENTS).advance()

        assert isinstance(step, Running)
        assert step.waits_for == waits_for
        assert bool(setting.pods.made) is not bool(waits_for)

    def test_it_waits_for_a_pod_that_is_being_deleted(self, setting: Setting) -> None:
        """What a ScaleWorkload before has begun: the files are whole once it has ended."""
        pod = placed.pod()
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        setting.reader.put(resources.PODS, pod)

        step = setting.phase("CopyVolumeData", self.ARGUMENTS).advance()

        assert isinstance(step, Running)
        assert step.waits_for == "claims are still in use by pods that are being deleted: db-0"

    def test_a_claim_that_is_not_there(self, setting: Setting) -> None:
        arguments = {**self.ARGUMENTS, "volume": "gone"}

        with pytest.raises(
            InvalidInput, match="no PersistentVolumeClaim shop/gone, which argument"
        ):
            setting.phase("CopyVolumeData", arguments).advance()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"pod": "gone"}, "there is no Pod shop/gone", id="no such pod"),
        pytest.param({"container": "x"}, "no container x; it has: db", id="no such container"),
        pytest.param(
            {"namespace": "kube-system"},
            "Pod kube-system/db-0, but an action reads only",
            id="a pod of another namespace than the action's",
        ),
    ],
)
def test_a_backup_of_what_is_not_there(
    setting: Setting, change: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        setting.phase("BackupData", {**BACKUP, **change}).advance()


def test_a_pod_that_does_not_run_is_refused(setting: Setting) -> None:
    setting.reader.put(resources.PODS, placed.pod(status={"phase": "Pending"}))

    with pytest.raises(InvalidInput, match=r"pod shop/db-0 does not run \(Pending\)"):
        setting.phase("BackupData", BACKUP).advance()


def test_a_path_that_is_none_is_refused(setting: Setting) -> None:
    with pytest.raises(InvalidInput, match="is not an absolute path"):
        setting.phase("BackupData", {**BACKUP, "includePath": "data"}).advance()


def test_arguments_are_rendered_only_where_they_are_needed(setting: Setting) -> None:
    phase = setting.phase("BackupData", BACKUP)
    phase.advance()
    phase.advance()
    phase.advance()

    assert phase.rendered == 1


def test_a_cancel_deletes_the_pod(setting: Setting) -> None:
    phase = setting.phase("BackupData", BACKUP)
    phase.advance()

    assert phase.cancel() == Failed("cancelled")
    assert setting.pods.cancelled == [""]

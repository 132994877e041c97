"""The settings file: what it may say, what is refused and with which path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from fakes import objects
from reconcilers import settings
from reconcilers.settings import PodDefaults, Settings, SettingsError, StorageDefaults

if TYPE_CHECKING:
    from pathlib import Path

CERTIFICATE = objects.key_pair().certificate
BRAINPOOL = objects.key_pair("ca", key=ec.generate_private_key(ec.BrainpoolP256R1())).certificate


def load(tmp_path: Path, content: object) -> Settings:
    file = tmp_path / "settings.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return settings.load(str(file))


def test_no_file_means_the_defaults() -> None:
    assert settings.load("") == Settings(image="kopia/kopia:0.23.1")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("# image: kopia\n", id="only comments"),
        pytest.param("{}", id="an empty map"),
        pytest.param("pod: {}\nstorage: {}\n", id="empty parts"),
    ],
)
def test_a_file_that_says_nothing_means_the_defaults(tmp_path: Path, content: str) -> None:
    assert load(tmp_path, content) == Settings()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param({"image": "kopia:1"}, Settings(image="kopia:1"), id="the image"),
        pytest.param(
            {"pod": {"nodeSelector": {"kubernetes.io/os": "linux"}}},
            Settings(pod=PodDefaults(node_selector={"kubernetes.io/os": "linux"})),
            id="labels of nodes",
        ),
        pytest.param(
            {"pod": {"tolerations": [{"key": "a", "operator": "Exists", "tolerationSeconds": 3}]}},
            Settings(
                pod=PodDefaults(
                    tolerations=({"key": "a", "operator": "Exists", "tolerationSeconds": 3},)
                )
            ),
            id="taints that are tolerated",
        ),
        pytest.param(
            {"pod": {"affinity": {"podAntiAffinity": {"a": []}}}},
            Settings(pod=PodDefaults(affinity={"podAntiAffinity": {"a": []}})),
            id="affinity",
        ),
        pytest.param(
            {"pod": {"resources": {"requests": {"cpu": 1}, "limits": {"cpu": "2"}}}},
            Settings(pod=PodDefaults(resources={"requests": {"cpu": "1"}, "limits": {"cpu": "2"}})),
            id="an amount may be written as a number",
        ),
        pytest.param(
            {"pod": {"imagePullSecrets": [{"name": "registry"}]}},
            Settings(pod=PodDefaults(image_pull_secrets=({"name": "registry"},))),
            id="Secrets of a registry",
        ),
        pytest.param(
            {"pod": {"serviceAccountName": "backup", "priorityClassName": "high"}},
            Settings(pod=PodDefaults(service_account_name="backup", priority_class_name="high")),
            id="account and priority",
        ),
        pytest.param(
            {"pod": {"annotations": {"safe-to-evict": "true"}}},
            Settings(pod=PodDefaults(annotations={"safe-to-evict": "true"})),
            id="annotations",
        ),
        pytest.param(
            {"storage": {"caBundle": f"an authority\n  {CERTIFICATE}".replace("\n", "\r\n")}},
            Settings(storage=StorageDefaults(ca_bundle=CERTIFICATE)),
            id="a CA bundle is written again in the form that Go reads",
        ),
        pytest.param(
            {"storage": {"caBundle": CERTIFICATE.replace("\n", "\\n")}},
            Settings(storage=StorageDefaults(ca_bundle=CERTIFICATE)),
            id="a CA bundle whose line ends a template has escaped is read as a Secret's is",
        ),
        pytest.param({"storage": {"caBundle": "\n"}}, Settings(), id="an empty bundle is none"),
    ],
)
def test_takes(tmp_path: Path, content: object, expected: Settings) -> None:
    assert load(tmp_path, content) == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("- a", "must be a map", id="a list"),
        pytest.param("{", "flow node", id="no YAML"),
        pytest.param({"pods": {}}, "pods is not a setting; the keys here are image, ", id="a part"),
        pytest.param(
            {"pod": {"node_selector": {}}}, "pod.node_selector is not a setting", id="a spelling"
        ),
        pytest.param(
            {"pod": {"tolerations": [{}, {"keys": "a"}]}},
            "pod.tolerations[1].keys is not a setting",
            id="a key of an item is named with the item's place",
        ),
        pytest.param(
            {"pod": {"affinity": {"zoneAffinity": {}}}},
            "pod.affinity.zoneAffinity is not a setting",
            id="an affinity that there is none of",
        ),
        pytest.param(
            {"pod": {"resources": {"limit": {}}}},
            "pod.resources.limit is not a setting; the keys here are requests, limits",
            id="a key of the resources",
        ),
        pytest.param({"pod": None}, "pod must be a map", id="a part without anything"),
        pytest.param({"image": 1}, "image must be a string; put it in quotes", id="a number"),
        pytest.param(
            {"pod": {"annotations": {"a": True}}},
            "pod.annotations.a must be a string; put it in quotes",
            id="a boolean as an annotation, which the API server would refuse",
        ),
        pytest.param(
            {"pod": {"tolerations": {"key": "a"}}}, "pod.tolerations must be a list", id="no list"
        ),
        pytest.param(
            {"pod": {"tolerations": [{"effect": "Never"}]}},
            "pod.tolerations[0].effect must be one of NoSchedule, PreferNoSchedule, NoExecute",
            id="an effect that there is none of",
        ),
        pytest.param(
            {"pod": {"tolerations": [{"tolerationSeconds": "3"}]}},
            "pod.tolerations[0].tolerationSeconds must be a whole number",
            id="a number in quotes",
        ),
        pytest.param(
            {"pod": {"resources": {"limits": {"memory": "much"}}}},
            "pod.resources.limits.memory must be a quantity, such as 500m or 1Gi",
            id="no amount",
        ),
        pytest.param(
            {"pod": {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}},
            "pod.resources.requests.cpu is above pod.resources.limits",
            id="a request above its limit",
        ),
        pytest.param(
            {"storage": {"caBundle": "a"}}, "storage.caBundle holds no certificates", id="no PEM"
        ),
        pytest.param(
            {"storage": {"caBundle": BRAINPOOL}},
            "certificate 1 of storage.caBundle cannot be read by Kopia: its key is on the curve "
            "brainpoolP256r1",
            id="a certificate that Go skips in silence, so that no storage would be trusted by it",
        ),
        pytest.param("? [image]\n: a\n", "unhashable key", id="a key that is a list"),
        pytest.param("image: 2026-99-99\n", "month must be in", id="a time that is none"),
        pytest.param("{a: " * 1000, "recursion", id="maps that are nested too deep"),
        pytest.param("image: a\nimage: b\n", "image is written twice", id="a key written twice"),
    ],
)
def test_refuses(tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, content)

    assert str(refused.value).startswith(f"settings file {tmp_path / 'settings.yaml'}: ")
    assert reason in str(refused.value)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        settings.load(str(tmp_path / "none"))


def test_other_settings_have_another_digest() -> None:
    found = [
        Settings(),
        Settings(image="kopia:1"),
        Settings(pod=PodDefaults(priority_class_name="high")),
        Settings(storage=StorageDefaults(ca_bundle=CERTIFICATE)),
    ]

    assert len({one.digest() for one in found}) == len(found)
    assert Settings().digest() == Settings().digest()

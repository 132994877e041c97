"""What a release is made from, and for which machines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from clusterlib import components, paths
from clusterlib.errors import ClusterError
from releaselib import cli, inputs, platforms

if TYPE_CHECKING:
    from pathlib import Path

DIGEST: Final = f"sha256:{'0' * 64}"
DOCKERFILE: Final = (paths.CHECKOUT / "Dockerfile").read_text()

AMD64, ARM64 = platforms.ALL


def written(folder: Path, digest: str) -> inputs.Inputs:
    path = folder / "release.toml"
    base, kopia = (
        f'[images.{part}]\nname = "example.org/{part}:1"\ndigest = "{digest}"\n'
        for part in ("base", "kopia")
    )
    path.write_text(f'image = "x"\n{base}{kopia}')
    return inputs.load(path)


def test_an_image_is_taken_by_its_digest(tmp_path: Path) -> None:
    base, kopia = written(tmp_path, DIGEST).sources

    assert [base.pinned(), kopia.pinned()] == [
        f"example.org/base@{DIGEST}",
        f"example.org/kopia@{DIGEST}",
    ]


def test_an_image_without_a_digest_is_not_taken(tmp_path: Path) -> None:
    known = written(tmp_path, "")

    with pytest.raises(ClusterError, match=r"images\.base has no digest for example\.org/base:1"):
        known.base.pinned()


@pytest.mark.parametrize("digest", ["latest", "sha256:", f"sha256:{'0' * 63}", f"{DIGEST}0"])
def test_what_is_no_digest_is_refused(tmp_path: Path, digest: str) -> None:
    with pytest.raises(ClusterError, match=r"images\.base is not `sha256:`"):
        written(tmp_path, digest)


def test_a_release_takes_the_images_that_the_dockerfile_takes() -> None:
    defaults = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", DOCKERFILE, re.MULTILINE))
    known = inputs.load()

    assert known.base.name == defaults["BASE_IMAGE"]
    assert known.kopia.name == defaults["KOPIA_IMAGE"]


def test_a_release_has_the_kopia_that_its_servers_run() -> None:
    version = components.load().groups["kopia"].version.removeprefix("v")
    settings = yaml.safe_load((paths.CHECKOUT / "manifests/controller/settings.yaml").read_text())

    assert inputs.load().kopia.name == f"docker.io/{settings['image']}"
    assert settings["image"].endswith(f":{version}")


def test_the_images_are_printed_for_who_compares_their_digests(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["--sources"]) == 0

    known = inputs.load()
    lines = [f"{one.name} {one.digest}".rstrip() for one in known.sources]
    assert capsys.readouterr().out.splitlines() == lines


def test_all_that_the_image_installs_has_a_known_hash() -> None:
    installs = re.findall(r"(?:install|wheel) (?:[^&]|&(?!&))+", DOCKERFILE.replace("\\\n", " "))

    wanted = ("--require-hashes", "--no-index", "--no-deps")
    assert len(installs) == 4
    assert [one for one in installs if not any(word in one for word in wanted)] == []


def chosen(*names: str, pinned: bool = True, emulated: bool = True) -> platforms.Choice:
    interpreters = ["aarch64"] if emulated else []
    return platforms.choose(names, pinned=pinned, machine="x86_64", interpreters=interpreters)


@pytest.mark.parametrize(
    ("choice", "built", "left_out"),
    [
        pytest.param(chosen(), (AMD64, ARM64), [], id="all that can be built"),
        pytest.param(chosen("linux/arm64"), (ARM64,), [], id="those that are asked for"),
        pytest.param(
            chosen(emulated=False),
            (AMD64,),
            ["apt-get install qemu-user-static"],
            id="none whose programs this machine does not run",
        ),
        pytest.param(
            chosen(pinned=False),
            (AMD64,),
            ["--pinned"],
            id="none for which nobody has made the base",
        ),
    ],
)
def test_the_image_is_built_for(
    choice: platforms.Choice, built: tuple[platforms.Platform, ...], left_out: list[str]
) -> None:
    assert choice.built == built
    assert len(choice.left_out) == len(left_out)
    assert all(words in said for words, said in zip(left_out, choice.left_out, strict=True))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("linux/arm64", "runs no programs for it", id="one that cannot be built"),
        pytest.param("linux/s390x", "there are: linux/amd64, linux/arm64", id="an unknown one"),
    ],
)
def test_a_platform_that_is_asked_for_is_not_left_out_silently(name: str, words: str) -> None:
    with pytest.raises(ClusterError, match=words):
        chosen(name, emulated=False)


def test_the_machines_are_those_for_which_linux_has_an_interpreter(tmp_path: Path) -> None:
    (tmp_path / "qemu-aarch64").write_text("enabled\ninterpreter /usr/bin/qemu-aarch64-static\n")
    (tmp_path / "qemu-arm").write_text("disabled\n")
    (tmp_path / "status").write_text("enabled\n")

    assert platforms.interpreters(tmp_path) == ["aarch64"]
    assert platforms.interpreters(tmp_path / "nowhere") == []


@pytest.mark.parametrize("arguments", [[], ["--pinned"], ["1.2.3", "--try", "--sources"]])
def test_the_arguments_name_one_thing_to_do(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.parse(arguments)

    assert "usage: hack/release" in capsys.readouterr().err

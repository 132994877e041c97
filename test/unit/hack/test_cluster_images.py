"""An image is built again exactly when something that goes into it has changed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from clusterlib import components, images, paths
from clusterlib.errors import ClusterError
from clusterlib.images import Builder, Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_directories")


@dataclass(frozen=True)
class Checkout:
    """A made-up checkout with one image."""

    directory: Path
    image: Image

    def archive(self) -> Path:
        return Builder(components.load()).archive(self.image)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    directory = tmp_path / "checkout"
    (directory / "package").mkdir(parents=True)
    (directory / "package" / "main.py").write_text("one")
    (directory / "Dockerfile").write_text("FROM scratch")
    monkeypatch.setattr(paths, "CHECKOUT", directory)
    return Checkout(directory, Image("thing", directory / "Dockerfile", sources=("package",)))


def write(name: str, content: str) -> Callable[[Path], object]:
    return lambda directory: (directory / name).write_text(content)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(write("package/main.py", "two"), id="a file's content"),
        pytest.param(write("package/more.py", ""), id="a file more"),
        pytest.param(write("Dockerfile", "FROM other"), id="the Dockerfile"),
        pytest.param(lambda path: (path / "package/main.py").chmod(0o755), id="a file's mode"),
        pytest.param(
            lambda path: (path / "package/main.py").rename(path / "package/other.py"),
            id="a file's name",
        ),
    ],
)
def test_the_archive_is_another_after_a_change_of(
    checkout: Checkout, change: Callable[[Path], object]
) -> None:
    before = checkout.archive()

    change(checkout.directory)

    assert checkout.archive() != before


def test_the_archive_is_the_same_when_nothing_of_the_image_changed(checkout: Checkout) -> None:
    before = checkout.archive()

    (checkout.directory / "README.md").write_text("not in the image")
    cached = checkout.directory / "package" / "__pycache__"
    cached.mkdir()
    (cached / "main.pyc").write_text("made by running it")
    (checkout.directory / "package" / "main.py").touch()

    assert checkout.archive() == before


def test_an_image_does_not_depend_on_the_umask_of_the_checkout(checkout: Checkout) -> None:
    before = checkout.archive()

    (checkout.directory / "package" / "main.py").chmod(0o600)

    assert checkout.archive() == before


def test_a_changed_base_gives_another_controller_image(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = Builder(components.load())
    before = builder.archive(images.CONTROLLER)

    monkeypatch.setattr(images, "BASE", replace(images.BASE, packages=("python3",)))

    assert builder.archive(images.CONTROLLER) != before


@pytest.mark.parametrize("part", ["kopia", "template-renderer"])
def test_another_program_of_a_part_gives_another_controller_image(part: str) -> None:
    known = components.load()
    group = known.groups[part]
    newer = replace(known, groups=known.groups | {part: replace(group, version="v99.0.0")})

    archives = {Builder(one).archive(images.CONTROLLER) for one in (known, newer)}

    assert len(archives) == 2


def test_what_an_image_is_built_from_is_built_before_it() -> None:
    base, kopia, renderer = images.BASE, images.KOPIA, images.RENDERER
    controller = images.CONTROLLER

    assert images.with_base([kopia, controller]) == [base, renderer, kopia, controller]
    assert images.with_base([controller]) == [base, kopia, renderer, controller]
    assert images.with_base([images.KOPIA]) == [images.KOPIA]


def test_the_dockerfile_copies_exactly_what_counts_as_its_sources() -> None:
    copied = _copied(images.CONTROLLER.dockerfile)

    assert sorted(copied) == sorted(images.CONTROLLER.sources)


def test_a_docker_build_is_sent_what_the_dockerfile_copies() -> None:
    ignore = (paths.CHECKOUT / ".dockerignore").read_text().splitlines()
    sent = [line.removeprefix("!") for line in ignore if line.startswith("!")]

    assert sorted(sent) == sorted(images.CONTROLLER.sources)


def test_the_reference_of_kopia_is_its_version() -> None:
    known = components.load()
    number = known.groups["kopia"].version.removeprefix("v")

    assert images.reference(images.KOPIA, known) == f"localhost/kopia:{number}"


def test_an_unknown_image_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ClusterError, match=r"'kopai'.*kopia, repository-server-controller"):
        images.by_name(["kopai"])


def _copied(dockerfile: Path) -> list[str]:
    """Return what a Dockerfile copies, without what is inside of something else that it copies."""
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile.read_text(), re.MULTILINE)
    sources = [source for sources in copies for source in sources.split()]
    return [one for one in sources if not any(one.startswith(f"{other}/") for other in sources)]

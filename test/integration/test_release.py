"""The manifests and the chart of a release: those of the checkout, with the image by its digest."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from e2e.release import CHART, program
from integration import charts
from releaselib import chart, install

if TYPE_CHECKING:
    from controller.resource import Object

IMAGE: Final = "registry.example/controller"
DIGEST: Final = f"sha256:{'a' * 64}"
PINNED: Final = f"{IMAGE}@{DIGEST}"
#: None that the checkout has.
VERSION: Final = "99.0.0"
EPOCH: Final = 1_795_000_000


def objects(text: str) -> list[Object]:
    return [obj for obj in yaml.safe_load_all(text) if obj]


def image_of(found: list[Object]) -> str:
    (deployment,) = (obj for obj in found if obj["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return str(container["image"])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the manifests of a release."""
    target = tmp_path_factory.mktemp("dist")
    install.write(
        tmp_path_factory.mktemp("scratch"),
        target,
        kubectl=Path(program("kubectl")),
        version=VERSION,
        image=IMAGE,
        digest=DIGEST,
    )
    return target


@pytest.mark.parametrize("name", list(install.FILES))
def test_a_file_has_the_objects_of_its_folder(written: Path, name: str) -> None:
    folder = charts.MANIFESTS / install.FILES[name][0]
    command = [program("kubectl"), "kustomize", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours

    text = (written / name).read_text()

    expected = ran.stdout.replace("image: repository-server-controller\n", f"image: {PINNED}\n")
    assert objects(text) == objects(expected)
    assert text.startswith(f"# Version {VERSION}: ")


def test_install_yaml_names_the_image_by_its_digest_and_begins_with_the_namespace(
    written: Path,
) -> None:
    found = objects((written / install.INSTALL).read_text())

    assert image_of(found) == PINNED
    # kubectl applies them in this order.
    assert [obj["kind"] for obj in found[:2]] == ["Namespace", "CustomResourceDefinition"]


def packed(folder: Path, epoch: int = EPOCH) -> Path:
    folder.mkdir()
    (folder / "dist").mkdir()
    return chart.pack(
        folder,
        folder / "dist",
        helm=Path(program("helm")),
        version=VERSION,
        image=IMAGE,
        digest=DIGEST,
        epoch=epoch,
    )


def test_the_chart_of_a_release_renders_what_that_of_the_checkout_does(tmp_path: Path) -> None:
    archive = packed(tmp_path / "one")

    ran = charts.helm("template", charts.RELEASE, str(archive), f"--namespace={charts.NAMESPACE}")

    assert ran.returncode == 0, ran.stderr
    found = objects(ran.stdout)
    assert image_of(found) == PINNED
    assert VERSION in ran.stdout
    image = {"repository": IMAGE, "digest": DIGEST}
    expected = yaml.safe_dump_all(charts.template({"image": image})).replace(checkout(), VERSION)
    assert charts.by_key(found) == charts.by_key(objects(expected))


def checkout() -> str:
    """Return the version of the chart in the checkout."""
    return str(yaml.safe_load((CHART / "Chart.yaml").read_text())["version"])


def test_the_chart_of_a_release_is_the_same_each_time_and_says_its_values(tmp_path: Path) -> None:
    first, second = (packed(tmp_path / name) for name in ("one", "two"))

    assert first.read_bytes() == second.read_bytes()
    assert packed(tmp_path / "later", EPOCH + 1).read_bytes() != first.read_bytes()
    with tarfile.open(first) as archive:
        page = archive.extractfile("repository-server-controller/README.md")
        assert page is not None
        text = page.read().decode()
    assert f"| `image.digest` | `{DIGEST}` |" in text
    # It refers to no file of the checkout.
    assert "](" not in text
    assert f" {first.name} " in text

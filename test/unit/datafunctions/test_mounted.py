"""A restore to where no volume is would be lost with the pod: it is refused where that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes.kopiaclient import Content, FakeClient, FakeRepository
from reconcilers.datafunctions.arguments import decode
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.errors import Refused
from reconcilers.datafunctions.function import Run

if TYPE_CHECKING:
    from pathlib import Path

ID = f"{1:032x}"


def restore(root: Path, restore_path: str, mounted: tuple[str, ...]) -> list[str]:
    """Restore a file of /var/lib/data to a folder, and return the warnings."""
    repository = FakeRepository()
    repository.add("/pod/shop/db-0/var/lib/data", {}, {"file": Content(b"x", 0)})
    function = FUNCTIONS.find("RestoreDataUsingKopiaServer", "v0.0.0").function
    arguments = {"backupIdentifier": ID, "restorePath": restore_path}
    decoded = decode(function.arguments, arguments, function=function.name)
    warnings: list[str] = []
    run = Run(FakeClient(repository), root=root, mounted=mounted, warn=warnings.append)
    function.run(run, decoded.arguments)
    return warnings


@pytest.mark.parametrize(
    ("path", "mounted"),
    [
        pytest.param("/data", ("/data",), id="the volume itself"),
        pytest.param("/data/a/b", ("/logs", "/data"), id="a folder of one of them"),
        pytest.param("/data", ("/",), id="a volume at the root has all"),
        pytest.param("/data", (), id="nobody knows which there are: nothing is refused"),
    ],
)
def test_what_is_on_a_volume_is_restored(
    tmp_path: Path, path: str, mounted: tuple[str, ...]
) -> None:
    assert restore(tmp_path, path, mounted) == []

    assert (tmp_path / path.lstrip("/") / "file").read_text() == "x"


@pytest.mark.parametrize("path", ["/database", "/var"])
def test_what_is_on_none_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(Refused) as refused:
        restore(tmp_path, path, ("/data", "/logs"))

    assert str(refused.value) == (
        f"argument restorePath: {path} is on no volume of this pod, and would be lost with it; it "
        "has volumes at /data, /logs"
    )
    assert list(tmp_path.iterdir()) == []


def test_what_is_above_some_is_restored_with_a_warning(tmp_path: Path) -> None:
    assert restore(tmp_path, "/var", ("/var/data", "/logs")) == [
        "what is restored to /var beside the volumes at /var/data is lost with this pod"
    ]

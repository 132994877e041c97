"""What Kanister has and this engine does not."""

from __future__ import annotations

import pytest

from reconcilers.actionset.functions import absent
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.registry import FunctionUnknown

CATALOGUE = absent.Catalogue(FUNCTIONS)
RESTIC = ("BackupData", "BackupDataAll", "BackupDataStats", "CopyVolumeData", "DeleteData",
          "DeleteDataAll", "RestoreData", "RestoreDataAll")  # fmt: skip


@pytest.mark.parametrize("version", ["", "v0.0.0", "0.0.0"])
@pytest.mark.parametrize("name", RESTIC)
def test_those_of_restic_are_refused_with_the_version_that_is_here(name: str, version: str) -> None:
    with pytest.raises(FunctionUnknown) as refused:
        CATALOGUE.find(name, version)

    assert str(refused.value) == (
        f"function {name} at v0.0.0 is Kanister's on restic, which is not here; set "
        "preferredVersion: v1.0.0-alpha in the ActionSet's action: it has the same arguments and "
        "outputs, and backs up through the action's RepositoryServer"
    )


@pytest.mark.parametrize("name", sorted(absent.INSTEAD))
def test_the_others_are_refused_with_what_to_do_and_the_list(name: str) -> None:
    with pytest.raises(FunctionUnknown) as refused:
        CATALOGUE.find(name, "v1.0.0-alpha")

    message = str(refused.value)
    assert message.startswith(f"function {name} is not here: {absent.INSTEAD[name]}; there are: ")
    assert message.endswith("RestoreData, RestoreDataAll, RestoreDataUsingKopiaServer")


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        pytest.param(
            "BackUpData", "", "there is no function BackUpData; there are: Ba", id="a slip"
        ),
        pytest.param(
            "BackupData",
            "v2",
            "has no version v2.0.0; ask for: v1.0.0-alpha",
            id="a version that nobody has",
        ),
        pytest.param("BackupData", "x", "'x' is not a version", id="no version at all"),
    ],
)
def test_what_nobody_has_is_refused_as_it_was(name: str, version: str, message: str) -> None:
    with pytest.raises(FunctionUnknown, match=message):
        CATALOGUE.find(name, version)


def test_what_is_here_is_found() -> None:
    assert CATALOGUE.find("BackupData", "v1.0.0-alpha").function.name == "BackupData"
    assert CATALOGUE.find("DeleteDataUsingKopiaServer", "v1.0.0-alpha").warning == ""

"""A file store is a folder of a claim."""

import pytest

from fakes import storage as fakes
from reconcilers.errors import InvalidInput
from reconcilers.kopia.storage.model import Storage

CLAIM: fakes.Values = {"type": "filestore", "claimName": "data"}


def test_the_claim_is_mounted_and_kopia_told_where() -> None:
    assert fakes.storage({**CLAIM, "prefix": "backups"}) == Storage(
        type_="filesystem",
        config={"path": "/mnt/data/backups/files/"},
        label="backups/files/ on PersistentVolumeClaim backup/data",
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        mounts=[{"name": "data", "mountPath": "/mnt/data"}],
        claim="data",
    )


def test_a_leading_slash_stays_and_makes_two() -> None:
    storage = fakes.storage(CLAIM, repository={"rootPath": "/files"})

    assert storage.section == {"type": "filesystem", "config": {"path": "/mnt/data//files"}}
    assert storage.directory == "/mnt/data//files"
    assert storage.label == "files on PersistentVolumeClaim backup/data"


def test_the_whole_claim_is_called_a_slash() -> None:
    storage = fakes.storage(CLAIM, repository={"rootPath": ""})

    assert storage.label == "/ on PersistentVolumeClaim backup/data"


def test_read_only_makes_the_volume_and_its_mount_so_for_claims_that_cannot_be_written() -> None:
    storage = fakes.storage(CLAIM, repository={"readOnly": True})

    assert storage.volumes == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}}
    ]
    assert storage.mounts == [{"name": "data", "mountPath": "/mnt/data", "readOnly": True}]


def test_the_claim_loses_the_line_end_that_echo_adds() -> None:
    assert fakes.storage({"type": "filestore", "claimName": "data\n"}).claim == "data"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({}, "has no key claimName; add it", id="no claim"),
        pytest.param(
            {"claimName": ""},
            "^key claimName of Secret .* is empty; give it a value",
            id="an empty claim",
        ),
        pytest.param(
            {"claimName": "My_Claim"},
            "^key claimName of Secret .* is not a valid name for a PersistentVolumeClaim",
            id="a name that no claim can have",
        ),
        pytest.param(
            {"claimName": "data", "prefix": ".."},
            "^key prefix of Secret .* leaves the storage",
            id="a path that leaves the claim",
        ),
    ],
)
def test_what_cannot_work(values: fakes.Values, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        fakes.storage({"type": "filestore", **values})


def test_a_file_store_has_no_former_states() -> None:
    with pytest.raises(InvalidInput) as caught:
        fakes.storage(CLAIM, repository={"pointInTime": "2026-01-31T12:00:00Z"})

    assert caught.value.reason == "PointInTimeUnsupported"
    assert caught.value.message == (
        "spec.repository.pointInTime needs a storage that keeps earlier versions, which a file "
        "store does not; remove it, or use a snapshot of the claim"
    )

"""Tags of snapshots."""

import re

import pytest

from reconcilers.datafunctions import tags
from reconcilers.datafunctions.errors import Refused


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        pytest.param("", {}, id="none"),
        pytest.param("app:db", {"app": "db"}, id="one"),
        pytest.param("app:db, tier:gold", {"app": "db", "tier": "gold"}, id="several"),
        pytest.param("url:http://x", {"url": "http://x"}, id="the first colon counts"),
        pytest.param("app:", {"app": ""}, id="an empty value"),
        pytest.param("app:db,", {"app": "db"}, id="a comma at the end"),
    ],
)
def test_snapshot_tags_are_read(text: str, parsed: dict[str, str]) -> None:
    assert tags.parse(text) == parsed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("app", "'app' is no tag; write name:value", id="no value"),
        pytest.param(":db", "':db' is no tag", id="no name"),
        pytest.param("app:a,app:b", "has the tag app twice", id="a name twice"),
        pytest.param("path:/x", "the tag path is set by the function itself", id="one of ours"),
        pytest.param("container:x", "the tag container is set by", id="one that is not always set"),
    ],
)
def test_snapshot_tags_that_cannot_be_kept_are_refused(text: str, message: str) -> None:
    with pytest.raises(Refused, match=re.escape(message)):
        tags.parse(text)


def test_two_backups_have_two_tags_in_the_form_of_kanister_s() -> None:
    one, other = tags.new_backup_tag(), tags.new_backup_tag()

    assert one != other
    assert re.fullmatch(r"[a-z0-9]{10}", one)


def test_what_is_not_known_is_no_tag() -> None:
    assert tags.of_backup(path="/data", namespace="", pod="db-0") == {
        "path": "/data",
        "pod": "db-0",
    }

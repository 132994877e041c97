"""JSON that is nested too deep is cut, and fails nowhere."""

import json

import pytest

from controller.jsonvalue import MAX_DEPTH, decoded


def nested(levels: int, opens: str, closes: str) -> bytes:
    return (opens * levels + "1" + closes * levels).encode()


@pytest.mark.parametrize(
    ("opens", "closes"),
    [
        pytest.param('{"a": ', "}", id="objects"),
        pytest.param("[", "]", id="lists"),
        pytest.param('{"}]": "\\"{[", "a": ', ', "b": "]}"}', id="brackets in strings"),
    ],
)
def test_what_is_too_deep_is_null(opens: str, closes: str) -> None:
    kept = nested(MAX_DEPTH, opens, closes).replace(b"1", b"null")

    assert decoded(nested(9000, opens, closes)) == json.loads(kept)


def test_what_is_beside_it_is_kept() -> None:
    deep = nested(9000, '{"a": ', "}").decode()

    value = decoded(f'{{"before": [1], "deep": {deep}, "after": {{"b": 2}}}}'.encode())

    assert (value["before"], value["after"]) == ([1], {"b": 2})


def test_broken_json_of_many_levels_is_broken() -> None:
    with pytest.raises(ValueError, match="line 1"):
        decoded(b"[" * 9000)

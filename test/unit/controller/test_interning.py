"""Interning: objects share their keys and short strings."""

import json

from hypothesis import given
from hypothesis import strategies as st

from controller.jsonvalue import MAX_DEPTH, MAX_VALUE, interned

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_nothing_but_the_identity_of_strings_changes(value: object) -> None:
    assert interned(value) == value


def test_keys_and_short_values_of_two_objects_are_the_same_strings() -> None:
    text = json.dumps({"labels": [{"app": "value of a label"}]})
    first, second = (interned(json.loads(text)) for _ in range(2))

    assert next(iter(first)) is next(iter(second))
    assert first["labels"][0]["app"] is second["labels"][0]["app"]


def test_what_is_nested_too_deep_is_none() -> None:
    value = json.loads('{"a": [' * MAX_DEPTH + "1" + "]}" * MAX_DEPTH)
    kept = json.loads('{"a": [' * (MAX_DEPTH // 2) + "null" + "]}" * (MAX_DEPTH // 2))

    assert interned(value) == kept


def test_a_long_value_is_left_alone() -> None:
    value = json.loads(json.dumps("x" * (MAX_VALUE + 1)))

    assert interned(value) is value

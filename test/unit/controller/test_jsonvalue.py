"""What is sent and what is digested, as JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.jsonvalue import canonical, decoded, encoded

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_what_is_encoded_is_read_by_any_decoder(value: Any) -> None:
    assert json.loads(encoded(value)) == value
    assert decoded(encoded(value)) == value


def test_equal_values_have_the_same_canonical_bytes() -> None:
    assert canonical({"a": 1, "b": {"c": (), "d": "ü"}}) == canonical(
        {"b": {"d": "ü", "c": []}, "a": 1}
    )


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({1: "a"}, id="keys are text"),
        pytest.param(2**64, id="the API server has numbers of 64 bits"),
        pytest.param({"a": object()}, id="an object is no JSON"),
    ],
)
def test_what_is_no_json_value_is_refused(value: Any) -> None:
    for function in (encoded, canonical):
        with pytest.raises(TypeError):
            function(value)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"a": NaN}', id="JSON has no such number"),
        pytest.param(b'{"a": 1', id="cut off"),
        pytest.param(b'"\xff"', id="no UTF-8"),
    ],
)
def test_what_is_no_json_cannot_be_decoded(content: bytes) -> None:
    with pytest.raises(ValueError, match="line 1"):
        decoded(content)

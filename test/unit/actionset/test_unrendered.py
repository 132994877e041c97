"""Parts of arguments that are not rendered."""

from typing import Any

import pytest

from reconcilers.actionset import unrendered

NAMES = frozenset({"condition"})


def rendered(tree: Any) -> Any:
    """Render as the engine does: here each text becomes one in capitals, keys too."""
    if isinstance(tree, dict):
        return {key.upper(): rendered(one) for key, one in tree.items()}
    if isinstance(tree, list):
        return [rendered(one) for one in tree]
    return tree.upper() if isinstance(tree, str) else tree


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        pytest.param({"A": "a"}, {"A": "A"}, id="what is a template is rendered"),
        pytest.param({"condition": "c"}, {"condition": "c"}, id="at the top"),
        pytest.param(
            {"ANY": [{"condition": "c", "REF": {"NAME": "n"}}, {"condition": "d"}]},
            {"ANY": [{"condition": "c", "REF": {"NAME": "N"}}, {"condition": "d"}]},
            id="beside what is rendered, in a list",
        ),
        pytest.param(
            {"condition": {"DEEP": ["c"]}}, {"condition": {"DEEP": ["c"]}}, id="all below the key"
        ),
        pytest.param({"A": None, "B": 3}, {"A": None, "B": 3}, id="what is no text stays"),
        pytest.param(
            {"key": {"condition": "c"}},
            {"KEY": {}},
            id="below a key that is a template nothing is put back",
        ),
    ],
)
def test_the_rest_is_rendered(tree: Any, expected: Any) -> None:
    left = unrendered.without(tree, NAMES)

    assert unrendered.restored(rendered(left), tree, NAMES) == expected

"""The fake renders what tests of the engine use, and says no to what it does not know."""

from __future__ import annotations

import pytest

from fakes.renderer import FakeRenderer
from reconcilers.actionset.templates.errors import TemplateError

PARAMETERS = {"Options": {"image": "i"}, "Phases": {"dump": {"Output": {"count": 3}}}}


def test_paths_are_replaced_at_any_depth() -> None:
    tree = {"{{ .Options.image }}": ["a{{ .Phases.dump.Output.count }}", 1, None]}

    assert FakeRenderer().render(PARAMETERS, tree, place="p") == {"i": ["a3", 1, None]}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        pytest.param("{{ .Options.b }}", '"b" not found', id="a path that leads nowhere"),
        pytest.param("{{ toJson .Profile }}", "the fake renders", id="what only the program knows"),
    ],
)
def test_the_rest_is_refused(template: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        FakeRenderer().render(PARAMETERS, template, place="p")


def test_a_test_says_what_fails() -> None:
    renderer = FakeRenderer(failures=[TemplateError("no")])

    with pytest.raises(TemplateError, match="no"):
        renderer.render({}, "a", place="p")
    assert renderer.render({}, "a", place="p") == "a"

"""No message has a value of a parameter, whatever a template does to get it there."""

from __future__ import annotations

import pytest

from reconcilers.actionset.templates.errors import TemplateError
from reconcilers.actionset.templates.renderer import ConditionKind, Renderer

VALUE = "hunter2"
PARAMETERS = {
    "Options": {"password": VALUE, "number": "77123", "key": f"k>: {VALUE}"},
    "Object": {"password": VALUE, "list": [VALUE], "float": 77123.5, "map": {"a": VALUE}},
    "Secrets": {"db": {"data": {"password": "aHVudGVyMg=="}}},
}
CONCEALED = "the reason is not shown"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        pytest.param("{{ range .Options.password }}{{ end }}", "can't iterate", id="a text"),
        pytest.param("{{ range .Secrets.db }}{{ end }}", "can't iterate", id="a Secret"),
        pytest.param("{{ range .Object.float }}{{ end }}", "can't iterate", id="a number"),
        pytest.param("{{ fail .Options.password }}", CONCEALED, id="it fails with a value"),
        pytest.param(
            '{{ fail (printf "len of type %s" .Options.password) }}',
            CONCEALED,
            id="with a value in words that are shown of others",
        ),
        pytest.param(
            '{{ fail (printf "a>: index of nil pointer%s" .Options.password) }}',
            CONCEALED,
            id="with what separates the reason from the place",
        ),
        pytest.param(
            '{{ range cat ">: can\'t print " .Options.password " of type y" }}{{ end }}',
            CONCEALED,
            id="with that in the text of the node",
        ),
        pytest.param(
            "{{ index .Options .Options.password 1 }}", "error calling index", id="as a key"
        ),
        pytest.param(
            "{{ index .Object.list (int .Options.number) }}", "out of range", id="as an index"
        ),
        pytest.param(
            "{{ eq .Object.map .Object.map }}", "error calling eq", id="what cannot be compared"
        ),
        pytest.param(
            "{{ regexFind (print .Options.password `(`) `` }}", CONCEALED, id="in a broken pattern"
        ),
        pytest.param("{{ semver .Options.password }}", CONCEALED, id="as a version"),
        pytest.param(
            "{{ .Options.password.more }}", "can't evaluate field more", id="a field of a text"
        ),
        pytest.param("{{ template .Options.password }}", "unexpected", id="as a template's name"),
        pytest.param("{{ call .Options.password }}", "error calling call", id="as a function"),
        pytest.param(
            "{{ genPrivateKey .Options.password }}", "Kanister refuses", id="as a kind of key"
        ),
        pytest.param(
            "{{ range $a, $b := int .Options.number }}{{ end }}", CONCEALED, id="counted by two"
        ),
    ],
)
def test_a_message_has_no_value(renderer: Renderer, template: str, words: str) -> None:
    with pytest.raises(TemplateError) as refused:
        renderer.render(PARAMETERS, template, place="arguments")

    assert words in refused.value.message
    assert VALUE not in refused.value.message
    assert "77123" not in refused.value.message
    # What is shown of a Secret's bytes as numbers.
    assert "104 117" not in refused.value.message


def test_an_authors_own_words_are_shown(renderer: Renderer) -> None:
    with pytest.raises(TemplateError, match=r"error calling fail: set the option `image`"):
        renderer.render({}, '{{ fail "set the option `image`" }}', place="arguments")


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        pytest.param(ConditionKind.JSONPATH, '{{ eq { $.a } "b" }}', id="that becomes code"),
        pytest.param(ConditionKind.JSONPATH, "{{ { $.b } }}", id="that is no word"),
        pytest.param(ConditionKind.JSONPATH, '{{ fail "{ $.a }" }}', id="that is failed with"),
        pytest.param(ConditionKind.JSONPATH, "{ $.a.more }", id="that has no fields"),
        pytest.param(ConditionKind.JSONPATH, "{ $.a[?(@.x==1)] }", id="that cannot be filtered"),
        pytest.param(ConditionKind.GOTEMPLATE, "{{ range .a }}{{ end }}", id="that is no list"),
        pytest.param(ConditionKind.GOTEMPLATE, "{{ base64decode .a }}", id="that is not base64"),
    ],
)
def test_a_message_has_no_value_of_an_object(
    renderer: Renderer, kind: ConditionKind, condition: str
) -> None:
    with pytest.raises(TemplateError) as refused:
        renderer.evaluate_wait(kind, condition, {"a": VALUE, "b": f'"{VALUE}'}, place="condition")

    assert VALUE not in refused.value.message

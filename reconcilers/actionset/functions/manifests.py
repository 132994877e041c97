"""The argument `spec` of KubeOps: YAML, as `kubectl create` and `kubectl patch` take it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import yaml
from attrs import frozen

from reconcilers.actionset.api import ANNOTATION_PREFIX
from reconcilers.actionset.functions import places
from reconcilers.actionset.functions.prepared import key_of
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconcilers.actionset.function import PhaseRun

REASON_INVALID: Final = "InvalidSpec"
NO_YAML: Final = "argument spec is no YAML: line {line}, column {column}; correct it"
TOO_DEEP: Final = "argument spec is nested too deep, or no YAML; correct it"
ALIAS: Final = "argument spec has an alias in line {line}; write its value in its place"
NO_OBJECT: Final = "argument spec has no object; write one with apiVersion, kind and metadata"
NOT_AN_OBJECT: Final = "object {number} of argument spec is no map; correct it"
LACKS: Final = "object {number} of argument spec lacks {field}, or it is no text; set it"
BAD_METADATA: Final = "object {number} of argument spec has metadata that is no map; correct it"

#: On an object that KubeOps has created or patched: for which phase.
ANNOTATION_PHASE: Final = f"{ANNOTATION_PREFIX}phase"

#: Of a generated name: as much of its prefix as the API server would take, and as many characters
#: after it (apiserver pkg/storage/names/generate.go).
_LONGEST_PREFIX: Final = 58
_SUFFIX: Final = 5


class _Loader(yaml.SafeLoader):
    """Reads YAML as Kubernetes does: no dates, no numbers to the base of 60, no aliases.

    An alias may stand for more than memory holds. The first two are texts for Go's yaml.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - as in PyYAML
        if self.check_event(yaml.AliasEvent):
            raise InvalidInput(REASON_INVALID, ALIAS.format(line=self.line + 1))
        return super().compose_node(parent, index)


_REPLACED: Final = frozenset(
    {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"),
    list("-+0123456789."),
)


@frozen
class Manifest:
    """An object to create.

    Args:
        number: Which of the argument's, from 1.
        api_version: Its apiVersion.
        kind: Its kind.
        name: Its name; one that is computed where the API server would make one up.
        namespace: Its namespace.
        body: All of it, marked with the phase.
    """

    number: int
    api_version: str
    kind: str
    name: str
    namespace: str
    body: Mapping[str, Any]

    def __str__(self) -> str:
        """Return it as messages name it."""
        return f"{self.kind} {self.name}"


def mark_of(run: PhaseRun, number: int = 1) -> str:
    """Return the value of the annotation for what a phase makes.

    Args:
        run: The phase.
        number: Which of its objects, from 1. Default: the first.
    """
    return "/".join((*map(str, key_of(run)), str(number)))


def is_marked(obj: Mapping[str, Any], mark: str) -> bool:
    """Return whether an object is what a phase has made."""
    annotations = obj["metadata"].get("annotations") or {}
    return bool(annotations.get(ANNOTATION_PHASE) == mark)


def marked(body: Mapping[str, Any], mark: str) -> dict[str, Any]:
    """Return an object, or a patch of one, with the annotation."""
    metadata = body.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), ANNOTATION_PHASE: mark}
    return {**body, "metadata": {**metadata, "annotations": annotations}}


def objects(run: PhaseRun, spec: str, *, namespace: str) -> tuple[Manifest, ...]:
    """Return the objects to create. Lists are taken apart.

    Args:
        run: The phase.
        spec: The argument.
        namespace: Of objects that do not say theirs.

    Raises:
        InvalidInput: It is not as it must be, or an object would be somewhere else.
    """
    found = [
        one for document in _documents(spec) if document is not None for one in _flattened(document)
    ]
    if not found:
        raise InvalidInput(REASON_INVALID, NO_OBJECT)
    return tuple(
        _manifest(run, one, number, namespace) for number, one in enumerate(found, start=1)
    )


def patch(spec: str) -> dict[str, Any]:
    """Return the patch that the argument is.

    Raises:
        InvalidInput: It is none.
    """
    found = [document for document in _documents(spec) if document is not None]
    if len(found) != 1:
        raise InvalidInput(REASON_INVALID, NO_OBJECT)
    _check_map(found[0], 1)
    return dict(found[0])


def _documents(spec: str) -> list[Any]:
    """Return the documents of a text.

    Raises:
        InvalidInput: It is no YAML. The message has nothing of it.
    """
    try:
        return list(yaml.load_all(spec, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = NO_YAML.format(line=line, column=column)
        raise InvalidInput(REASON_INVALID, message) from None
    except (yaml.YAMLError, RecursionError, ValueError):
        # A ValueError: a number of too many digits.
        raise InvalidInput(REASON_INVALID, TOO_DEEP) from None


def _flattened(document: Any) -> Iterator[Any]:  # noqa: ANN401 - any YAML value
    """Yield the objects of a list, or the object that it is (cli-runtime resource.Flatten)."""
    is_map = isinstance(document, dict)
    items = document.get("items") if is_map else None
    if isinstance(items, list) and str(document.get("kind", "")).endswith("List"):
        for one in items:
            yield from _flattened(one)
    else:
        yield document


def _manifest(run: PhaseRun, body: Any, number: int, namespace: str) -> Manifest:  # noqa: ANN401 - any YAML value
    _check_map(body, number)
    metadata = body.get("metadata") or {}
    mark = mark_of(run, number)
    at = f"object {number} of argument spec: metadata"
    prefix = metadata.get("generateName")
    name = metadata.get("name") or (isinstance(prefix, str) and prefix and _generated(prefix, mark))
    if not isinstance(name, str) or not name:
        raise InvalidInput(REASON_INVALID, LACKS.format(number=number, field="metadata.name"))
    places.check_name(name, argument=f"{at}.name")
    where = metadata.get("namespace") or namespace
    if not isinstance(where, str):
        raise InvalidInput(REASON_INVALID, LACKS.format(number=number, field="metadata.namespace"))
    places.check_namespace(
        run,
        where,
        argument=f"{at}.namespace" if metadata.get("namespace") else "argument namespace",
    )
    named = {key: one for key, one in metadata.items() if key != "generateName"}
    named |= {"name": name, "namespace": where}
    return Manifest(
        number=number,
        api_version=_text(body, "apiVersion", number),
        kind=_text(body, "kind", number),
        name=name,
        namespace=where,
        body=marked({**body, "metadata": named}, mark),
    )


def _check_map(body: Any, number: int) -> None:  # noqa: ANN401 - any YAML value
    if not isinstance(body, dict):
        raise InvalidInput(REASON_INVALID, NOT_AN_OBJECT.format(number=number))
    metadata = body.get("metadata") or {}
    parts = (metadata, *(metadata.get(key) or {} for key in ("annotations", "labels")))
    if not all(isinstance(part, dict) for part in parts):
        raise InvalidInput(REASON_INVALID, BAD_METADATA.format(number=number))


def _text(body: Mapping[str, Any], field: str, number: int) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise InvalidInput(REASON_INVALID, LACKS.format(number=number, field=field))
    return value


def _generated(prefix: str, mark: str) -> str:
    """Return a name that is the same each time: a second request then finds the first one's object.

    Args:
        prefix: As `metadata.generateName`.
        mark: Of the object.
    """
    digest = hashlib.sha256(mark.encode()).hexdigest()
    return prefix[:_LONGEST_PREFIX] + digest[:_SUFFIX]

"""A user's changes merged into a generated PodSpec.

The merge is that of `kubectl patch --type=strategic` (strategicpatch in k8s.io/apimachinery):
objects are merged field by field, null takes a field away, a list with a merge key is merged item
by item, any other list is replaced. `$patch: delete` and `$patch: replace` are understood;
directives that only programs write are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The fields from the PodSpec down to a value; the items of a list have the path of the list.
Path: TypeAlias = tuple[str, ...]

REASON_INVALID: Final = "InvalidPodOverride"
WRONG_TYPE: Final = "{field}.{path} must be {what}, as in a pod; correct or remove it"
NO_KEY: Final = "an entry of {field}.{path} lacks {key}, which tells the entries apart; add it"
UNKNOWN_DIRECTIVE: Final = (
    "{field}.{path} is not a directive that works here; use only $patch: delete and $patch: "
    "replace, and only on what the generated pod has"
)
TOO_DEEP: Final = "{field} is nested deeper than any pod is; write it as in a pod, or remove it"

_OF_A_CONTAINER: Final = {
    "env": "name",
    "ports": "containerPort",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
}

# x-kubernetes-patch-merge-key of every list in a PodSpec that has one, by the path of the list. A
# name alone does not tell a list: a label of `nodeSelector` may be called `ports`. Lists that are
# not here, such as tolerations, are replaced.
LISTS: Final[Mapping[Path, str]] = {
    # From Kubernetes 1.37 on.
    ("evictionResponders",): "name",
    ("hostAliases",): "ip",
    ("imagePullSecrets",): "name",
    ("resourceClaims",): "name",
    ("schedulingGates",): "name",
    ("topologySpreadConstraints",): "topologyKey",
    ("volumes",): "name",
    **{
        (containers, *below): key
        for containers in ("containers", "initContainers", "ephemeralContainers")
        for below, key in [((), "name"), *(((name,), key) for name, key in _OF_A_CONTAINER.items())]
    },
}
# The same by the name of the list, for who knows that it is one of these.
MERGE_KEYS: Final[Mapping[str, str]] = {path[-1]: key for path, key in LISTS.items()}


class _Refused(Exception):
    """A part of an override is no part of a PodSpec."""

    def __init__(self, message: str, **words: str) -> None:
        """Keep a template and its words.

        Args:
            message: The template, with `{field}`.
            words: What it names besides the field.
        """
        super().__init__(message)
        self.message = message
        self.words = words


def merged(spec: Mapping[str, Any], override: Mapping[str, Any], *, field: str) -> dict[str, Any]:
    """Return a PodSpec with an override merged into it.

    What the override leaves alone is shared with the PodSpec that it is merged into.

    Args:
        spec: The PodSpec as generated. Not changed.
        override: A partial PodSpec, any JSON that a user wrote.
        field: Where the user wrote it, for messages.

    Raises:
        InvalidInput: The override is no part of a PodSpec.
    """
    try:
        return _merge_object(spec, override, "", ())
    except _Refused as refused:
        message = refused.message.format(field=field, **refused.words)
        raise InvalidInput(REASON_INVALID, message) from None
    except RecursionError:
        raise InvalidInput(REASON_INVALID, TOO_DEEP.format(field=field)) from None


def _merge_object(
    base: Mapping[str, Any], patch: Mapping[str, Any], path: str, at: Path
) -> dict[str, Any]:
    """Merge field by field.

    Args:
        base: The object as it is.
        patch: What a user wrote.
        path: Where it stands, for messages; empty for the PodSpec itself.
        at: Where it stands, for `LISTS`.
    """
    directive = patch.get("$patch")
    if directive == "delete":
        return {}
    changes = {name: value for name, value in patch.items() if name != "$patch"}
    if directive == "replace":
        return dict(_taken(changes, path))
    if directive is not None:
        _unknown_directive(_below(path, "$patch"))
    result = dict(base)
    for name, value in changes.items():
        if name.startswith("$"):
            _unknown_directive(_below(path, name))
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge_value(result.get(name), value, _below(path, name), (*at, name))
    return result


def _merge_value(base: Any, patch: Any, path: str, at: Path) -> Any:  # noqa: ANN401 - JSON values
    if at in LISTS:
        if not isinstance(patch, list) or not all(isinstance(item, dict) for item in patch):
            _wrong_type(path, "a list of objects")
        return _merge_list(base or [], patch, path, at)
    if isinstance(base, dict):
        if not isinstance(patch, dict):
            _wrong_type(path, "an object")
        return _merge_object(base, patch, path, at)
    if isinstance(base, list) and not isinstance(patch, list):
        _wrong_type(path, "a list")
    return _taken(patch, path)


def _merge_list(
    base: Sequence[Mapping[str, Any]], patch: Sequence[Mapping[str, Any]], path: str, at: Path
) -> list[dict[str, Any]]:
    """Merge by key: what is new comes after what is there."""
    key = LISTS[at]
    replaces = any(item.get("$patch") == "replace" for item in patch)
    items = {} if replaces else {item[key]: dict(item) for item in base}
    for item in patch:
        if item.get("$patch") == "replace":
            continue
        value = item.get(key)
        if not isinstance(value, str | int):
            raise _Refused(NO_KEY, path=path, key=key)
        if item.get("$patch") == "delete":
            items.pop(value, None)
        else:
            items[value] = _merge_object(items.get(value, {}), item, f"{path}[{value}]", at)
    return list(items.values())


def _taken(value: Any, path: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value that stands for itself, without the nulls that would take something away."""
    if isinstance(value, list):
        return [_taken(item, path) for item in value]
    if not isinstance(value, dict):
        return value
    for name in value:
        if name.startswith("$"):
            _unknown_directive(_below(path, name))
    return {
        name: _taken(child, _below(path, name))
        for name, child in value.items()
        if child is not None
    }


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _wrong_type(path: str, what: str) -> NoReturn:
    raise _Refused(WRONG_TYPE, path=path, what=what)


def _unknown_directive(path: str) -> NoReturn:
    raise _Refused(UNKNOWN_DIRECTIVE, path=path)

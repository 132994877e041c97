"""Arguments of functions: declared as the fields of attrs classes, decoded from what was given.

Types are as weak as Kanister's (pkg/args.go, mapstructure with WeaklyTypedInput): a Blueprint's
template makes a text of everything. What else does not fit is refused by its name, all of it at
once. No message has a value: one may be a password.
"""

from __future__ import annotations

import difflib
import json
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs
from attrs import frozen

from reconcilers import durations
from reconcilers.datafunctions.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UNKNOWN: Final = "argument {name} is not supported by {function}; it has: {known}"
MEANT: Final = "argument {name} is not supported by {function}; did you mean {meant}?"
MISSING: Final = "argument {name} is missing; it is {description}"
EMPTY: Final = "argument {name} is empty; it is {description}"
MISTYPED: Final = "argument {name} must be {type_}"

_METADATA: Final = "argument"
# What strconv.ParseBool of Go reads.
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class Need(Enum):
    """Who cannot do without an argument."""

    #: Everybody.
    ALWAYS = "required"
    #: A phase of a Blueprint, as with Kanister's own functions. The program runs without it: it is
    #: in its pod already, and knows its server.
    IN_PHASE = "required in a phase"
    #: Nobody.
    NEVER = "optional"


class Type(Enum):
    """What a value must be; in words for messages and pages."""

    TEXT = "a text"
    FLAG = "true or false"
    WORDS = "a list of words, apart by white space"
    TEXTS = "a list of texts"
    NUMBER = "a whole number"
    DURATION = "a duration such as 90s, 5m or 1h30m"
    MAPPING = "a map from texts to texts, as JSON where it is a text"
    TREE = "a map, as JSON where it is a text"


#: Of these nothing given is not the same as a value that counts as false in Python.
_ZERO_COUNTS: Final = frozenset({Type.FLAG, Type.NUMBER, Type.DURATION})


@frozen
class Argument:
    """One argument of a function.

    Args:
        name: As it is written.
        type_: What it must be.
        need: Who cannot do without it.
        description: What it is, after `it is`, without a full stop.
        default: What it is where it is not given, in words; empty if that is nothing.
    """

    name: str
    type_: Type
    need: Need
    description: str
    default: str = ""


A = TypeVar("A", bound=attrs.AttrsInstance)


def text(name: str, description: str, *, need: Need = Need.NEVER, default: str = "") -> Any:  # noqa: ANN401 - attrs takes it for the field's default
    """Return a field for a text."""
    argument = Argument(name, Type.TEXT, need, description, default)
    return attrs.field(default=default, metadata={_METADATA: argument})


def flag(name: str, description: str, *, default: bool = False) -> Any:  # noqa: ANN401 - as text
    """Return a field for true or false, `default` where it is not given."""
    argument = Argument(name, Type.FLAG, Need.NEVER, description, str(default).lower())
    return attrs.field(default=default, metadata={_METADATA: argument})


def number(name: str, description: str, *, need: Need = Need.NEVER, default: int = 0) -> Any:  # noqa: ANN401 - as text
    """Return a field for a whole number, `default` where it is not given."""
    argument = Argument(name, Type.NUMBER, need, description, str(default))
    return attrs.field(default=default, metadata={_METADATA: argument})


def duration(name: str, description: str, *, need: Need = Need.NEVER, default: float = 0.0) -> Any:  # noqa: ANN401 - as text
    """Return a field for a duration in seconds, `default` where it is not given."""
    argument = Argument(name, Type.DURATION, need, description, f"{default:g}s")
    return attrs.field(default=default, metadata={_METADATA: argument})


def words(name: str, description: str, *, need: Need = Need.NEVER) -> Any:  # noqa: ANN401 - as text
    """Return a field for a tuple of words, empty where it is not given."""
    argument = Argument(name, Type.WORDS, need, description)
    return attrs.field(default=(), metadata={_METADATA: argument})


def texts(name: str, description: str, *, need: Need = Need.NEVER) -> Any:  # noqa: ANN401 - as text
    """Return a field for a tuple of texts, each kept whole; empty where it is not given."""
    argument = Argument(name, Type.TEXTS, need, description)
    return attrs.field(default=(), metadata={_METADATA: argument})


def mapping(name: str, description: str) -> Any:  # noqa: ANN401 - as text
    """Return a field for a map from texts to texts, empty where it is not given."""
    argument = Argument(name, Type.MAPPING, Need.NEVER, description)
    return attrs.field(factory=dict, metadata={_METADATA: argument})


def tree(name: str, description: str, *, need: Need = Need.NEVER) -> Any:  # noqa: ANN401 - as text
    """Return a field for a map of anything, empty where it is not given."""
    argument = Argument(name, Type.TREE, need, description)
    return attrs.field(factory=dict, metadata={_METADATA: argument})


def arguments_of(kind: type[attrs.AttrsInstance]) -> dict[str, Argument]:
    """Return the arguments of a class by the names of its fields, in their order."""
    return {one.name: one.metadata[_METADATA] for one in attrs.fields(kind)}


@frozen
class Decoded(Generic[A]):
    """Arguments as they were given.

    Args:
        arguments: An object of the function's class.
        given: The names of those that were given and are not empty.
    """

    arguments: A
    given: frozenset[str]


def decode(
    kind: type[A], given: Mapping[str, object], *, function: str, phase: bool = False
) -> Decoded[A]:
    """Return an object of the class with what was given.

    Args:
        kind: A class whose fields were made by the functions of this module.
        given: Values by the arguments' names; from a Blueprint, or texts.
        function: Name of the function, for messages.
        phase: Whether it runs as a phase of an ActionSet, in a pod that is made for it. Default: by
            the program, in a pod that runs already.

    Raises:
        Refused: Some arguments are unknown, missing, empty or mistyped; the message names all.
    """
    declared = arguments_of(kind)
    names = [argument.name for argument in declared.values()]
    problems = [_unknown(name, names, function) for name in given if name not in names]
    values: dict[str, Any] = {}
    for field_name, argument in declared.items():
        needed = argument.need is Need.ALWAYS or (phase and argument.need is Need.IN_PHASE)
        try:
            value = _DECODERS[argument.type_](given.get(argument.name))
        except ValueError:
            words_ = MISTYPED.format(name=argument.name, type_=argument.type_.value)
            problems.append(words_)
            continue
        if value or (value is not None and argument.type_ in _ZERO_COUNTS):
            values[field_name] = value
        elif needed:
            template = EMPTY if argument.name in given else MISSING
            words_ = template.format(name=argument.name, description=argument.description)
            problems.append(words_)
    if problems:
        raise Refused("; ".join(problems))
    filled = frozenset(
        argument.name
        for name, argument in declared.items()
        if values.get(name) or (name in values and argument.type_ is not Type.FLAG)
    )
    return Decoded(kind(**values), filled)


def _unknown(name: str, names: list[str], function: str) -> str:
    spellings = {known.lower(): known for known in names}
    meant = difflib.get_close_matches(name.lower(), spellings, n=1)
    if meant:
        return MEANT.format(name=name, function=function, meant=spellings[meant[0]])
    return UNKNOWN.format(name=name, function=function, known=", ".join(names))


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError


def _flag(value: object) -> bool | None:
    word = _text(value)
    if not word:
        return None
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(word for one in value for word in _text(one).split())
    return tuple(_text(value).split())


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(_text(one) for one in value)
    # A text alone is a list of one, as mapstructure reads it.
    return (_text(value),) if value not in (None, "") else ()


def _number(value: object) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError
        return int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError  # noqa: TRY004 - the caller's one error
    return int(value)


def _duration(value: object) -> float | None:
    written = _text(value)
    return durations.parse(written) if written else None


def _tree(value: object) -> dict[Any, Any]:
    try:
        content = json.loads(value) if isinstance(value, str) and value.strip() else value or {}
    except RecursionError:
        raise ValueError from None
    if not isinstance(content, dict):
        raise ValueError  # noqa: TRY004 - the caller's one error
    return content


def _mapping(value: object) -> dict[str, str]:
    return {_text(key): _text(one) for key, one in _tree(value).items()}


_DECODERS: Final[Mapping[Type, Callable[[object], Any]]] = {
    Type.TEXT: _text,
    Type.FLAG: _flag,
    Type.WORDS: _words,
    Type.TEXTS: _texts,
    Type.NUMBER: _number,
    Type.DURATION: _duration,
    Type.MAPPING: _mapping,
    Type.TREE: _tree,
}

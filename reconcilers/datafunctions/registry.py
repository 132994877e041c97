"""Which function a name and a version mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from attrs import define, field, frozen

from reconcilers.datafunctions.versions import DEFAULT_VERSION, normalized

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNKNOWN_NAME: Final = "there is no function {name}; there are: {names}"
UNKNOWN_VERSION: Final = "function {name} has no version {version}; ask for: {versions}"
NOT_A_VERSION: Final = "function {name}: {reason}; ask for: {versions}"
FALLEN_BACK: Final = (
    "function {name} has no version {version}, so {default} runs; it has: {versions}"
)
TWICE: Final = "function {name} is registered twice at {version}"


class FunctionUnknown(Exception):
    """No function has the name and version; the message lists what there is."""


class Named(Protocol):
    """What can be registered."""

    @property
    def name(self) -> str:
        """Return the function's name."""

    @property
    def version(self) -> str:
        """Return its version, as `versions.normalized` returns it."""


F = TypeVar("F", bound=Named)


@frozen
class Found(Generic[F]):
    """A function, as it was asked for.

    Args:
        function: The function.
        warning: What the caller should be told: another version than the one that was asked for.
            Empty if there is nothing to say.
    """

    function: F
    warning: str = ""


@define
class Registry(Generic[F]):
    """Functions by name and version.

    Args:
        functions: What is registered.

    Raises:
        ValueError: Two functions have the same name and version.
    """

    functions: Iterable[F]
    _versions: dict[str, dict[str, F]] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        """Order the functions by name and version."""
        for function in self.functions:
            versions = self._versions.setdefault(function.name, {})
            version = normalized(function.version)
            if version in versions:
                raise ValueError(TWICE.format(name=function.name, version=version))
            versions[version] = function

    def __iter__(self) -> Iterator[F]:
        """Return the functions in the order of their names, then of their versions."""
        for name in sorted(self._versions):
            yield from (self._versions[name][version] for version in sorted(self._versions[name]))

    def find(self, name: str, version: str = "") -> Found[F]:
        """Return the function of a name at a version, or else at v0.0.0.

        The rule is Kanister's (pkg/phase.go): one version is asked for of a whole action, whose
        phases may be of functions that have only v0.0.0. It is not silent where the name has
        several versions and the one asked for is not among them: that may be a slip.

        Args:
            name: The function's name.
            version: What was asked for. Default: v0.0.0.

        Raises:
            FunctionUnknown: There is no such function, at this version or at v0.0.0.
        """
        versions = self._versions.get(name)
        if versions is None:
            names = ", ".join(sorted(self._versions))
            raise FunctionUnknown(UNKNOWN_NAME.format(name=name, names=names))
        known = ", ".join(sorted(versions))
        try:
            wanted = normalized(version)
        except ValueError as error:
            raise FunctionUnknown(
                NOT_A_VERSION.format(name=name, reason=error, versions=known)
            ) from None
        if wanted in versions:
            return Found(versions[wanted])
        if DEFAULT_VERSION not in versions:
            raise FunctionUnknown(UNKNOWN_VERSION.format(name=name, version=wanted, versions=known))
        warning = FALLEN_BACK.format(
            name=name, version=wanted, default=DEFAULT_VERSION, versions=known
        )
        return Found(versions[DEFAULT_VERSION], warning if len(versions) > 1 else "")

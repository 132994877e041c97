"""Which function a name and a version mean."""

import pytest
from attrs import frozen

from reconcilers.datafunctions.registry import FunctionUnknown, Registry


@frozen
class Function:
    name: str
    version: str


OLD = Function("Move", "v0.0.0")
ALPHA = Function("Move", "v1.0.0-alpha")
ONLY_OLD = Function("Scale", "v0.0.0")
ONLY_ALPHA = Function("Copy", "v1.0.0-alpha")
REGISTRY = Registry([OLD, ALPHA, ONLY_OLD, ONLY_ALPHA])

BOTH = "it has: v0.0.0, v1.0.0-alpha"


@pytest.mark.parametrize(
    ("name", "version", "function", "warning"),
    [
        pytest.param("Move", "v1.0.0-alpha", ALPHA, "", id="the version that was asked for"),
        pytest.param("Move", "1.0.0-alpha", ALPHA, "", id="without v it is the same version"),
        pytest.param("Move", "", OLD, "", id="none asked for means v0.0.0"),
        pytest.param("Move", "v0", OLD, "", id="v0 is v0.0.0"),
        pytest.param(
            "Move",
            "v1.0.0",
            OLD,
            f"function Move has no version v1.0.0, so v0.0.0 runs; {BOTH}",
            id="with several versions and not this one, v0.0.0 and a warning",
        ),
        pytest.param(
            "Scale",
            "v1.0.0-alpha",
            ONLY_OLD,
            "",
            id="with v0.0.0 alone no warning: the version is asked for of a whole action",
        ),
        pytest.param("Copy", "v1.0.0-alpha", ONLY_ALPHA, "", id="the only one, asked for"),
    ],
)
def test_which_function_runs(name: str, version: str, function: Function, warning: str) -> None:
    found = REGISTRY.find(name, version)

    assert (found.function, found.warning) == (function, warning)


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        pytest.param(
            "Mvoe", "", "there is no function Mvoe; there are: Copy, Move, Scale", id="the name"
        ),
        pytest.param(
            "Copy",
            "",
            "function Copy has no version v0.0.0; ask for: v1.0.0-alpha",
            id="the default, where there is none",
        ),
        pytest.param(
            "Copy",
            "v2.0.0",
            "function Copy has no version v2.0.0; ask for: v1.0.0-alpha",
            id="a version, where there is no default",
        ),
        pytest.param(
            "Move",
            "latest",
            "function Move: 'latest' is not a version, such as v1.0.0-alpha; "
            "ask for: v0.0.0, v1.0.0-alpha",
            id="what is no version",
        ),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(name: str, version: str, message: str) -> None:
    with pytest.raises(FunctionUnknown) as refused:
        REGISTRY.find(name, version)

    assert str(refused.value) == message


def test_two_functions_with_one_name_and_version_are_a_defect() -> None:
    with pytest.raises(ValueError, match=r"Move is registered twice at v1\.0\.0-alpha"):
        Registry([ALPHA, Function("Move", "1.0.0-alpha")])


def test_all_are_listed_in_order() -> None:
    assert list(REGISTRY) == [ONLY_ALPHA, OLD, ALPHA, ONLY_OLD]

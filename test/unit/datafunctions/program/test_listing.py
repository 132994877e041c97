"""What the commands list and describe print."""

import re

import pytest

from reconcilers.datafunctions.arguments import arguments_of, decode
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.function import AnyFunction
from reconcilers.datafunctions.program.listing import described, example, listed

ALL = list(FUNCTIONS)


def names(function: AnyFunction) -> str:
    return function.name


def test_all_eleven_are_there_at_the_versions_where_they_were() -> None:
    rows = re.findall(r"^  (\S+) +(\S+)", listed(FUNCTIONS), re.MULTILINE)

    assert dict(rows) == {
        "BackupData": "v1.0.0-alpha",
        "BackupDataAll": "v1.0.0-alpha",
        "BackupDataStats": "v1.0.0-alpha",
        "BackupDataUsingKopiaServer": "v0.0.0",
        "CopyVolumeData": "v1.0.0-alpha",
        "DeleteData": "v1.0.0-alpha",
        "DeleteDataAll": "v1.0.0-alpha",
        "DeleteDataUsingKopiaServer": "v0.0.0",
        "RestoreData": "v1.0.0-alpha",
        "RestoreDataAll": "v1.0.0-alpha",
        "RestoreDataUsingKopiaServer": "v0.0.0",
    }


@pytest.mark.parametrize("function", ALL, ids=names)
def test_each_argument_and_output_is_described(function: AnyFunction) -> None:
    text = described(function)

    for argument in arguments_of(function.arguments).values():
        assert re.search(rf"^  {argument.name} +\S", text, re.MULTILINE)
    for output in function.outputs:
        assert re.search(rf"^  {output.name} +\S", text, re.MULTILINE)


@pytest.mark.parametrize("function", ALL, ids=names)
def test_the_example_is_one_that_is_accepted(function: AnyFunction) -> None:
    decode(function.arguments, function.example, function=function.name)

    assert example(function) in described(function)


@pytest.mark.parametrize("function", ALL, ids=names)
def test_a_page_fits_a_terminal_but_for_the_example(function: AnyFunction) -> None:
    shown = described(function).partition("Example:")[0]

    assert max(map(len, shown.splitlines())) <= 100


def test_what_has_no_effect_is_described_so() -> None:
    (function,) = (one for one in ALL if one.name == "DeleteData")

    text = " ".join(described(function).split())
    assert "encryptionKey has no effect; accepted with a warning" in text
    assert "podOverride refused: the pod runs already" in text
    assert "Outputs: spaceFreed `0 B`" in text

"""docs/runtime.md says what is so; test/integration/test_runtime_page.py runs its example."""

import ast
import re
from pathlib import Path
from typing import Final

import kubernetes.client
import pytest

from controller.builder import Builder
from controller.operator import Operator
from e2e.documented import code_blocks

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = "docs/runtime.md"
TEXT: Final = (ROOT / PAGE).read_text()

#: Lines of the example beside its resources and its reconcile function, blank ones not counted.
MAX_LINES: Final = 30


def test_the_example_has_as_many_lines_as_the_page_says() -> None:
    (program,) = code_blocks(PAGE, "python")
    apart = {
        number
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.stmt) and is_apart(node)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }

    counted = [
        line
        for number, line in enumerate(program.splitlines(), 1)
        if line.strip() and number not in apart
    ]
    assert f"The program has {len(counted)} lines" in TEXT
    assert len(counted) <= MAX_LINES


def is_apart(statement: ast.stmt) -> bool:
    """Return whether a statement defines a resource or is the reconcile function."""
    match statement:
        case ast.Assign(value=ast.Call(func=ast.Name(id="Resource"))):
            return True
        case ast.FunctionDef(name="reconcile"):
            return True
    return False


@pytest.fixture
def operator() -> Operator:
    """An operator that does not run: nobody listens where its API server should be."""
    configuration = kubernetes.client.Configuration(host="http://127.0.0.1:9")
    return Operator(kubernetes.client.ApiClient(configuration), "greeter")


def test_what_it_says_of_an_operator_is_there(operator: Operator) -> None:
    named = set(re.findall(r"\boperator\.(\w+)", TEXT))

    assert named
    assert {name for name in named if not hasattr(operator, name)} == set()


def test_what_it_says_of_a_builder_is_there() -> None:
    named = set(re.findall(r"(?:\bbuilder|[`)])\.(\w+)\(", TEXT))

    assert {"for_", "owns", "watches", "complete", "with_workers"} <= named
    assert {name for name in named if not hasattr(Builder, name)} == set()


def test_the_modules_that_it_names_exist() -> None:
    named = re.findall(r"`((?:controller|reconcilers|test)/[\w/]+\.py)`", TEXT)

    assert [path for path in named if not (ROOT / path).exists()] == []

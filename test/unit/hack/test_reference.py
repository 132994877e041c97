"""The field reference leaves nothing out: no field, no key, no refusal."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from e2e.descriptions import Description, document
from e2e.faults import FAULTS, Fault
from reconcilers.kopia.storage import authorities, azure, filestore, gcs, kinds, paths, s3
from reconcilers.repositoryserver.users import access
from reconcilers.secrets import certificates
from reconcilers.secrets import data as repository_secrets
from referencelib import cli, failures, fields, page, schema, secrets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

MODULES = (
    authorities,
    azure,
    certificates,
    filestore,
    gcs,
    kinds,
    paths,
    repository_secrets,
    s3,
    access,
)
SPEC = schema.load(cli.CRD)["spec"]
TOLD = {message for secret in secrets.SECRETS for key in secret.keys for message in key.refusals}

# Of a field of the resource, not of a key; or a warning, which refuses nothing.
OTHERWISE = {
    access.BAD_USERNAME,
    certificates.EXPIRED,
    access.NO_USERS,
    access.NO_USERS_OF_ONE,
    access.USERS_STAY,
    certificates.EXPIRING,
}


def keys_read_by(module: ModuleType) -> Iterator[str]:
    """Yield the keys that a module asks a Secret for."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr not in ("text", "verbatim", "optional", "has", "has_only"):
                continue
            for argument in node.args:
                yield from names(argument, module)


def names(argument: ast.expr, module: ModuleType) -> tuple[str, ...]:
    if isinstance(argument, ast.Starred):
        return names(argument.value, module)
    if isinstance(argument, ast.Constant):
        return (str(argument.value),)
    if isinstance(argument, ast.Name) and hasattr(module, argument.id):
        value: Any = getattr(module, argument.id)
        return (value,) if isinstance(value, str) else tuple(value)
    return ()


def refusals_of(module: ModuleType) -> set[str]:
    """Return a module's messages about a key of a Secret."""
    return {
        value
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and "named by {field}" in value
    }


def test_every_field_is_told_and_no_other() -> None:
    leaves = {field.path for field in SPEC.below() if field.is_leaf}

    assert leaves == set(fields.MEANINGS)


@pytest.mark.parametrize("field", [pytest.param(f, id=f.path) for f in SPEC.below() if f.is_leaf])
def test_a_field_that_may_be_left_out_has_a_default(field: schema.Field) -> None:
    assert bool(fields.MEANINGS[field.path].left_out) != field.required


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_key_that_is_read_is_told(module: ModuleType) -> None:
    told = {name for secret in secrets.SECRETS for key in secret.keys for name in key.names}

    assert set(keys_read_by(module)) <= told


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_refusal_of_a_key_is_told(module: ModuleType) -> None:
    assert refusals_of(module) <= TOLD | OTHERWISE | set(secrets.OF_ANY)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param(
            "key {key} of Secret {ref}, named by {field}",
            "key role of Secret NAMESPACE/NAME, named by spec.a",
            id="the key and the field are those that it is about",
        ),
        pytest.param("{user!r} at {when}", "USER at WHEN", id="the rest is the user's"),
    ],
)
def test_a_message_is_shown_as_a_user_sees_it(template: str, expected: str) -> None:
    assert secrets.filled(template, "spec.a", "role") == expected


class TestPage:
    TEXT = page.render(schema.load(cli.CRD))

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(
                "### `spec.server.drainSeconds`\n\n*integer, at least 0, at most 604800*. Seconds ",
                id="a field with its type and limits",
            ),
            pytest.param("- If omitted: 300\n", id="a default"),
            pytest.param("*string, at most 1024 characters, required*.", id="a required field"),
            pytest.param(
                "- Rejected: rootPath is immutable: create another RepositoryServer",
                id="what the API server says",
            ),
            pytest.param(
                "- Rejected: spec.repository.pointInTime is VALUE, which is not a time;",
                id="what the controller says",
            ),
            pytest.param("| `prefix` (also `path`) | no |", id="a key with its spellings"),
            pytest.param(
                "- key type of Secret NAMESPACE/NAME, named by spec.storage.secretRef, is not a "
                "location type; use one of azure, filestore, gcs, s3, s3Compliant\n",
                id="what is said of a key",
            ),
            pytest.param("| `status.repositoryUsers` | integer |", id="a field of the status"),
        ],
    )
    def test_has(self, text: str) -> None:
        assert text in self.TEXT

    def test_is_checked(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cli, "PAGE", tmp_path / "reference.md")

        assert cli.main([]) == 0
        assert cli.main(["--check"]) == 0
        cli.PAGE.write_text("another")
        assert cli.main(["--check"]) == 1


class TestReasons:
    DUMPS = f"{failures.DUMPS}\nprinted\n"
    TEXT = failures.render(DUMPS)

    @pytest.mark.parametrize("reason", failures.ROWS)
    def test_a_row_has_a_message_without_placeholders_and_a_cure(self, reason: str) -> None:
        message, cure = failures.ROWS[reason].cells()

        assert message
        assert cure
        assert "{" not in message + cure

    @pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.what) for fault in FAULTS])
    def test_the_reason_of_a_fault_that_is_tried_has_a_row(self, fault: Fault) -> None:
        assert self.TEXT.count(f"| `{fault.reason}` |") == 1

    def test_a_message_without_a_cure_needs_one_beside_it(self) -> None:
        with pytest.raises(ValueError, match=r"write one in Row\.cure"):
            failures.Row("it is broken").cells()

    def test_what_was_printed_stays(self) -> None:
        assert failures.dumps_of(self.TEXT) == self.DUMPS

    def test_is_checked(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cli, "FAILURES", tmp_path / "failures.md")
        cli.FAILURES.write_text(self.DUMPS)

        assert cli.main(["--check"]) == 1

    def test_servers_that_are_printed_replace_those_before(self) -> None:
        page = document(self.TEXT, [Description("A healthy server", "Name: files\n")])

        assert page == self.TEXT.removesuffix(self.DUMPS) + (
            "## A healthy server\n\n```\nName: files\n```\n"
        )

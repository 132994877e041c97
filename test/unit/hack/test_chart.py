"""What of the chart is made: its copies of manifests/, and its README."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from chartlib import cli, copies, page
from clusterlib import paths

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of the chart that tests may change."""
    monkeypatch.setattr(copies, "CHART", tmp_path)
    monkeypatch.setattr(cli, "README", tmp_path / "README.md")
    for name in ("values.yaml", "values.schema.json"):
        (tmp_path / name).write_bytes((paths.CHECKOUT / CHART / name).read_bytes())
    assert cli.main([]) == 0
    return tmp_path


CHART = "charts/repository-server-controller"


def test_what_was_made_passes_the_check(chart: Path) -> None:
    del chart

    assert cli.main(["--check"]) == 0


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        pytest.param("files/crd.yaml", "run hack/chart", id="a copy that was changed"),
        pytest.param("README.md", "run hack/chart", id="a README that was changed"),
        pytest.param("files/policies/x.yaml", "has no source", id="a file from nowhere"),
    ],
)
def test_the_check_names_what_is_not_so(
    chart: Path, name: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (chart / name).write_text("other\n")

    assert cli.main(["--check"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(name)
    assert complaint in line


def test_the_check_names_what_is_missing(chart: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (chart / "files/crd.yaml").unlink()

    assert cli.main(["--check"]) == 1
    assert "files/crd.yaml" in capsys.readouterr().err


def test_every_policy_and_role_for_people_is_in_the_chart() -> None:
    for folder in ("policies", "user-roles"):
        (listed,) = yaml.safe_load_all(
            (copies.MANIFESTS / folder / "kustomization.yaml").read_text()
        )

        assert {f"{folder}/{name}" for name in listed["resources"]} <= set(copies.SOURCES)


def test_the_page_has_each_value_with_its_default_and_what_it_is_part_of() -> None:
    schema = json.loads((copies.CHART / "values.schema.json").read_text())
    values = yaml.safe_load((copies.CHART / "values.yaml").read_text())

    text = page.render(schema, values)

    assert "| `replicas` | `2` | Pods of the controller." in text
    assert "| `crd.create` | `true` | The resource RepositoryServer," in text
    assert "| `namespaces` | nothing |" in text
    assert "`global`" not in text

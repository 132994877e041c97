"""The alerts fire after their time, not before it, and not for what only resembles their case.

Prometheus' own `promtool` evaluates the rules as they stand in manifests/monitoring.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from e2e import prometheus
from e2e.discovery import Seen
from e2e.monitored import MONITORING, groups, rules
from e2e.release import program
from integration import charts
from integration.alertcases import CASES, Case

if TYPE_CHECKING:
    from pathlib import Path


def by_name() -> dict[str, Any]:
    return {rule["alert"]: rule for rule in rules()}


def promtool(*arguments: str) -> None:
    """Run promtool.

    Raises:
        AssertionError: It has failed; the message has what it printed.
    """
    ran = subprocess.run(  # noqa: S603 - a program of this project's list
        [program("promtool"), *arguments], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def check(directory: Path, rule: Any, case: Case, tests: Any) -> None:
    """Evaluate one rule each minute over the series of a case."""
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    of_rule = {"groups": [{"name": "one", "rules": [rule]}]}
    (directory / "rules.yaml").write_text(yaml.safe_dump(of_rule))
    content = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [{"name": case.proves, "interval": "1m", "input_series": series, **tests}],
    }
    (directory / "tests.yaml").write_text(yaml.safe_dump(content))
    promtool("test", "rules", str(directory / "tests.yaml"))


def times_fired(case: Case, minute: int, times: int) -> Any:
    """Return a test of how often the alert was found to fire until a minute."""
    samples = [{"labels": "{}", "value": times}] if times else []
    alerts = f'ALERTS{{alertname="{case.alert}", alertstate="firing"}}'
    expression = f"sum(count_over_time({alerts}[7d]))"
    return {"expr": expression, "eval_time": f"{minute}m", "exp_samples": samples}


@pytest.mark.parametrize(
    "case", [pytest.param(one, id=f"{one.alert}: {one.proves}") for one in CASES]
)
def test_an_alert_fires_when_its_time_is_over_and_not_before(tmp_path: Path, case: Case) -> None:
    before = case.minutes if case.fires is None else case.fires - 1
    looks = [times_fired(case, before, 0)]
    if case.fires is not None:
        looks.append(times_fired(case, case.fires, 1))
        if case.stops is not None:
            looks.append(times_fired(case, case.stops, case.stops - case.fires))

    check(tmp_path, by_name()[case.alert], case, {"promql_expr_test": looks})


@pytest.mark.parametrize(
    "case",
    [pytest.param(one, id=f"{one.alert}: {one.proves}") for one in CASES if one.fires is not None],
)
def test_an_alert_says_whom_it_is_about(tmp_path: Path, case: Case) -> None:
    rule = by_name()[case.alert]
    with_summary = {**rule, "annotations": {"summary": rule["annotations"]["summary"]}}
    expected = {
        "exp_labels": {**rule["labels"], **case.labels},
        "exp_annotations": {"summary": case.summary},
    }
    look = {"eval_time": f"{case.fires}m", "alertname": case.alert, "exp_alerts": [expected]}

    check(tmp_path, with_summary, case, {"alert_rule_test": [look]})


@pytest.mark.parametrize("fires", [True, False], ids=["a case", "a near miss"])
def test_every_alert_has(fires: bool) -> None:
    assert {one.alert for one in CASES if (one.fires is not None) == fires} == set(by_name())


def test_the_text_of_every_alert_is_a_template_that_prometheus_reads(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups()}))

    promtool("check", "rules", str(tmp_path / "rules.yaml"))


def test_prometheus_understands_what_is_made_of_the_monitors(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yaml"
    nothing = Seen(services=[], endpoints=[], pods=[])
    files = prometheus.configuration(nothing, ["127.0.0.1:10250"])
    file.write_text(files["prometheus.yaml"])

    promtool("check", "config", "--syntax-only", str(file))


#: What stands in the manifests for the place of a copy of docs/.
PLACEHOLDER: Final = "https://runbooks.example"


def runbooks(objects: list[Any]) -> list[str]:
    (found,) = (one for one in objects if one["kind"] == "PrometheusRule")
    return [
        rule["annotations"]["runbook_url"]
        for group in found["spec"]["groups"]
        for rule in group["rules"]
    ]


def as_written(base: str) -> list[str]:
    return [rule["annotations"]["runbook_url"].replace(PLACEHOLDER, base) for rule in rules()]


def test_a_value_of_the_chart_says_where_the_runbooks_are() -> None:
    # The name of the release is in it, as it is in other texts of the rules.
    base = "https://git.example/repository-server-controller"
    values = {"monitoring": {"rules": {"create": True, "runbookBaseUrl": base}}}

    assert runbooks(charts.template(values, release="backup")) == as_written(base)


def test_the_lines_for_a_kustomization_say_where_the_runbooks_are(tmp_path: Path) -> None:
    """The lines are those of the comment in manifests/monitoring/kustomization.yaml."""
    comment = (MONITORING / "kustomization.yaml").read_text().partition("  configMapGenerator:")
    lines = re.findall(r"^# ? ? ?(.*)$", f"# {''.join(comment[1:])}", re.MULTILINE)
    own = "\n".join(lines[: lines.index("")])
    (base,) = re.findall(r"base=([^\]]+)", own)
    relative = os.path.relpath(MONITORING, tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(f"components: [{relative}]\n{own}\n")

    objects = charts.kustomize(tmp_path)

    assert runbooks(objects) == as_written(base)
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "ConfigMap"] == [
        "repository-server-controller-dashboard"
    ]

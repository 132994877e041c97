"""What manifests/monitoring asks Prometheus for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml
from attrs import frozen

if TYPE_CHECKING:
    from controller.resource import Object

MONITORING: Final = Path(__file__).parents[2] / "manifests" / "monitoring"
DASHBOARD: Final = MONITORING / "dashboard.json"

#: Every metric of ours has more than one word, and so have functions.
METRIC: Final = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b(?!\s*\()")


@frozen
class Expression:
    """An expression, and where it stands.

    Args:
        where: The name of the alert, or the title of the panel with the letter of its query.
        text: The expression.
        is_alert: Whether it has an answer only if something is wrong.
    """

    where: str
    text: str
    is_alert: bool

    @property
    def metrics(self) -> set[str]:
        """The metrics that it asks for."""
        return set(METRIC.findall(self.text))


def groups() -> list[Object]:
    """Return the groups of rules."""
    loaded = yaml.safe_load((MONITORING / "prometheus-rule.yaml").read_text())
    found: list[Object] = loaded["spec"]["groups"]
    return found


def rules() -> list[Object]:
    """Return the rules of all groups."""
    return [rule for group in groups() for rule in group["rules"]]


def panels() -> list[Object]:
    """Return the panels of the dashboard, but for the headings of its rows."""
    found: list[Object] = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def monitors(namespace: str) -> list[Object]:
    """Return the monitors, as they are once they are applied to a namespace."""
    found: list[Object] = [
        {**monitor, "metadata": {**monitor["metadata"], "namespace": namespace}}
        for file in sorted(MONITORING.glob("*-monitor.yaml"))
        for monitor in yaml.safe_load_all(file.read_text())
    ]
    return found


def expressions() -> list[Expression]:
    """Return the expressions of all alerts and panels."""
    return [
        *(Expression(rule["alert"], rule["expr"], is_alert=True) for rule in rules()),
        *(
            Expression(f"{panel['title']} {target['refId']}", target["expr"], is_alert=False)
            for panel in panels()
            for target in panel["targets"]
        ),
    ]

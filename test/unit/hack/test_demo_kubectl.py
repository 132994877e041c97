"""How the demo asks a cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from demolib.objects import Identity, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from demolib.kubectl import Kubectl

PASSWORD = "a-password"
SECRET = {"kind": "Secret", "metadata": {"name": "a"}, "stringData": {"password": PASSWORD}}

# Notes its arguments and its input, and has one Service, which is not the demo's.
SCRIPT = """\
#!/bin/sh
folder=$(dirname "$0")
echo "$@" >>"$folder/arguments"
cat >>"$folder/input"
case "$*" in
*get*) echo '{"kind": "Service", "metadata": {"name": "theirs", "resourceVersion": "1"}}' ;;
*apply*) echo '{"kind": "Secret", "metadata": {"name": "a", "resourceVersion": "2"}}' ;;
esac
"""


@pytest.fixture
def kubectl(scripted_kubectl: Callable[[str], Kubectl]) -> Kubectl:
    return scripted_kubectl(SCRIPT)


def test_a_password_goes_by_standard_input_only(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.create([SECRET])
    kubectl.apply([SECRET])
    kubectl.existing([SECRET])

    assert PASSWORD not in (tmp_path / "arguments").read_text()
    assert PASSWORD in (tmp_path / "input").read_text()


def test_every_call_names_the_cluster(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.apply([SECRET])

    calls = (tmp_path / "arguments").read_text().splitlines()
    assert [call.split()[:2] for call in calls] == [
        ["--context=mine", "get"],
        ["--context=mine", "apply"],
    ]


def test_what_others_made_is_not_sent(kubectl: Kubectl, tmp_path: Path) -> None:
    theirs = {"kind": "Service", "metadata": {"name": "theirs"}, "spec": {}}

    outcome = kubectl.apply([theirs, SECRET])

    # The last one; the first, before it, asked what there is.
    sent = (tmp_path / "input").read_text()
    applied, _ = json.JSONDecoder().raw_decode(sent, sent.rindex('{"apiVersion": "v1"'))
    assert [obj["metadata"]["name"] for obj in applied["items"]] == ["a"]
    assert outcome == Outcome(made=1, foreign=(Identity("Service", "", "theirs"),))


def test_nothing_is_asked_about_nothing(kubectl: Kubectl, tmp_path: Path) -> None:
    assert kubectl.existing([]) == []
    kubectl.create([])

    assert not (tmp_path / "arguments").exists()

"""Of every public Blueprint the parameters of each action are gathered, each from a fitting target.

Whether its templates render from them is asked of the real renderer.
"""

from __future__ import annotations

import pytest

from controller.clock import Deadline
from fakes import publicblueprints
from fakes.apireader import FakeReader
from fakes.clock import FakeClock
from fakes.publicblueprints import HOME, VARIABLE, Case
from reconcilers.actionset.parameters import document
from reconcilers.actionset.parameters.reader import ParameterReader

#: What is there of each action whatever it names, and what only phases have.
ALWAYS = {"Time", "Options", "ArtifactsIn", "Secrets", "ConfigMaps", "Phases", "DeferPhase"}

CASES = publicblueprints.cases()


@pytest.mark.skipif(not CASES, reason=f"{VARIABLE} names no folder with Blueprints")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_that_its_templates_name_is_there(case: Case) -> None:
    api, clock = FakeReader(), FakeClock()
    deadline = Deadline.after(clock, 10)
    action = publicblueprints.action_of(case, api)
    reader = ParameterReader(api, clock)

    stored = document.encode(reader.freeze(action, HOME, deadline), action="any")
    complete = reader.complete(document.decode(stored), action, HOME, deadline, phases={})

    assert case.tops <= complete.keys()
    assert complete.keys() >= ALWAYS

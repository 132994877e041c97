"""Every action of every public Blueprint on a real node, with stand-ins for its containers' tools.

Real are the controller with the rights of the manifests, its renderer, the node, all pods, the
scripts of the Blueprints with bash, and the repository server with Kopia. Not real are the tools:
each records what it is asked, stores what a dump puts out, and hands it to a restore. This writes
the table of docs/blueprints.md anew:

    RSC_TEST_BLUEPRINTS_ON_A_NODE=yes RSC_TEST_BLUEPRINTS_PAGE=docs/blueprints.md \
        hack/test e2e -- test/e2e/test_public_blueprints.py
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from attrs import define, field
from structlog.testing import capture_logs

from clusterlib.images import STAND_INS
from controller.clock import SystemClock
from e2e import publicapplications
from e2e.actionsets import ENDED, error_in
from e2e.cluster import NAMESPACE, Cluster
from e2e.publicapplications import Application
from e2e.server import Server
from e2e.standins import StandIns
from e2e.waiting import wait_for
from fakes import publicblueprints
from fakes.blueprintplay import Play, Played
from fakes.publicblueprints import VARIABLE
from reconcilers.actionset.api import ACTION_SETS, CREATED_BY, LABEL_CREATED_BY
from reconcilers.actionset.templates.program import ProgramRenderer
from testlib import templates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from e2e.actionsetcontroller import InstalledEngine
    from e2e.installation import Controller
    from e2e.node import Node
    from e2e.witness import Witness

PAGE: Final = Path("docs/blueprints.md")
WRITE: Final = "RSC_TEST_BLUEPRINTS_PAGE"
#: Has them played: it takes too long for each run.
WANTED: Final = "RSC_TEST_BLUEPRINTS_ON_A_NODE"
BEGIN, END = "<!-- real: begin -->\n", "<!-- real: end -->\n"

CASES: Final = publicblueprints.cases()
ORDER: Final = {"backup": 0, "delete": 2}
#: Blueprints that are played at the same time.
AT_ONCE: Final = 8
SECONDS: Final = 900.0

pytestmark = [
    pytest.mark.skipif(not CASES, reason=f"{VARIABLE} names no folder with Blueprints"),
    pytest.mark.skipif(not os.environ.get(WANTED), reason=f"{WANTED} is not set"),
    pytest.mark.timeout(SECONDS * 1.5),
]


@define
class Playing:
    """The actions of one Blueprint, one after the other.

    Attributes:
        application: What it is about.
        simulated: What came of its actions in the simulation, in their order.
        ended: The ActionSets that have ended, by action.
        artifacts: What they have put out.
    """

    application: Application
    simulated: list[Played]
    ended: dict[str, Object] = field(factory=dict)
    artifacts: dict[str, Any] = field(factory=dict)
    begun: bool = False

    @property
    def next(self) -> Played | None:
        """The action that runs, or is the next."""
        return next((one for one in self.simulated if one.case.action_name not in self.ended), None)

    def name(self, action: str) -> str:
        """Return the name of an action's ActionSet."""
        return f"{self.application.name}-{action.lower()}"

    def advance(self, engine: InstalledEngine, found: dict[str, Object], server: str) -> None:
        """Take over what has ended, and begin what comes next."""
        while (one := self.next) is not None:
            action = one.case.action_name
            if not self.begun:
                spec = self.application.spec(action, self.artifacts, server)
                engine.begin(self.name(action), spec)
                self.begun = True
                return
            obj = found.get(self.name(action)) or {}
            if (obj.get("status") or {}).get("state") not in ENDED:
                return
            self.ended[action] = obj
            [done] = obj["status"].get("actions") or [{}]
            self.artifacts |= done.get("artifacts") or {}
            self.begun = False


@pytest.fixture(scope="module")
def server(
    cluster: Cluster,
    node: Node,
    witness: Witness,
    controller: Controller,  # noqa: ARG001 - it makes the server
) -> Iterator[Server]:
    """Yield the server of the data functions."""
    described = Server(cluster, node, witness, "blueprints")
    peer = {"namespaceSelector": {}, "podSelector": {"matchLabels": {LABEL_CREATED_BY: CREATED_BY}}}
    described.resource["spec"]["server"]["networkPolicy"] = {"from": [peer]}
    described.start()
    yield described
    described.remove()


@pytest.fixture(scope="module")
def stand_ins(cluster: Cluster) -> Iterator[StandIns]:
    """Yield what stands in for all tools."""
    made = StandIns(cluster)
    made.start(STAND_INS, [blueprint(case.blueprint) for case in CASES])
    yield made
    made.remove()


@pytest.fixture(scope="module")
def playing(
    cluster: Cluster, node: Node, engine: InstalledEngine, server: Server, stand_ins: StandIns
) -> list[Playing]:
    """Return what came of all actions."""
    cluster.kubectl.apply(publicapplications.definitions())
    for kind in publicapplications.KINDS:
        name = f"crd/{kind.plural}.{kind.group}"
        cluster.kubectl.run("wait", "--for=condition=Established", name)
    rights = publicapplications.rights(cluster)
    renderer = ProgramRenderer.of(templates.program(), SystemClock())
    plays = []
    grouped = itertools.groupby(CASES, lambda one: one.blueprint)
    for number, (file, cases) in enumerate(grouped):
        with capture_logs():
            play = Play(renderer, blueprint(file), list(cases))
            simulated = play.run()
        application = Application(
            file,
            play.blueprint,
            play.cases,
            play.cluster.api,
            f"bp{number:02}",
            stand_ins.image,
            f"{node.directory}/blueprints",
        )
        application.make(cluster, rights)
        engine.make_blueprint(application.name, application.actions())
        plays.append(Playing(application, simulated))
    renderer.close()
    wait_for(
        "the applications to run",
        lambda: [one.application.name for one in plays if not one.application.ready(cluster)],
        lambda waiting: not waiting,
        seconds=SECONDS,
    )

    def step() -> list[str]:
        found = {
            obj["metadata"]["name"]: obj
            for obj in cluster.client.list(ACTION_SETS, NAMESPACE)["items"]
        }
        for one in [one for one in plays if one.next is not None][:AT_ONCE]:
            one.advance(engine, found, f"{NAMESPACE}/{server.name}")
        return [one.application.name for one in plays if one.next is not None]

    wait_for("all actions to end", step, lambda left: not left, seconds=SECONDS)
    return plays


def test_an_action_ends_as_it_does_in_the_simulation(playing: list[Playing]) -> None:
    """What the simulation says of Blueprints holds on a real node."""
    expected, found = {}, {}
    for one in playing:
        for played in one.simulated:
            action, obj = played.case.action_name, one.ended[played.case.action_name]
            expected[played.case.name] = (played.state, played.error)
            error = error_in(obj).replace(one.application.namespace, "shop")
            found[played.case.name] = (obj["status"]["state"], error)
            assert action in one.ended

    assert found == expected


def test_what_was_dumped_is_what_is_restored(playing: list[Playing], stand_ins: StandIns) -> None:
    """Through the scripts, their pipes and the artifacts: what one puts out, the other takes in."""
    lines = stand_ins.asked()
    both = 0
    for one in playing:
        gave = {line["gave"] for line in lines if of(one, line) and "gave" in line}
        took = {line["took"] for line in lines if of(one, line) and "took" in line}
        if gave and took:
            both += 1
            assert gave == took, one.application.file

    assert both


def test_the_page_has_what_came_of_them(playing: list[Playing], stand_ins: StandIns) -> None:
    written = table(playing, stand_ins.asked())
    page = os.environ.get(WRITE)
    if page:
        before, _, rest = Path(page).read_text().partition(BEGIN)
        Path(page).write_text(before + BEGIN + written + END + rest.partition(END)[2])

    _, begin, rest = PAGE.read_text().partition(BEGIN)
    assert begin
    assert rest.partition(END)[0] == written


def blueprint(file: str) -> Object:
    """Return a Blueprint of the folder."""
    found: Object = yaml.safe_load((Path(os.environ[VARIABLE]) / file).read_text())
    return found


def of(one: Playing, line: dict[str, Any]) -> bool:
    """Return whether a Blueprint has asked for something."""
    namespace, pod = str(line["namespace"]), str(line["pod"])
    own = namespace == NAMESPACE and pod.startswith(f"{one.application.name}-")
    return own or namespace == one.application.namespace


def table(playing: list[Playing], lines: list[dict[str, Any]]) -> str:
    """Return the lines of the page: how many of how many, and what tools were asked."""
    states = [obj["status"]["state"] for one in playing for obj in one.ended.values()]
    whole = [
        one
        for one in playing
        if all(obj["status"]["state"] == "complete" for obj in one.ended.values())
    ]
    counted = f"{states.count('complete')} of {len(states)} actions run to their end, "
    counted += f"all actions of {len(whole)} of {len(playing)} Blueprints."
    found = [counted, "", "| Blueprint | actions that run to their end | tools, how often |"]
    found.append("|---|---|---|")
    for one in playing:
        done = [name for name, obj in one.ended.items() if obj["status"]["state"] == "complete"]
        tools = Counter(line["tool"] for line in lines if of(one, line) and "words" in line)
        said = ", ".join(f"{tool} {count}" for tool, count in sorted(tools.items()))
        found.append(f"| {one.application.file} | {', '.join(done) or 'none'} | {said or 'none'} |")
    return "\n".join([*found, ""])

"""The steps of `hack/demo --actionsets`: PostgreSQL loses its data twice and gets it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demolib import actionsets, objects
from demolib.actionsets import ActionSets
from demolib.backends import FILE_STORE

if TYPE_CHECKING:
    from collections.abc import Callable

    from demolib.kubectl import Kubectl
    from demolib.objects import Images, Object
    from demolib.target import Target

STEPS = 8
TIMEOUT = f"--timeout={actionsets.TIMEOUT_SECONDS}s"
SAME = "the rows are those of the backup"


@dataclass(frozen=True)
class Step:
    """A step.

    Attributes:
        words: what it does.
        run: does it, and returns what came of it, in words; empty if nothing is to be said.
        evidence: what kubectl shows about it, should it fail.
    """

    words: str
    run: Callable[[], str]
    evidence: list[list[str]]


class Scene:
    """PostgreSQL in a cluster with the sample server on a volume.

    Args:
        kubectl: asks the cluster.
        images: what the cluster has or can pull.
        target: the cluster.
        namespace: of the controllers and the server.
        generate: makes a new password.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        images: Images,
        target: Target,
        namespace: str,
        generate: Callable[[], str],
    ) -> None:
        self._kubectl = kubectl
        self._images = images
        self._target = target
        self._namespace = namespace
        self._generate = generate
        self._database = ActionSets(kubectl, namespace)
        # What the last backup has left, and the rows as they were then.
        self._artifacts: Object = {}
        self._rows = ""

    def steps(self) -> list[Step]:
        """Return the steps, to be run in this order."""
        here, shop = f"--namespace={self._namespace}", f"--namespace={actionsets.SHOP}"
        deployed = [["describe", actionsets.CONTROLLER, here], ["describe", "pods", here]]
        database = [["describe", kind, shop] for kind in ("persistentvolumeclaims", "pods")]
        acted = [
            ["describe", actionsets.ACTION_SETS, here],
            ["describe", "pods", shop],
            ["logs", actionsets.CONTROLLER, here],
        ]
        return [
            Step(
                "deploying the controller of ActionSets, and Kanister's CRDs",
                self._deploy,
                deployed,
            ),
            Step("starting PostgreSQL, with 100,000 rows", self._start, database),
            Step("backing its claim up by an ActionSet", self._back_up_claim, acted),
            Step("adding a row, and deleting the files of all tables", self._lose_files, database),
            Step(
                "restoring the claim by an ActionSet, with its controller killed meanwhile",
                self._restore_claim,
                acted,
            ),
            Step("backing a dump up as a stream, while PostgreSQL runs", self._back_up_dump, acted),
            Step("dropping the table", self._lose_table, database),
            Step("restoring the dump by an ActionSet", self._restore_dump, acted),
        ]

    def _deploy(self) -> str:
        rendered = [obj for one in actionsets.COMPONENTS for obj in self._kubectl.render(one)]
        wanted = actionsets.installation(rendered, self._images, self._namespace)
        definitions = objects.of_kind(wanted, "CustomResourceDefinition")
        outcome = self._kubectl.apply(wanted)
        for obj in definitions:
            name = f"crd/{obj['metadata']['name']}"
            self._run("wait", "--for=condition=Established", name, what=f"waiting for {name}")
        what = "waiting for the controller of ActionSets"
        options = [f"--namespace={self._namespace}", TIMEOUT]
        self._run("rollout", "status", actionsets.CONTROLLER, *options, what=what)
        return str(outcome)

    def _start(self) -> str:
        rendered = self._kubectl.render(actionsets.SAMPLE)
        self._kubectl.apply(objects.of_kind(rendered, "Namespace"))
        # One of them has the password of the server's user, which a Secret of the server has.
        wanted = objects.of_kind([*self._kubectl.render(FILE_STORE.folder), *rendered], "Secret")
        existing = self._kubectl.existing(wanted)
        self._kubectl.create(objects.missing_secrets(wanted, existing, self._generate))
        sample = actionsets.application(rendered, self._images)
        claims = actionsets.claims(sample)
        volumes = self._target.volumes(claims, owner=actionsets.POSTGRES_USER)
        outcome = self._kubectl.apply([*volumes, *sample])
        self._database.wait()
        self._database.sql(actionsets.FILL)
        return str(outcome)

    def _back_up_claim(self) -> str:
        self._back_up(actionsets.CLAIM_BLUEPRINT)
        self._database.wait()
        values = self._artifacts["claim"]["keyValue"]
        return f"{values['size']} in snapshot {values['backupID']}"

    def _lose_files(self) -> str:
        self._database.sql(actionsets.ADD)
        self._database.lose_files()
        return ""

    def _restore_claim(self) -> str:
        name = self._begin(actionsets.CLAIM_BLUEPRINT, "restore", self._artifacts)
        self._database.kill_in(name, "restoreClaim")
        self._database.end(name)
        self._database.wait()
        self._database.compare(self._rows)
        return SAME

    def _back_up_dump(self) -> str:
        self._back_up(actionsets.DUMP_BLUEPRINT)
        return ""

    def _lose_table(self) -> str:
        self._database.sql(actionsets.LOSE_TABLE)
        return ""

    def _restore_dump(self) -> str:
        self._database.end(self._begin(actionsets.DUMP_BLUEPRINT, "restore", self._artifacts))
        self._database.compare(self._rows)
        return SAME

    def _back_up(self, blueprint: str) -> None:
        self._rows = self._database.sql(actionsets.LOOK)
        status = self._database.end(self._begin(blueprint, "backup"))
        self._artifacts = status["actions"][0]["artifacts"]

    def _begin(self, blueprint: str, action: str, artifacts: Object | None = None) -> str:
        wanted = actionsets.action_set(blueprint, action, self._namespace, artifacts)
        return self._database.begin(wanted)

    def _run(self, *arguments: str, what: str) -> str:
        return self._kubectl.run(*arguments, what=what)

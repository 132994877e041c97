"""The nodes: a scheduler, kubelets, and Kopia in the containers, as far as its users go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from controller.clock import PASSED, DeadlineExceeded
from controller.conditions import conditions_of, get_condition, timestamp
from controller.errors import ServerUnavailable
from fakes import objects
from fakes.kopia import FakeResult, banner, listing, ownership, unbounded, version_in
from fakes.simulation.repositories import STRANGER, Repositories, Repository, opens
from fakes.simulation.volumes import Users, claim_of, users_in
from reconcilers import resources
from reconcilers.repositoryserver import servercommands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from controller.clock import Clock, Deadline
    from controller.resource import Object
    from fakes.simulation.agenda import Agenda
    from fakes.simulation.apiserver import ApiServer, Change

NODES = ("node-1", "node-2")

#: Seconds until a pod has a node, until its volumes are mounted, until Kopia has opened the
#: repository, and until the readiness probe has passed.
SCHEDULED = (0.01, 1.0)
MOUNTED = (0.1, 5.0)
OPENED = (0.5, 10.0)
READY = (0.5, 10.0)
#: Until a changed Secret is in a volume: right after a change to the pod, and without one.
VOLUME_ASKED = (0.05, 0.8)
VOLUME_LOOKED = (10.0, 90.0)
#: Until the kubelets know a changed Secret that they follow.
KNOWN = (0.005, 0.5)
#: Until a pod that is told to end has ended.
ENDED = (0.1, 20.0)
#: Until something that is not there is looked for again.
LOOKED_AGAIN = (1.0, 5.0)
#: After each end of a container, until it is started again.
BACKOFF = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
#: Until a node that is silent counts as lost, and until its pods are told to end.
NODE_LOST = 40.0
NODE_EVICTS = 300.0

#: Seconds that Kopia takes for a command.
ANSWERED = (0.05, 3.0)

#: For how long the script of `kopia.load_users` waits for the volume.
TAKE_UP_SECONDS = 4.0

ENDED_WITH_ITS_CONTAINER = "the container has ended"


@define
class Life:
    """A pod as its node has it.

    Attributes:
        uid: Of the pod.
        namespace: Of the pod.
        name: Of the pod.
        volume: What is mounted; None before.
        repository: What Kopia has opened last; None before.
        served: The lines that Kopia has read; None while it does not run.
        ends: How often Kopia has ended.
        run: Counts its starts: what was planned for one does not count for the next.
    """

    uid: str
    namespace: str
    name: str
    volume: Users | None = None
    repository: Repository | None = None
    served: str | None = None
    ends: int = 0
    run: int = 0


class Nodes:
    """Runs pods, and commands in them."""

    def __init__(self, api: ApiServer, agenda: Agenda, random: Random, clock: Clock) -> None:
        self._api = api
        self._agenda = agenda
        self._random = random
        self._clock = clock
        self._lives: dict[str, Life] = {}
        # The Secrets with users as the kubelets know them, by namespace and name.
        self._known: dict[tuple[str, str], Users] = {}
        self.repositories = Repositories()
        #: How many commands were run.
        self.commands = 0
        #: Nodes of which nothing is heard.
        self.silent: set[str] = set()
        #: Whether no image can be pulled.
        self.registry_away = False
        api.listen(self._on_change)

    def life(self, pod: Object) -> Life | None:
        """Return a pod as its node has it; None if it is gone."""
        return self._lives.get(pod["metadata"]["uid"])

    @property
    def are_well(self) -> bool:
        """Whether each node, the registry and the storage answer."""
        return not (self.silent or self.registry_away or self.repositories.away)

    def mend(self, *, lost: str = "") -> None:
        """Let the registry, the storage and each node answer, and the stranger maintain all.

        Args:
            lost: A node that does not.
        """
        self.registry_away = self.repositories.away = False
        for repository in self.repositories.all():
            repository.owner = STRANGER
        for node in sorted(self.silent):
            self.find_again(node)
        if lost:
            self.lose(lost)

    # What others do to pods.

    def kill(self, pod: Object) -> None:
        """End Kopia; the kubelet starts it again."""
        life = self._lives[pod["metadata"]["uid"]]
        if life.served is not None and self._answers(life):
            self._stop(life)
            self._write(life, objects.killed())
            self._plan(life, (0.5, 2.0), self._start)

    def fail_probe(self, pod: Object, seconds: float) -> None:
        """Let a pod be not Ready for a while."""
        life = self._lives[pod["metadata"]["uid"]]
        if life.served is not None and self._answers(life):
            self._write(life, objects.started())
            self._plan(life, (seconds, seconds), self._pass_probe)

    def evict(self, pod: Object) -> None:
        """Put a pod off its node for good."""
        life = self._lives[pod["metadata"]["uid"]]
        if pod["spec"].get("nodeName") and self._answers(life):
            self._stop(life)
            # The node gives up the volumes of a pod that has ended.
            life.volume = None
            self._write(life, objects.evicted())

    def lose(self, node: str) -> None:
        """Hear nothing more of a node."""
        self.silent.add(node)
        self._agenda.after(NODE_LOST, lambda: self._on_lost(node))
        self._agenda.after(NODE_EVICTS, lambda: self._on_evict(node))

    def find_again(self, node: str) -> None:
        """Hear of a node again, on which everything went on."""
        self.silent.discard(node)
        for pod in self._pods_on(node):
            life = self._lives[pod["metadata"]["uid"]]
            if life.served is not None and "deletionTimestamp" not in pod["metadata"]:
                self._plan(life, READY, self._pass_probe)

    def run(
        self,
        namespace: str,
        pod: str,
        command: Sequence[str],
        stdin: bytes,
        *,
        deadline: Deadline,
        pause: Callable[[float], None],
    ) -> FakeResult:
        """Run a command in the server's container of a pod.

        Args:
            namespace: Of the pod.
            pod: Its name.
            command: The command, with its limit.
            stdin: What it reads.
            deadline: When it is ended.
            pause: Lets time pass, in which others act.

        Raises:
            ServerUnavailable: There is no such container, or not any more.
            DeadlineExceeded: Neither node nor Kopia have answered in time.
        """
        self.commands += 1
        lives = self._lives.values()
        life = next((one for one in lives if (one.namespace, one.name) == (namespace, pod)), None)
        if life is None or life.served is None:
            raise ServerUnavailable(500, "", "container not found")
        command = unbounded(command)
        pause(self._random.uniform(*ANSWERED))
        if life.served is None:
            raise ServerUnavailable(500, "", ENDED_WITH_ITS_CONTAINER)
        assert life.repository is not None
        if command == servercommands.LIST_USERS:
            return FakeResult(stdout=listing(version_in(pod), life.repository.users))
        if command == servercommands.VERSION:
            return FakeResult(stdout=banner(version_in(pod)))
        if command == servercommands.MAINTENANCE_INFO:
            return FakeResult(stdout=ownership(life.repository.owner))
        if command == servercommands.PURGE_USERS:
            life.repository.users -= set(stdin.decode().splitlines())
        elif command != servercommands.REFRESH:
            version = command[-1]
            assert command == servercommands.load_users(version)
            if not self._await_volume(life, version, pause):
                return FakeResult(servercommands.NOT_THERE_YET)
        self._refresh(life, deadline, pause)
        return FakeResult()

    def _await_volume(self, life: Life, version: str, pause: Callable[[float], None]) -> bool:
        for _ in range(int(TAKE_UP_SECONDS * 10)):
            if life.volume is not None and life.volume.version == version:
                return True
            pause(0.1)
        return False

    def _refresh(self, life: Life, deadline: Deadline, pause: Callable[[float], None]) -> None:
        if self.repositories.away or not self._answers(life):
            # Kopia waits for its storage, with the lock that the readiness probe needs.
            if self._answers(life):
                self._write(life, objects.started())
                self._plan(life, READY, self._pass_probe)
            pause(deadline.remaining())
            raise DeadlineExceeded(PASSED)
        if life.served is None:
            raise ServerUnavailable(500, "", ENDED_WITH_ITS_CONTAINER)
        assert life.volume is not None
        life.served = life.volume.lines

    # The life of a pod.

    def _on_change(self, change: Change) -> None:
        if change.resource == resources.SECRETS and change.new is not None:
            self._on_secret(change.new)
        if change.resource != resources.PODS:
            return
        metadata = change.obj["metadata"]
        if change.new is None:
            self._lives.pop(metadata["uid"], None)
            return
        if change.old is None:
            life = Life(metadata["uid"], metadata["namespace"], metadata["name"])
            self._lives[metadata["uid"]] = life
            self._plan(life, SCHEDULED, self._schedule)
            return
        life, before = self._lives[metadata["uid"]], change.old["metadata"]
        if "deletionTimestamp" in metadata and "deletionTimestamp" not in before:
            self._plan(life, ENDED, self._end, always=True)
        elif metadata.get("annotations") != before.get("annotations"):
            self._plan(life, VOLUME_ASKED, self._look_at_volume, always=True)

    def _schedule(self, life: Life) -> None:
        up = [node for node in NODES if node not in self.silent]
        if not up:
            self._write(life, objects.unscheduled())
            self._plan(life, LOOKED_AGAIN, self._schedule)
            return
        spec = {"spec": {"nodeName": self._random.choice(up)}}
        self._api.merge_patch(resources.PODS, life.namespace, life.name, spec)
        self._write(life, objects.scheduled())
        self._plan(life, MOUNTED, self._mount)

    def _mount(self, life: Life) -> None:
        users = self._users(life)
        if self.registry_away:
            self._write(life, objects.image_pull_failed())
        elif users is None or self._snapshot(life) is None or self._claim_is_held(life):
            self._write(life, objects.creating())
        else:
            life.volume = users
            self._start(life)
            return
        self._plan(life, LOOKED_AGAIN, self._mount)

    def _start(self, life: Life) -> None:
        life.run += 1
        self._write(life, objects.running() if not life.ends else objects.restarted(1))
        self._plan(life, OPENED, self._open)

    def _open(self, life: Life) -> None:
        snapshot = self._snapshot(life)
        life.repository = None if snapshot is None else self.repositories.of(snapshot)
        if self.repositories.away:
            self._crash(life, "can't connect to storage: it is away")
        elif not opens(snapshot, life.repository):
            self._crash(life, "open repository: unable to decrypt: invalid repository password")
        else:
            assert life.volume is not None
            life.served = life.volume.lines
            self._write(life, objects.started())
            self._plan(life, READY, self._pass_probe)

    def _pass_probe(self, life: Life) -> None:
        if self.repositories.away:
            self._plan(life, LOOKED_AGAIN, self._pass_probe)
        else:
            self._write(life, objects.serving())

    def _crash(self, life: Life, words: str) -> None:
        self._stop(life)
        self._write(life, objects.crash_looping(words))
        pause = BACKOFF[min(life.ends, len(BACKOFF)) - 1]
        self._plan(life, (pause, pause), self._start)

    def _stop(self, life: Life) -> None:
        life.served = None
        life.ends += 1
        life.run += 1

    def _end(self, life: Life) -> None:
        if not self._answers(life):
            self._plan(life, LOOKED_AGAIN, self._end, always=True)
            return
        self._api.remove(resources.PODS, self._pod(life))

    # What kubelets look at.

    def _on_secret(self, secret: Object) -> None:
        if servercommands.USERS_FILE not in (secret.get("data") or {}):
            return
        namespace, name = secret["metadata"]["namespace"], secret["metadata"]["name"]
        self._agenda.after(self._random.uniform(*KNOWN), lambda: self._learn(namespace, name))
        for life in self._lives.values():
            self._plan(life, VOLUME_LOOKED, self._look_at_volume, always=True)

    def _learn(self, namespace: str, name: str) -> None:
        secret = self._api.find(resources.SECRETS, namespace, name)
        if secret is not None:
            self._known[namespace, name] = users_in(secret)

    def _look_at_volume(self, life: Life) -> None:
        users = self._known.get((life.namespace, self._users_secret(life)))
        if life.volume is not None and users is not None and self._answers(life):
            life.volume = users

    def _users(self, life: Life) -> Users | None:
        """Return the users that a kubelet finds for a pod that starts.

        It knows the Secret from other pods that mount it; otherwise it asks.
        """
        name = self._users_secret(life)
        others = (
            other
            for other in self._lives.values()
            if other is not life and other.volume and self._users_secret(other) == name
        )
        if any(others):
            return self._known.get((life.namespace, name))
        secret = self._api.find(resources.SECRETS, life.namespace, name)
        return None if secret is None else users_in(secret)

    def _users_secret(self, life: Life) -> str:
        volumes = self._pod(life)["spec"]["volumes"]
        name: str = next(one for one in volumes if one["name"] == "users")["secret"]["secretName"]
        return name

    def _snapshot(self, life: Life) -> Object | None:
        volumes = self._pod(life)["spec"]["volumes"]
        name = next(one for one in volumes if one["name"] == "config")["secret"]["secretName"]
        return self._api.find(resources.SECRETS, life.namespace, name)

    def _claim_is_held(self, life: Life) -> bool:
        """Return whether another node has mounted the claim, which only one can."""
        pod = self._pod(life)
        node, claim = pod["spec"]["nodeName"], claim_of(pod)
        return bool(claim) and any(
            claim_of(other) == claim
            and other["spec"].get("nodeName") not in (None, node)
            and self._lives[other["metadata"]["uid"]].volume is not None
            for other in self._api.list(resources.PODS)
        )

    # Nodes.

    def _answers(self, life: Life) -> bool:
        return self._pod(life)["spec"].get("nodeName") not in self.silent

    def _on_lost(self, node: str) -> None:
        if node not in self.silent:
            return
        for pod in self._pods_on(node):
            ready = get_condition(conditions_of(pod), "Ready")
            if ready is not None and ready["status"] == "True":
                self._write(self._lives[pod["metadata"]["uid"]], objects.node_lost())

    def _on_evict(self, node: str) -> None:
        if node not in self.silent:
            return
        for pod in self._pods_on(node):
            metadata = pod["metadata"]
            if "deletionTimestamp" not in metadata:
                self._api.delete(resources.PODS, metadata["namespace"], metadata["name"])

    def _pods_on(self, node: str) -> list[Object]:
        pods = self._api.list(resources.PODS)
        return [pod for pod in pods if pod["spec"].get("nodeName") == node]

    def _pod(self, life: Life) -> Object:
        return self._api.get(resources.PODS, life.namespace, life.name)

    def _write(self, life: Life, status: Object) -> None:
        """Write a pod's status, with the times of now for what has changed."""
        pod, now = self._pod(life), timestamp(self._clock.now())
        before = conditions_of(pod)
        for condition in status["conditions"]:
            old = get_condition(before, condition["type"])
            same = old is not None and old["status"] == condition["status"]
            condition["lastTransitionTime"] = old["lastTransitionTime"] if old and same else now
        for container in status.get("containerStatuses") or ():
            for state in (container["state"], container["lastState"]):
                if "terminated" in state:
                    state["terminated"] |= {"startedAt": now, "finishedAt": now}
        self._api.write_status(resources.PODS, pod, status)

    def _plan(
        self,
        life: Life,
        seconds: tuple[float, float],
        action: Callable[[Life], None],
        *,
        always: bool = False,
    ) -> None:
        """Plan what happens to a pod, unless it is gone by then, or once its node is heard again.

        Args:
            life: The pod.
            seconds: Within which bounds.
            action: What is done.
            always: Whether it is done even if the container has ended or was started since, and
                while nothing is heard of the node.
        """
        run = life.run

        def act() -> None:
            if self._lives.get(life.uid) is not life or not (always or life.run == run):
                return
            if always or self._answers(life):
                action(life)
            else:
                self._plan(life, LOOKED_AGAIN, action)

        self._agenda.after(self._random.uniform(*seconds), act)

"""ActionSets as kanctl makes them, and what one that runs has come to. Pure functions.

Kanister pkg/kanctl/actionset.go, newActionSet and ChildActionSet. In two things this is more than
kanctl: a child keeps its parent's preferredVersion, podOverride, labels and annotations of pods and
RepositoryServer, without which another version of a function would restore than has backed up; and
a value of an option may have an `=`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from reconcilers.actionset import api
from reconcilers.actionset.api import State
from reconcilers.plugin.exits import USAGE, PluginError
from reconcilers.plugin.screen import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.resource import Object

NO_BLUEPRINT: Final = "name the Blueprint by --blueprint, or an ActionSet to begin with by --from"
NO_TARGET: Final = (
    "name what it is about by --statefulset, --deployment, --deploymentconfig, --pvc, "
    "--namespacetargets or --objects, or an ActionSet to begin with by --from"
)
NOT_COMPLETE: Final = (
    "ActionSet {namespace}/{name} is {state}, not complete, so it has no artifacts to go on with; "
    "wait for it, or name another one by --from"
)
NOT_STARTED: Final = "not started"
NO_SUCH_ACTION: Final = (
    "Blueprint {namespace}/{name} has no action {action}; name one of {actions} by --action"
)
NO_REASON: Final = "its status says no reason"

#: What a child has of its parent's action beside what its status has.
_KEPT: Final = (
    "secrets",
    "configMaps",
    "profile",
    "repositoryServer",
    "options",
    "preferredVersion",
    "podOverride",
    "podLabels",
    "podAnnotations",
)


@frozen
class Wanted:
    """What is said of an ActionSet on the command line.

    Args:
        action: The action of the Blueprint; empty for the parent's.
        name: Of the ActionSet; empty for one that begins with the action's.
        blueprint: The Blueprint; empty for the parent's.
        objects: What it is about; empty for the parent's.
        options: Options by name; those of the parent count where a name is not among them.
        secrets: Secrets by alias; empty for the parent's.
        config_maps: ConfigMaps by alias; empty for the parent's.
        profile: The Profile; None for the parent's.
        server: The RepositoryServer; None for the parent's.
        labels: Of the ActionSet.
    """

    action: str
    name: str = ""
    blueprint: str = ""
    objects: Sequence[Mapping[str, str]] = ()
    options: Mapping[str, str] = field(factory=dict)
    secrets: Mapping[str, Mapping[str, str]] = field(factory=dict)
    config_maps: Mapping[str, Mapping[str, str]] = field(factory=dict)
    profile: Mapping[str, str] | None = None
    server: Mapping[str, str] | None = None
    labels: Mapping[str, str] = field(factory=dict)


@frozen
class Outcome:
    """What an ActionSet has come to.

    Args:
        state: Of the ActionSet; None before a controller has seen it.
        running: What runs, and what that waits for, for people; empty if nothing does.
        message: Why it has failed; empty if it has not.
    """

    state: State | None
    running: str
    message: str

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self.state in (State.COMPLETE, State.FAILED)


def new(wanted: Wanted) -> Object:
    """Return an ActionSet with one action for each target.

    Args:
        wanted: What is said.

    Raises:
        PluginError: It names no Blueprint or no target.
    """
    if not wanted.blueprint:
        raise PluginError(NO_BLUEPRINT, USAGE)
    if not wanted.objects:
        raise PluginError(NO_TARGET, USAGE)
    actions = [_said({"object": dict(target)}, wanted) for target in wanted.objects]
    return _action_set(wanted, f"{wanted.action}-", actions)


def child(parent: Object, wanted: Wanted) -> Object:
    """Return an ActionSet that goes on with the artifacts of another one.

    With targets there is one action for each of them and each action of the parent.

    Args:
        parent: The other one.
        wanted: What is said.

    Raises:
        PluginError: The parent is not complete.
    """
    metadata, status = parent["metadata"], parent.get("status") or {}
    if status.get("state") != State.COMPLETE:
        raise PluginError(
            NOT_COMPLETE.format(
                namespace=metadata["namespace"],
                name=metadata["name"],
                state=plain(status.get("state") or NOT_STARTED),
            )
        )
    actions: list[dict[str, Any]] = []
    specs = (parent.get("spec") or {}).get("actions") or []
    for spec, done in zip(specs, status.get("actions") or [], strict=False):
        kept = {name: spec[name] for name in _KEPT if spec.get(name)}
        begun = {
            "name": spec["name"],
            "blueprint": done.get("blueprint") or spec["blueprint"],
            "object": done.get("object") or spec["object"],
            **({"artifacts": done["artifacts"]} if done.get("artifacts") else {}),
            **kept,
        }
        actions += [
            _said({**begun, "object": dict(target)}, wanted)
            for target in wanted.objects or [begun["object"]]
        ]
    return _action_set(wanted, f"{wanted.action}-{metadata['name']}-", actions)


def check_action(blueprint: Object, wanted: Wanted) -> None:
    """Refuse an action that the Blueprint does not have.

    Args:
        blueprint: The Blueprint.
        wanted: What is said.

    Raises:
        PluginError: It has no such action.
    """
    actions = blueprint.get("actions") or {}
    if wanted.action not in actions:
        metadata = blueprint["metadata"]
        raise PluginError(
            NO_SUCH_ACTION.format(
                namespace=metadata["namespace"],
                name=metadata["name"],
                action=wanted.action,
                actions=", ".join(sorted(actions)),
            )
        )


def server_of(action_set: Object) -> tuple[str, str] | None:
    """Return namespace and name of the RepositoryServer of the first action; None for none."""
    for action in action_set["spec"]["actions"]:
        named = (action.get("options") or {}).get(api.OPTION_REPOSITORY_SERVER) or ""
        namespace, slash, name = named.partition("/")
        if slash:
            return namespace, name
    return None


def outcome(obj: Object) -> Outcome:
    """Return what an ActionSet has come to.

    Args:
        obj: The ActionSet.
    """
    status = obj.get("status") or {}
    word = status.get("state") or ""
    state = State(word) if word in list(State) else None
    failed = state is State.FAILED
    message = plain((status.get("error") or {}).get("message") or NO_REASON) if failed else ""
    running = "" if state in (None, State.COMPLETE) else _running(status)
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    waits_for = plain(annotations.get(api.ANNOTATION_WAITS_FOR) or "")
    return Outcome(state, ": ".join(part for part in (running, waits_for) if part), message)


def _running(status: Mapping[str, Any]) -> str:
    """Return which phases run, each with its action: phases of several actions may share names."""
    found = [
        f"{plain(action.get('name', ''))}/{plain(phase.get('name', ''))}"
        for action in status.get("actions") or []
        for phase in [*(action.get("phases") or []), action.get("deferPhase") or {}]
        if phase.get("state") == State.RUNNING
    ]
    percent = (status.get("progress") or {}).get("percentCompleted")
    return ", ".join(found) + (f" ({plain(str(percent))}%)" if found and percent else "")


def _said(begun: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Return an action with what is said on the command line in place of what was there."""
    options = {**(begun.get("options") or {}), **wanted.options}
    if wanted.server is not None:
        # Kanister's CRD prunes the field `repositoryServer`; an option stays.
        named = f"{wanted.server['namespace']}/{wanted.server['name']}"
        options[api.OPTION_REPOSITORY_SERVER] = named
    said: dict[str, Any] = {
        "name": wanted.action,
        "blueprint": wanted.blueprint,
        "secrets": wanted.secrets,
        "configMaps": wanted.config_maps,
        "profile": wanted.profile,
        "options": options,
    }
    action = {**begun, **{name: value for name, value in said.items() if value}}
    if wanted.server is not None:
        action.pop("repositoryServer", None)
    return action


def _action_set(wanted: Wanted, prefix: str, actions: Sequence[Mapping[str, Any]]) -> Object:
    metadata: dict[str, Any] = {"name": wanted.name} if wanted.name else {"generateName": prefix}
    if wanted.labels:
        metadata["labels"] = dict(wanted.labels)
    return {
        "apiVersion": api.ACTION_SETS.api_version,
        "kind": api.ACTION_SETS.kind,
        "metadata": metadata,
        "spec": {"actions": [dict(action) for action in actions]},
    }

"""The pod of a phase: what the function wants, and what the authors add to it. Pure.

The authors' part is Kanister's (pkg/function/args.go, GetPodSpecOverride; utils.go, MergeBPLabels):
of podOverride the ActionSet's wins, of podLabels and podAnnotations the Blueprint's.

Other than Kanister's, no pod has the account of the engine or of another operator, and none has a
token of an account unless it names that: who may write ActionSets must gain no right by it. The
restricted Pod Security profile is not forced on a pod: the images are the users', and many run as
root. A pod gets what any image can live with, the runtime's seccomp profile; `restricted` adds the
rest where a namespace asks for it.
"""

from __future__ import annotations

import base64
import copy
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from controller.resource import controller_reference
from reconcilers.actionset import api, places
from reconcilers.actionset.phases import names
from reconcilers.actionset.phases.model import OWN_SECRET
from reconcilers.errors import InvalidInput
from reconcilers.pods import allowed, overrides, strategicmerge
from reconcilers.pods.accounts import is_of_operator
from reconcilers.resources import PODS, SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from controller.resource import Object
    from reconcilers.actionset.function import PhaseRun
    from reconcilers.actionset.phases.model import PhasePod

REASON_ACCOUNT: Final = "AccountNotAllowed"
REASON_METADATA: Final = "InvalidPodMetadata"

OPERATORS_ACCOUNT: Final = (
    "phase {phase} must not run as ServiceAccount {namespace}/{account}: that is the account of "
    "an operator; name another one as serviceAccountName in {field}"
)
OWN_KEY: Final = (
    "{field} must not have {key}: what begins with {prefix} is the controller's; remove it"
)
NO_CONTAINER: Final = (
    "{field} removes container {container}, which is the phase; remove the directive"
)

ARGUMENT_NAMESPACE: Final = "argument namespace"
OF_ACTION_SET: Final = "spec.actions[{index}].{field}"
OF_BLUEPRINT: Final = "phases[{phase}].args.{field}"

#: What Kanister calls the only container of a pod, and an ActionSet's override any of them.
CONTAINER: Final = "container"
DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
#: Kanister's label of who wants a pod, which an ActionSet hands on (pkg/consts/consts.go).
JOB_ID: Final = "kanister.io/JobID"
_DEFAULT_ACCOUNT: Final = "default"
_CONTAINER_LISTS: Final = ("containers", "initContainers")

#: What each container asks a node for: a quota refuses a pod that asks for nothing. There is no
#: limit: one that is too low for a dump would kill it.
REQUESTS: Final = {"cpu": "50m", "memory": "64Mi"}

# Why a field stays as it is in the pod of a phase, whatever else is allowed.
_NODE: Final = ("a pod must not see the processes of its node", overrides.TAKE_OUT)
_KEPT: Final = {
    "hostNetwork": ("no NetworkPolicy protects a pod in the node's network", overrides.TAKE_OUT),
    "hostPID": _NODE,
    "hostIPC": _NODE,
    "nodeName": ("it goes around the scheduler and the taints of the node", "set nodeSelector"),
    "restartPolicy": ("a phase runs once; its failure is its result", overrides.TAKE_OUT),
}
_KEPT_OF_CONTAINER: Final = {
    "restartPolicy": _KEPT["restartPolicy"],
    "restartPolicyRules": _KEPT["restartPolicy"],
}


@frozen
class Policy:
    """What the settings of the engine allow.

    Args:
        namespace: The engine's own namespace.
        account: Its ServiceAccount there; empty if it runs outside the cluster.
        of_action_sets: Which overrides are taken from an ActionSet, one of `allowed.MODES`. Who
            writes one need not be allowed to create pods. Default: restricted.
        of_blueprints: The same from a Blueprint. Its author names image and command already, and
            existing ones mount Secrets and name accounts. Default: any.
        requests: What each container asks a node for unless it says so itself.
    """

    namespace: str
    account: str = ""
    of_action_sets: str = allowed.RESTRICTED
    of_blueprints: str = allowed.ANY
    requests: Mapping[str, str] = field(factory=lambda: dict(REQUESTS))


def pod(run: PhaseRun, wanted: PhasePod, name: str, policy: Policy) -> Object:
    """Return the pod of a phase.

    Args:
        run: The phase.
        wanted: What the function wants.
        name: What it is called.
        policy: What is allowed.

    Raises:
        InvalidInput: The Blueprint or the ActionSet asks for what is not allowed, or for no pod.
    """
    places.check_namespace(run, wanted.namespace, argument=ARGUMENT_NAMESPACE)
    spec = _spec(run, wanted, policy)
    _check_account(run, spec, wanted.namespace, policy)
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": wanted.namespace,
        "labels": {
            **_merged(run, "podLabels", run.action.pod_labels, wanted.labels),
            **_job_id(run),
            **names.own_labels(run),
        },
        "annotations": {
            DEFAULT_CONTAINER: wanted.main,
            **_merged(run, "podAnnotations", run.action.pod_annotations, wanted.annotations),
            **names.own_annotations(run, wanted.containers),
        },
        "finalizers": [api.FINALIZER_RESULT],
    }
    # With --cascade=foreground the garbage collector deletes what a deleted owner has, at once: the
    # pod of a deferPhase too, which runs all the same. The finalizer of the ActionSet sees to it
    # that none is left.
    is_deleted = run.action_set["metadata"].get("deletionTimestamp")
    if wanted.namespace == run.request.namespace and not (run.deferred or is_deleted):
        metadata["ownerReferences"] = [controller_reference(run.action_set)]
    body: Object = {
        "apiVersion": PODS.api_version,
        "kind": PODS.kind,
        "metadata": metadata,
        "spec": _renamed(spec, OWN_SECRET, name),
    }
    return body


def secret(made: Mapping[str, Any], data: Mapping[str, bytes]) -> Object:
    """Return the Secret that a pod owns.

    Args:
        made: The pod as it was made.
        data: What is in it.
    """
    metadata = made["metadata"]
    owner = {
        "apiVersion": PODS.api_version,
        "kind": PODS.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    ours = (names.LABEL_MANAGED_BY, api.LABEL_UID)
    return {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {label: metadata["labels"][label] for label in ours},
            "ownerReferences": [owner],
        },
        "immutable": True,
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def restricted(made: Mapping[str, Any]) -> Object:
    """Return a pod with what the restricted Pod Security profile asks for, where it says nothing.

    An image that runs as root does not start so, and says so.

    Args:
        made: The pod.
    """
    changed: Object = copy.deepcopy(dict(made))
    spec = changed["spec"]
    spec["securityContext"] = {"runAsNonRoot": True, **(spec.get("securityContext") or {})}
    for container in _containers(spec):
        container["securityContext"] = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            **(container.get("securityContext") or {}),
        }
    return changed


def _spec(run: PhaseRun, wanted: PhasePod, policy: Policy) -> dict[str, Any]:
    base = copy.deepcopy(dict(wanted.spec))
    base["restartPolicy"] = "Never"
    base.setdefault("securityContext", {}).setdefault("seccompProfile", {"type": "RuntimeDefault"})
    for container in _containers(base):
        container.setdefault("imagePullPolicy", "IfNotPresent")
    of_blueprint = OF_BLUEPRINT.format(phase=run.phase, field="podOverride")
    spec = _overridden(base, wanted, wanted.override, policy.of_blueprints, of_blueprint)
    of_action_set = OF_ACTION_SET.format(index=run.action.index, field="podOverride")
    own = _with_aliases(run.action.pod_override, base, wanted.aliases)
    spec = _overridden(spec, wanted, own, policy.of_action_sets, of_action_set)
    _order(spec, wanted.containers)
    for container in _containers(spec):
        _fill_requests(container, policy.requests)
    if not (spec.get("serviceAccountName") or spec.get("serviceAccount")):
        spec.setdefault("automountServiceAccountToken", False)
    return spec


def _overridden(
    spec: dict[str, Any],
    wanted: PhasePod,
    override: Mapping[str, Any],
    mode: str,
    field: str,
) -> dict[str, Any]:
    """Return a specification with one author's override.

    Args:
        spec: Before it.
        wanted: What the function wants.
        override: The override.
        mode: Which ones are taken, one of `allowed.MODES`.
        field: Where the author wrote it.
    """
    if not override:
        return spec
    first = {str(one.get("name")) for one in spec.get("initContainers") or ()}
    rules = allowed.Rules(
        field,
        {"containers": {CONTAINER, *wanted.containers}, "initContainers": first},
        _KEPT,
        _KEPT_OF_CONTAINER,
    )
    overrides.refuse_powers(override, is_root=True, field=field)
    allowed.check(override, mode=mode, rules=rules)
    result = strategicmerge.merged(spec, override, field=field)
    overrides.keep_fields(spec, result, _KEPT, field=field)
    there = {one.get("name"): one for one in result.get("containers") or ()}
    for name in wanted.containers:
        if name not in there:
            message = NO_CONTAINER.format(field=field, container=name)
            raise InvalidInput(strategicmerge.REASON_INVALID, message)
        path = f"containers[{name}]."
        overrides.keep_fields({}, there[name], _KEPT_OF_CONTAINER, prefix=path, field=field)
    return result


def _with_aliases(
    override: Mapping[str, Any], base: Mapping[str, Any], aliases: Iterable[str]
) -> Mapping[str, Any]:
    """Return an ActionSet's override with `container` in the names of the phase's containers.

    An override that names one of them counts for that one (Kanister
    pkg/function/multi_container_run.go, prepareActionSetPodSpecOverride).

    Args:
        override: As it is written.
        base: The specification, with all containers.
        aliases: What `container` stands for.
    """
    items = override.get("containers")
    if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
        return override
    generic = [one for one in items if one.get("name") == CONTAINER]
    if not generic or not set(aliases):
        return override
    result = dict(override)
    for kind in _CONTAINER_LISTS:
        before = override.get(kind) or []
        named = {one.get("name") for one in before}
        meant = [one["name"] for one in base.get(kind) or () if one["name"] in set(aliases)]
        added = [{**one, "name": name} for name in meant if name not in named for one in generic]
        kept = [one for one in before if one not in generic]
        if kept or added:
            result[kind] = [*kept, *added]
        else:
            result.pop(kind, None)
    return result


def _order(spec: dict[str, Any], first: Iterable[str]) -> None:
    """Put the containers of the phase before those that an override has added."""
    place = {name: number for number, name in enumerate(first)}
    spec["containers"].sort(key=lambda one: place.get(one["name"], len(place)))


def _fill_requests(container: dict[str, Any], requests: Mapping[str, str]) -> None:
    """Ask for something where the container says neither a request nor a limit."""
    resources = dict(container.get("resources") or {})
    said = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    missing = {name: amount for name, amount in requests.items() if name not in said}
    if missing:
        resources["requests"] = {**missing, **(resources.get("requests") or {})}
        container["resources"] = resources


def _check_account(run: PhaseRun, spec: Mapping[str, Any], namespace: str, policy: Policy) -> None:
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or _DEFAULT_ACCOUNT
    is_own = (namespace, account) == (policy.namespace, policy.account)
    if is_own or is_of_operator(account):
        message = OPERATORS_ACCOUNT.format(
            phase=run.phase,
            namespace=namespace,
            account=account,
            field=OF_BLUEPRINT.format(phase=run.phase, field="podOverride"),
        )
        raise InvalidInput(REASON_ACCOUNT, message)


def _merged(
    run: PhaseRun, field: str, of_action_set: Mapping[str, str], of_blueprint: Mapping[str, str]
) -> dict[str, str]:
    """Return labels or annotations: the Blueprint's win."""
    places = (
        (OF_ACTION_SET.format(index=run.action.index, field=field), of_action_set),
        (OF_BLUEPRINT.format(phase=run.phase, field=field), of_blueprint),
    )
    for place, mapping in places:
        for key in mapping:
            if key.startswith(api.ANNOTATION_PREFIX):
                message = OWN_KEY.format(field=place, key=key, prefix=api.ANNOTATION_PREFIX)
                raise InvalidInput(REASON_METADATA, message)
    return {**of_action_set, **of_blueprint}


def _job_id(run: PhaseRun) -> dict[str, str]:
    found = (run.action_set["metadata"].get("labels") or {}).get(JOB_ID)
    return {JOB_ID: found} if found else {}


def _containers(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for kind in _CONTAINER_LISTS:
        yield from spec.get(kind) or ()


def _renamed(node: Any, name: str, replacement: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value with one text, where it is all of a value, replaced by another."""
    if isinstance(node, dict):
        return {key: _renamed(value, name, replacement) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(item, name, replacement) for item in node]
    return replacement if node == name else node

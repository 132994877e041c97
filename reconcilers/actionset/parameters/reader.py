"""Gathers what the templates of an action can name: once when it begins, and for each phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from reconcilers import resources
from reconcilers.actionset.parameters import (
    document,
    lookup,
    podrecord,
    profile,
    server,
    targets,
    workloads,
)
from reconcilers.actionset.parameters.lookup import Lookup, Reference
from reconcilers.actionset.parameters.targets import Known
from reconcilers.repositoryserver import connection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.clock import Clock, Deadline
    from controller.resource import Object, Resource
    from reconcilers.actionset.api import Action, ObjectReference
    from reconcilers.actionset.parameters.lookup import Api
    from reconcilers.actionset.parameters.targets import Target
    from reconcilers.secrets.data import SecretRef


@frozen
class ParameterReader:
    """Reads what an action names. Keeps nothing.

    All of its methods raise `InvalidInput` where something is missing, wrong or of another
    namespace than the ActionSet's and the object's; `lookup.RightMissing`, a kind of it, where the
    controller may not read; and `ClientError` where the API server does not answer.

    Args:
        api: Reads the objects.
        clock: The time when an action begins.
    """

    api: Api
    clock: Clock

    def freeze(self, action: Action, namespace: str, deadline: Deadline) -> dict[str, Any]:
        """Return the part of the parameters that stays as it is now. It holds no Secret.

        Args:
            action: The action, which begins.
            namespace: Of the ActionSet.
            deadline: Until when requests may go on.
        """
        target = targets.target_of(action, namespace)
        look = self._lookup(target, namespace, deadline)
        obj = look.get(_target(target))
        pods = _pods(look, target, obj) if target.known in workloads.WORKLOADS else []
        seen: dict[str, Any] = {} if target.is_secret else {"Object": obj}
        if target.known in workloads.WORKLOADS:
            seen[target.known.value] = workloads.parameter(obj, pods)
        elif target.known is not Known.OTHER:
            seen[target.known.value] = {"Name": target.name, "Namespace": target.namespace}
        records = [podrecord.record(pod) for pod in pods]
        return document.frozen(action, time=self.clock.now(), target=seen, pods=records)

    def complete(
        self,
        frozen_: Mapping[str, Any],
        action: Action,
        namespace: str,
        deadline: Deadline,
        *,
        phases: Mapping[str, Mapping[str, ObjectReference]],
        deferred: Mapping[str, ObjectReference] | None = None,
    ) -> dict[str, Any]:
        """Return all that templates can name, as it is now, without outputs. It holds Secrets.

        Args:
            frozen_: What `freeze` returned when the action began. Not changed.
            action: The action.
            namespace: Of the ActionSet.
            deadline: Until when requests may go on.
            phases: The `objects` of the phases up to the one that begins, rendered, by the phases'
                names; none to render those.
            deferred: The `objects` of the deferPhase if that begins. Default: none.
        """
        target = targets.target_of(action, namespace)
        look = self._lookup(target, namespace, deadline)
        path = f"spec.actions[{action.index}]"
        live: dict[str, Any] = {
            "Secrets": _objects(look, resources.SECRETS, action.secrets, f"{path}.secrets"),
            "ConfigMaps": _objects(
                look, resources.CONFIG_MAPS, action.config_maps, f"{path}.configMaps"
            ),
            "Phases": {
                name: _phase(look, references, namespace, f"phase {name}")
                for name, references in phases.items()
            },
            "DeferPhase": _phase(look, deferred or {}, namespace, "the deferPhase"),
        }
        if target.is_secret:
            live["Object"] = look.get(_target(target))
        found = _profile(look, action)
        if found is not None:
            live["Profile"] = profile.parameter(found, _secrets(look))
        chosen = _named_server(look, action)
        if chosen is not None:
            live["RepositoryServer"] = _server(look, chosen)
        return document.for_templates(frozen_, live)

    def server(self, action: Action, namespace: str, deadline: Deadline) -> Object | None:
        """Return the RepositoryServer that data functions of an action use; None if it means none.

        That is the one it names, by its field or its option, or else the one that its Profile of
        type kopia connects to.

        Args:
            action: The action.
            namespace: Of the ActionSet.
            deadline: Until when requests may go on.
        """
        look = self._lookup(targets.target_of(action, namespace), namespace, deadline)
        named = _named_server(look, action)
        if named is not None:
            return named
        found = _profile(look, action)
        service = None if found is None else server.service_of(profile.endpoint(found))
        if service is None:
            return None
        field = f"the endpoint of spec.actions[{action.index}].profile"
        servers = look.select(Reference(connection.RESOURCE, service[0], "", field))
        return server.with_service(servers, service[1])

    def _lookup(self, target: Target, namespace: str, deadline: Deadline) -> Lookup:
        return Lookup(self.api, (namespace, target.namespace), deadline)


def _target(target: Target) -> Reference:
    return Reference(target.resource, target.namespace, target.name, target.field)


def _pods(look: Lookup, target: Target, workload: Object) -> list[Object]:
    """Return the pods of a workload that run."""
    selector = workloads.label_selector(workload)
    between = workloads.BETWEEN.get(target.known)
    owner: Object | None = workload
    if between is not None:
        reference = Reference(between.resource, target.namespace, "", target.field)
        owner = workloads.current(workload, look.select(reference, selector), between)
    if owner is None:
        return []
    pods = look.select(Reference(resources.PODS, target.namespace, "", target.field), selector)
    return workloads.running(owner, pods)


def _objects(
    look: Lookup,
    resource: Resource,
    references: Mapping[str, ObjectReference],
    path: str,
) -> dict[str, Object]:
    """Return objects by the names that templates use."""
    return {
        alias: look.get(Reference(resource, one.namespace, one.name, f"{path}.{alias}"))
        for alias, one in references.items()
    }


def _phase(
    look: Lookup, references: Mapping[str, ObjectReference], namespace: str, where: str
) -> dict[str, Any]:
    """Return what templates see of a phase before it has outputs.

    Objects of other kinds are left out, as Kanister does.
    """

    def of_kind(resource: Resource) -> dict[str, Object]:
        wanted = {
            alias: evolve(one, namespace=one.namespace or namespace)
            for alias, one in references.items()
            if one.kind.lower() == resource.kind.lower()
        }
        return _objects(look, resource, wanted, f"objects of {where}")

    return {
        "Secrets": of_kind(resources.SECRETS),
        "ConfigMaps": of_kind(resources.CONFIG_MAPS),
    }


def _profile(look: Lookup, action: Action) -> Object | None:
    """Return the Profile of an action; None if it names none."""
    one = action.profile
    if one is None:
        return None
    field = f"spec.actions[{action.index}].profile"
    return look.get(Reference(resources.PROFILES, one.namespace, one.name, field))


def _named_server(look: Lookup, action: Action) -> Object | None:
    """Return the RepositoryServer that an action names; None if it names none."""
    one = action.repository_server
    if one is None:
        return None
    field = f"spec.actions[{action.index}].repositoryServer"
    return look.get(Reference(connection.RESOURCE, one.namespace, one.name, field))


def _server(look: Lookup, obj: Object) -> dict[str, Any]:
    details = connection.details(obj)
    secret = _secrets(look)
    return server.parameter(obj, secret(details.certificate), secret(details.accesses[0].secret))


def _secrets(look: Lookup) -> Callable[[SecretRef], Object]:
    return lambda ref: look.get(lookup.secret(ref))

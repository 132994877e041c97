"""What the informers of a RepositoryServer's controller watch, and what of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from controller.cache.shared import Selection
from controller.cache.trim import default_trim
from reconcilers import resources
from reconcilers.repositoryserver import api, references
from reconcilers.repositoryserver.caches import (
    INDEX_ACCOUNT,
    INDEX_INSTANCE,
    INDEX_OWNER,
    INDEX_RELEASED,
    INDEX_SECRET,
    INDEX_SERVICE,
    Caches,
    owner_uids,
)
from reconcilers.repositoryserver.children import claims, names
from reconcilers.repositoryserver.rollout import endpoints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.cache.shared import SharedInformer
    from controller.operator import Operator
    from controller.resource import Object

#: The required fields of a condition (apimachinery pkg/apis/meta/v1, Condition).
CONDITION_FIELDS: Final = frozenset({"type", "status", "reason", "message", "lastTransitionTime"})

#: The endpoint slice controller copies the labels of the Service, and a Job has those of its
#: CronJob's template.
OF_SERVERS: Final = Selection(labels=f"{names.LABEL_MANAGED_BY}={names.MANAGER}")
_OF_A_SLICE: Final = ("namespace", "name", "uid", "resourceVersion", "labels", "ownerReferences")
#: Of Secrets only names and versions: no content is ever in memory for longer than a use.
NAMES_AND_VERSIONS: Final = Selection(metadata_only=True)


def follow(operator: Operator) -> Caches[SharedInformer]:
    """Return the caches, filled by informers that run with the operator."""
    by_owner = {INDEX_OWNER: owner_uids, INDEX_INSTANCE: instance}
    by_service = {INDEX_SERVICE: endpoints.service_of}
    return Caches(
        servers=operator.informer(
            api.REPOSITORY_SERVERS,
            indexers={
                INDEX_SECRET: references.secret_names,
                INDEX_ACCOUNT: references.service_account_names,
                INDEX_INSTANCE: instance_of_server,
                INDEX_RELEASED: versioned_prefix_of_server,
            },
            trim=trim_server,
        ),
        replica_sets=operator.informer(
            resources.REPLICA_SETS, indexers=by_owner, trim=trim_replica_set
        ),
        pods=operator.informer(
            resources.PODS,
            indexers={**by_owner, INDEX_RELEASED: released},
            trim=trim_pod,
        ),
        services=operator.informer(resources.SERVICES, indexers=by_owner),
        network_policies=operator.informer(resources.NETWORK_POLICIES, indexers=by_owner),
        secrets=operator.informer(resources.SECRETS, NAMES_AND_VERSIONS, indexers=by_owner),
        # As of all that is written here, those of others too: one may have the name of ours.
        cron_jobs=operator.informer(resources.CRON_JOBS, indexers=by_owner, trim=trim_cron_job),
        jobs=operator.informer(resources.JOBS, OF_SERVERS, indexers=by_owner, trim=trim_job),
        endpoint_slices=operator.informer(
            resources.ENDPOINT_SLICES, OF_SERVERS, indexers=by_service, trim=trim_slice
        ),
        service_accounts=operator.informer(resources.SERVICE_ACCOUNTS, NAMES_AND_VERSIONS),
        profiles=operator.informer(
            resources.PROFILES, optional=True, on_demand=True, indexers=by_owner
        ),
    )


def instance(obj: Mapping[str, Any]) -> list[str]:
    """Return the server that an object's label names, for the index `INDEX_INSTANCE`."""
    label = (obj["metadata"].get("labels") or {}).get(names.LABEL_INSTANCE)
    return [label] if label else []


def instance_of_server(obj: Mapping[str, Any]) -> list[str]:
    """Return the label that the children of a RepositoryServer have, for `INDEX_INSTANCE`."""
    return [names.instance_label(obj["metadata"]["name"])]


def released(obj: Mapping[str, Any]) -> list[str]:
    """Return of which server a pod was made that nobody owns, for the index `INDEX_RELEASED`.

    The ReplicaSet controller releases a pod that has lost a label of the selector, and makes
    another one (kubernetes pkg/controller/controller_ref_manager.go, ClaimPods). Whoever deletes a
    ReplicaSet may leave its pods behind. Labels can be gone, so the name of the ReplicaSet counts.

    Returns:
        What the names of the server's ReplicaSets begin with.
    """
    if obj["metadata"].get("ownerReferences") or not names.is_marked(obj):
        return []
    prefix, _ = names.split_versioned(names.maker_of(obj))
    return [prefix] if prefix else []


def versioned_prefix_of_server(obj: Mapping[str, Any]) -> list[str]:
    """Return what the names of a server's ReplicaSets begin with, for `INDEX_RELEASED`."""
    return [names.versioned_prefix(obj["metadata"]["name"])]


def trim_server(obj: Object) -> Object:
    """Drop the conditions that lack a field: the CRD asks for their types only.

    Only another hand can have written them. The controller, which then knows of none, writes its
    own in their place.
    """
    default_trim(obj)
    status = obj.get("status") or {}
    if status.get("conditions"):
        kept = [one for one in status["conditions"] if one.keys() >= CONDITION_FIELDS]
        obj["status"] = {**status, "conditions": kept}
    return obj


def trim_pod(obj: Object) -> Object:
    """Keep of a Pod what a reconcile reads: of its spec, which cannot change, the node only."""
    default_trim(obj)
    return {**obj, "spec": {"nodeName": obj["spec"].get("nodeName")}}


def trim_cron_job(obj: Object) -> Object:
    """Keep of a CronJob what is compared: all but the template of its Jobs."""
    default_trim(obj)
    spec = {name: value for name, value in obj["spec"].items() if name != "jobTemplate"}
    return {"metadata": obj["metadata"], "spec": spec}


def trim_job(obj: Object) -> Object:
    """Keep of a Job what came of it."""
    default_trim(obj)
    return {"metadata": obj["metadata"], "status": obj.get("status") or {}}


def trim_replica_set(obj: Object) -> Object:
    """Keep of a ReplicaSet how many pods it wants, what is written on each, and its conditions.

    Of the specification of the pods the claim of a file store is kept, for the metrics.

    How many pods it has is counted in its status. They are counted here by themselves, and each of
    these counts is an update.
    """
    default_trim(obj)
    spec, status = obj["spec"], obj.get("status") or {}
    template = spec.get("template") or {}
    kept: Object = {"metadata": template.get("metadata") or {}}
    mounted = claims.trimmed(template.get("spec") or {})
    if mounted:
        kept["spec"] = mounted
    return {
        **obj,
        "spec": {"replicas": spec.get("replicas"), "template": kept},
        "status": {"conditions": status["conditions"]} if status.get("conditions") else {},
    }


def trim_slice(obj: Object) -> Object:
    """Keep of an EndpointSlice whose it is, and which pods are ready in it.

    Its annotations and its generation change with each pod that is not ready yet.
    """
    kept = {name: obj["metadata"][name] for name in _OF_A_SLICE if name in obj["metadata"]}
    ready = [
        {"targetRef": endpoint.get("targetRef") or {}}
        for endpoint in obj.get("endpoints") or ()
        if endpoints.may_be_ready(endpoint)
    ]
    return {"metadata": kept, "endpoints": ready}

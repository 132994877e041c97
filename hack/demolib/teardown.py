"""Removes from a cluster what the demo has made there, and only that."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from clusterlib.progress import Progress
from demolib import objects

if TYPE_CHECKING:
    from demolib.kubectl import Kubectl

# First what controllers have made something for, while they run: the cluster collects the rest.
CUSTOM = tuple(
    f"{plural}.cr.kanister.io"
    for plural in ("actionsets", "blueprints", "profiles", "repositoryservers")
)
# What the manifests and the demo make in namespaces.
KINDS = (
    "pods",
    "jobs",
    "deployments",
    "statefulsets",
    "poddisruptionbudgets",
    "services",
    "networkpolicies",
    "configmaps",
    "secrets",
    "persistentvolumeclaims",
    "roles",
    "rolebindings",
    "serviceaccounts",
)
DEFINITIONS = "customresourcedefinitions"

# Made by the cluster about what is in a namespace, or gone with their pods.
PASSING = {
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "pods.metrics.k8s.io",
}

NAMESPACE_KEPT = "namespace {namespace} is kept: somebody else has {first} in it"
DEFINITION_KEPT = "the definition of {resource} is kept: somebody else has {first}"


def take_down(kubectl: Kubectl) -> None:
    """Delete every object that carries the demo's label.

    A namespace that holds something else too, and a resource definition while an object of others
    is left, stay.

    Raises:
        ClusterError: the cluster does not answer.
    """
    progress = Progress(3)
    defined = [resource for resource in CUSTOM if _defined(kubectl, resource)]
    with progress.step("deleting the RepositoryServer and the ActionSets"):
        for resource in defined:
            _delete(kubectl, resource, "--all-namespaces")
    with progress.step("deleting the controllers, the client, their Secrets and the volumes"):
        _delete(kubectl, ",".join(KINDS), "--all-namespaces")
        _delete(kubectl, "persistentvolumes")
    with progress.step("deleting the namespaces and the resource definitions"):
        kept = _delete_namespaces(kubectl)
        for resource in defined:
            kept += _delete_definition(kubectl, resource)
    for words in kept:
        print(words, file=sys.stderr)


def _defined(kubectl: Kubectl, resource: str) -> bool:
    options = ["--ignore-not-found", "--output=name"]
    return bool(kubectl.run("get", DEFINITIONS, resource, *options, what="asking for a CRD"))


def _delete(kubectl: Kubectl, resources: str, *options: str) -> None:
    what = f"deleting {resources}"
    selector = f"--selector={objects.SELECTOR}"
    kubectl.run("delete", resources, selector, "--ignore-not-found", *options, what=what)


def _delete_namespaces(kubectl: Kubectl) -> list[str]:
    """Delete the demo's namespaces, and return why some of them stay."""
    selector = f"--selector={objects.SELECTOR}"
    arguments = ["namespaces", selector, "--output=json"]
    kept = []
    for found in objects.parse(kubectl.run("get", *arguments, what="asking for namespaces")):
        namespace = found["metadata"]["name"]
        others = _others(kubectl, namespace)
        if others:
            kept.append(NAMESPACE_KEPT.format(namespace=namespace, first=others[0]))
        else:
            kubectl.run("delete", "namespace", namespace, what="deleting a namespace")
    return kept


def _others(kubectl: Kubectl, namespace: str) -> list[objects.Identity]:
    what = f"asking what is in namespace {namespace}"
    listed = ["--verbs=list", "--namespaced", "--output=name"]
    resources = set(kubectl.run("api-resources", *listed, what=what).split()) - PASSING
    arguments = [",".join(sorted(resources)), f"--namespace={namespace}", "--output=json"]
    return objects.others(objects.parse(kubectl.run("get", *arguments, what=what)))


def _delete_definition(kubectl: Kubectl, resource: str) -> list[str]:
    """Delete a resource definition if the demo made it, and return why it stays if it does."""
    arguments = [resource, "--all-namespaces", "--output=json"]
    others = objects.parse(kubectl.run("get", *arguments, what=f"asking for {resource}"))
    if others:
        first = objects.identity(others[0])
        return [DEFINITION_KEPT.format(resource=resource, first=first)]
    _delete(kubectl, DEFINITIONS, f"--field-selector=metadata.name={resource}")
    return []

"""Removes from a cluster what the demo has made there, and only that."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from clusterlib.progress import Progress
from demolib import objects

if TYPE_CHECKING:
    from demolib.kubectl import Kubectl

# First the server, whose children the cluster collects, then what it stands on.
SERVERS = "repositoryservers.cr.kanister.io"
# What the manifests and the demo make in namespaces.
KINDS = (
    "pods",
    "jobs",
    "deployments",
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
DEFINITION_KEPT = "the definition of RepositoryServer is kept: there are others, such as {first}"


def take_down(kubectl: Kubectl) -> None:
    """Delete every object that carries the demo's label.

    A namespace that holds something else too, and the resource definition while a
    RepositoryServer of others is left, stay.

    Raises:
        ClusterError: the cluster does not answer.
    """
    progress = Progress(3)
    defined = _defined(kubectl)
    with progress.step("deleting the RepositoryServer"):
        if defined:
            _delete(kubectl, SERVERS, "--all-namespaces")
    with progress.step("deleting the controller, the client, their Secrets and the volume"):
        _delete(kubectl, ",".join(KINDS), "--all-namespaces")
        _delete(kubectl, "persistentvolumes")
    with progress.step("deleting the namespaces and the resource definition"):
        kept = _delete_namespaces(kubectl)
        if defined:
            kept += _delete_definition(kubectl)
    for words in kept:
        print(words, file=sys.stderr)


def _defined(kubectl: Kubectl) -> bool:
    options = ["--ignore-not-found", "--output=name"]
    return bool(kubectl.run("get", DEFINITIONS, SERVERS, *options, what="asking for the CRD"))


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


def _delete_definition(kubectl: Kubectl) -> list[str]:
    """Delete the resource definition if the demo made it, and return why it stays if it does."""
    arguments = [SERVERS, "--all-namespaces", "--output=json"]
    others = objects.parse(kubectl.run("get", *arguments, what="asking for RepositoryServers"))
    if others:
        return [DEFINITION_KEPT.format(first=objects.identity(others[0]))]
    _delete(kubectl, DEFINITIONS)
    return []

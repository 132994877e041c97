"""For each public Blueprint a namespace with an application that fits, as the simulation has it.

The simulation of `fakes.blueprintplay` has found out which Secrets, ConfigMaps and workloads a
Blueprint names, and has ActionSets that fit. Here they are made for a real cluster.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import yaml
from attrs import frozen

from e2e.cluster import LABEL, NAMESPACE, NAMESPACES, Cluster
from e2e.installation import MANIFESTS
from e2e.standins import FILLED, PLACEHOLDER
from fakes import application, objects, publicblueprints
from reconcilers import resources
from reconcilers.actionset.api import ACTION_SETS
from reconcilers.actionset.parameters.targets import DEPLOYMENT_CONFIGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object, Resource
    from fakes.blueprintplay import GenerousApi
    from fakes.publicblueprints import Case

#: What is taken over from the simulation.
TAKEN: Final = (
    resources.SECRETS,
    resources.CONFIG_MAPS,
    resources.PROFILES,
    publicblueprints.ELASTICSEARCHES,
)
#: Of other projects: without a schema.
KINDS: Final = (publicblueprints.ELASTICSEARCHES, DEPLOYMENT_CONFIGS)
#: Claims that a Blueprint names, which no pod has.
BY_NAME: Final = ("datadir-my-release-mongodb-1",)
#: Where the data of an application is, in a container that no Blueprint says more of.
DATA: Final = "/bitnami/postgresql"
SIZE: Final = {"storage": "1Gi"}
#: What lasts is not looked at: nobody waits for the end of a pod.
SLEEP: Final = ["sleep", "infinity"]


@frozen
class Application:
    """A namespace with what a Blueprint is about.

    Attributes:
        file: The Blueprint's.
        blueprint: The Blueprint.
        cases: Its actions.
        simulated: The API server of the simulation, in which they were played.
        name: Of the Blueprint here.
        image: Of all containers.
        folder: On the node, for volumes.
    """

    file: str
    blueprint: Object
    cases: list[Case]
    simulated: GenerousApi
    name: str
    image: str
    folder: str

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return f"{NAMESPACE}-{self.name}"

    @property
    def workload(self) -> str:
        """What the workload is called: as the chart calls it where a Blueprint knows its name."""
        return self.simulated.workload

    @property
    def kind(self) -> str:
        """The kind of its workload, "" if it has none."""
        tops = set().union(*(case.tops for case in self.cases))
        return next((kind for kind in publicblueprints.WORKLOADS if kind in tops), "")

    def spec(self, action: str, artifacts: dict[str, Any], server: str) -> Object:
        """Return the action of an ActionSet.

        Args:
            action: Its name in the Blueprint.
            artifacts: Those that were put out so far.
            server: `namespace/name` of the RepositoryServer.
        """
        found = self.simulated.get(ACTION_SETS, objects.NAMESPACE, f"play-{action.lower()}")
        spec: Object = self._here(found["spec"]["actions"][0])
        spec["blueprint"] = self.name
        for name in spec["artifacts"]:
            spec["artifacts"][name] = artifacts.get(name, spec["artifacts"][name])
        if "repositoryServer" in spec["options"]:
            spec["options"]["repositoryServer"] = server
        if spec["object"]["name"] == application.NAME and self.kind.lower() == (
            spec["object"].get("kind", "").lower()
        ):
            spec["object"]["name"] = self.workload
        return spec

    def actions(self) -> Object:
        """Return the actions of the Blueprint, with the image that it leaves open."""
        text = json.dumps(self.blueprint["actions"]).replace(PLACEHOLDER, FILLED)
        actions: Object = json.loads(text)
        return actions

    def make(self, cluster: Cluster, rights: list[Object]) -> None:
        """Make all of it.

        Args:
            cluster: Where.
            rights: Roles and their bindings.
        """
        metadata = {"name": self.namespace, "labels": {LABEL: NAMESPACE}}
        cluster.client.create(NAMESPACES, "", {"metadata": metadata})
        found = [*self._volumes(), *self._objects(), *(self._placed(one) for one in rights)]
        if self.kind and self.kind != DEPLOYMENT_CONFIGS.kind:
            found.append(self._workload(self.workload, self.kind))
        cluster.kubectl.create(found)
        if self.kind == DEPLOYMENT_CONFIGS.kind:
            self._make_deployment_config(cluster)

    def ready(self, cluster: Cluster) -> bool:
        """Return whether its pods run."""
        pods = cluster.client.list(resources.PODS, self.namespace)["items"]
        running = [pod for pod in pods if pod.get("status", {}).get("phase") == "Running"]
        return len(running) >= bool(self.kind)

    def _objects(self) -> Iterator[Object]:
        for resource in TAKEN:
            for obj in self.simulated.list(resource):
                name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
                # An output of the simulation may be part of a name, which is another one here.
                if namespace == application.NAMESPACE and name == name.lower():
                    yield self._taken(resource, obj)
        names = {obj["metadata"]["name"] for obj in self.simulated.list(resources.STATEFUL_SETS)}
        for name in sorted(names - {application.NAME, self.workload}):
            yield self._beside(name)

    def _taken(self, resource: Resource, obj: Object) -> Object:
        kept = {key: value for key, value in obj.items() if key != "metadata"}
        # Some have the name of their namespace in their own.
        name = obj["metadata"]["name"].replace(application.NAMESPACE, self.namespace)
        metadata = {"name": name, "namespace": self.namespace}
        of_kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        return {**self._here(kept), **of_kind, "metadata": metadata}

    def _placed(self, obj: Object) -> Object:
        return {**obj, "metadata": {**obj["metadata"], "namespace": self.namespace}}

    def _containers(self) -> dict[str, str]:
        """Return where each container that the actions name has its data."""
        found = {application.NAME: DATA}
        for case in self.cases:
            for phase in case.phases:
                name = phase["args"].get("container", "")
                if name and "{{" not in name:
                    found[name] = phase["args"].get("includePath", "") or DATA
        return found

    def _template(self, labels: dict[str, str], claim: str) -> Object:
        containers = [
            {
                "name": name,
                "image": self.image,
                "imagePullPolicy": "IfNotPresent",
                "command": SLEEP,
                "volumeMounts": [{"name": "data", "mountPath": path}],
            }
            for name, path in self._containers().items()
        ]
        spec: Object = {"containers": containers, "terminationGracePeriodSeconds": 0}
        if claim:
            source = {"claimName": claim}
            spec["volumes"] = [{"name": "data", "persistentVolumeClaim": source}]
        return {"metadata": {"labels": labels}, "spec": spec}

    def _beside(self, name: str) -> Object:
        """Return a StatefulSet that is scaled only: it has no pods yet, and no claims."""
        labels = {"app": name}
        template = self._template(labels, "")
        template["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}]
        selector = {"matchLabels": labels}
        spec = {"replicas": 0, "serviceName": name, "selector": selector, "template": template}
        metadata = {"name": name, "namespace": self.namespace}
        return {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": metadata,
            "spec": {**spec, "podManagementPolicy": "Parallel"},
        }

    def _workload(self, name: str, kind: str) -> Object:
        labels = {"app": name}
        spec: Object = {"replicas": 1, "selector": {"matchLabels": labels}}
        if kind == "StatefulSet":
            claim = {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "resources": {"requests": SIZE},
            }
            spec["serviceName"] = name
            spec["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim}]
            spec["template"] = self._template(labels, "")
        else:
            spec["template"] = self._template(labels, application.CLAIM)
        metadata = {"name": name, "namespace": self.namespace, "labels": application.LABELS}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}

    def _make_deployment_config(self, cluster: Cluster) -> None:
        """Make one with its revision, as OpenShift's controllers do."""
        kind = DEPLOYMENT_CONFIGS.kind
        labels = {"app": self.workload}
        obj = application.workload(kind)
        metadata = {"name": self.workload, "labels": application.LABELS}
        made = cluster.client.create(
            DEPLOYMENT_CONFIGS,
            self.namespace,
            {**obj, "metadata": metadata, "spec": {"replicas": 1, "selector": labels}},
        )
        owner = {
            "apiVersion": DEPLOYMENT_CONFIGS.api_version,
            "kind": kind,
            "name": self.workload,
            "uid": made["metadata"]["uid"],
            "controller": True,
        }
        cluster.client.create(
            resources.REPLICATION_CONTROLLERS,
            self.namespace,
            {
                "metadata": {
                    "name": f"{self.workload}-2",
                    "labels": labels,
                    "annotations": {application.REVISION[kind]: "2"},
                    "ownerReferences": [owner],
                },
                "spec": {
                    "replicas": 1,
                    "selector": labels,
                    "template": self._template(labels, application.CLAIM),
                },
            },
        )

    def _volumes(self) -> Iterator[Object]:
        claims = [f"data-{self.workload}-0", *BY_NAME]
        for claim in claims:
            yield {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": f"{self.namespace}-{claim}", "labels": {LABEL: NAMESPACE}},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "",
                    "capacity": SIZE,
                    "claimRef": {"namespace": self.namespace, "name": claim},
                    "hostPath": {
                        "path": f"{self.folder}/{self.name}/{claim}",
                        "type": "DirectoryOrCreate",
                    },
                },
            }
            yield {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": claim, "namespace": self.namespace},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "",
                    "volumeName": f"{self.namespace}-{claim}",
                    "resources": {"requests": SIZE},
                },
            }

    def _here(self, node: Any) -> Any:
        """Return a copy with the namespaces that are used here."""
        if isinstance(node, dict):
            return {key: self._here(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self._here(one) for one in node]
        return self.namespace if node == application.NAMESPACE else node


def rights(cluster: Cluster) -> list[Object]:
    """Return what the controller may do in each namespace of an application.

    That is what manifests/application has, and what its README.md says of kinds of others.
    """
    text = cluster.kubectl.run("kustomize", str(MANIFESTS / "application"))
    found = list(yaml.safe_load_all(text))
    rules = [
        {"apiGroups": [kind.group], "resources": [kind.plural], "verbs": ["get"]} for kind in KINDS
    ]
    rules.append(
        {"apiGroups": [""], "resources": ["replicationcontrollers"], "verbs": ["list"]},
    )
    binding = next(obj for obj in found if obj["kind"] == "RoleBinding")
    more = {"metadata": {"name": "more"}}
    found.append({**binding, **more, "roleRef": {**binding["roleRef"], "name": "more"}})
    found.append({"apiVersion": binding["apiVersion"], "kind": "Role", **more, "rules": rules})
    for obj in found:
        for subject in obj.get("subjects", ()):
            subject["namespace"] = NAMESPACE
    return found


def definitions() -> list[Object]:
    """Return the definitions of the kinds of other projects, which keep whatever an object has."""
    return [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{kind.plural}.{kind.group}"},
            "spec": {
                "group": kind.group,
                "scope": "Namespaced",
                "names": {
                    "kind": kind.kind,
                    "plural": kind.plural,
                    "singular": kind.kind.lower(),
                },
                "versions": [
                    {
                        "name": kind.version,
                        "served": True,
                        "storage": True,
                        "schema": {
                            "openAPIV3Schema": {
                                "type": "object",
                                "x-kubernetes-preserve-unknown-fields": True,
                            }
                        },
                    }
                ],
            },
        }
        for kind in KINDS
    ]

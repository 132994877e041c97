"""What stands in for the images of public Blueprints, and who keeps what they are asked."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from e2e import images
from e2e.cluster import NAMESPACES, Cluster

if TYPE_CHECKING:
    from clusterlib.images import Image
    from controller.resource import Object

#: hack/images.d/stand-ins/stand_in.py asks here.
NAMESPACE: Final = "repository-server-test-recorder"
NAME: Final = "recorder"
PORT: Final = 8080

#: What a Blueprint's author leaves to whoever uses it, and what it becomes.
PLACEHOLDER: Final = "<image-registry>/<image-repo>:<tag>"
FILLED: Final = "registry.example/tools:1"

_IMAGE: Final = re.compile(r"[\w.-]+(/[\w.-]+)*(:[\w.-]+)?")
_HOST: Final = re.compile(r"[^/]*[.:][^/]*/")


@define
class StandIns:
    """The image under the names of those that it stands in for, and the recorder.

    Attributes:
        cluster: Where they are.
    """

    cluster: Cluster
    image: str = field(init=False, default="")

    def start(self, image: Image, blueprints: list[Object]) -> None:
        """Load the image under all names that Blueprints have, and start the recorder."""
        named = {FILLED, *(name for one in blueprints for name in images_of(one))}
        self.image = images.load_as(image, sorted(full_name(name) for name in named))
        self.cluster.client.create(NAMESPACES, "", {"metadata": {"name": NAMESPACE}})
        self.cluster.kubectl.wait(NAMESPACE, "serviceaccount/default", "create")
        self.cluster.kubectl.create(_objects(self.image))
        self.cluster.kubectl.wait(NAMESPACE, f"pod/{NAME}", "condition=Ready")

    def asked(self) -> list[dict[str, Any]]:
        """Return what tools were asked so far, a line each, in their order."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{NAME}:{PORT}/proxy/asked"
        text = self.cluster.kubectl.run("get", f"--raw={path}")
        return [json.loads(line) for line in text.splitlines()]

    def remove(self) -> None:
        """Delete the recorder."""
        self.cluster.delete(NAMESPACES, NAMESPACE, "")


def images_of(node: Any) -> set[str]:
    """Return the names of the images that a Blueprint has, by themselves or within a template."""
    found: set[str] = set()
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str) and key.lower().endswith("image"):
                # In a template, the last branch is the default.
                text = re.sub(r"\{\{.*?\}\}", " ", value).strip()
                if _IMAGE.fullmatch(text):
                    found.add(text)
            else:
                found |= images_of(value)
            if isinstance(value, str) and key == "spec":
                found |= set(re.findall(r"image: (\S+)", value))
    elif isinstance(node, list):
        for one in node:
            found |= images_of(one)
    return found


def full_name(image: str) -> str:
    """Return the name of an image as a node knows it."""
    name = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
    if _HOST.match(name):
        return name
    return f"docker.io/{name}" if "/" in name else f"docker.io/library/{name}"


def _objects(image: str) -> list[Object]:
    metadata = {"name": NAME, "namespace": NAMESPACE}
    container = {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["recorder"],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**metadata, "labels": {"app": NAME}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": NAME}, "ports": [{"port": PORT}]},
        },
    ]

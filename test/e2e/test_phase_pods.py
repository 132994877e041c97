"""The pods of phases on a real node: what its kubelet says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from e2e.cluster import NAMESPACE, Cluster
from e2e.conftest import KUBECONFIG, told
from e2e.phasepods import OUTPUT, Engine, Phase, is_running, python
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.actionset.function import Complete, Failed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def engine(cluster: Cluster) -> Iterator[Engine]:
    started = Engine.start(cluster, told(KUBECONFIG))
    yield started
    started.end()


def test_a_failure_with_its_last_lines(engine: Engine, cluster: Cluster) -> None:
    # In one stream: of two, the container runtime reads either first.
    script = "import sys\nsys.exit('connecting\\nFATAL: no such database')"

    step = Phase(engine, "failure", python(cluster, script)).result()

    assert isinstance(step, Failed)
    assert "has ended with exit code 1; the last lines of its log:\n" in step.message
    assert step.message.endswith("connecting\nFATAL: no such database")


def test_a_sidecar_that_never_ends(engine: Engine, cluster: Cluster) -> None:
    """As a mesh injects one: not a container of the phase."""
    sidecar = {
        "name": "sidecar",
        "image": cluster.controller_image,
        "command": ["python3", "-c", "import time; time.sleep(3600)"],
    }
    wanted = python(cluster, OUTPUT + "output('a', 'b')", override={"containers": [sidecar]})

    assert Phase(engine, "sidecar", wanted).result() == Complete({"a": "b"})


def test_too_little_memory(engine: Engine, cluster: Cluster) -> None:
    limits = {"name": "container", "resources": {"limits": {"memory": "48Mi"}}}
    script = "held = bytearray(256 * 1024 * 1024)\nheld[::4096] = b'x' * len(held[::4096])"
    wanted = python(cluster, script, override={"containers": [limits]})

    step = Phase(engine, "memory", wanted).result()

    assert isinstance(step, Failed)
    assert "took more memory than its limit of 48Mi; set a higher one by podOverride" in (
        step.message
    )


def test_a_program_that_is_not_there(engine: Engine, cluster: Cluster) -> None:
    wanted = python(cluster, "")
    container = {**wanted.spec["containers"][0], "command": ["no-such-program", "hunter2"]}

    step = Phase(engine, "program", evolve(wanted, spec={"containers": [container]})).result()

    assert isinstance(step, Failed)
    assert "could not be run: executable file not found in $PATH" in step.message
    assert "hunter2" not in step.message


def test_a_secret_that_is_not_there_yet(engine: Engine, cluster: Cluster) -> None:
    missing = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "late", "key": "a"}}}
    override = {"containers": [{"name": "container", "env": [missing]}]}
    wanted = python(cluster, OUTPUT + "import os\noutput('a', os.environ['A'])", override=override)
    phase = Phase(engine, "late-secret", wanted)
    phase.wait_until("the Secret to be missed", 'secret "late" not found')
    metadata = {"name": "late", "namespace": NAMESPACE}
    cluster.client.create(
        resources.SECRETS, NAMESPACE, {"metadata": metadata, "stringData": {"a": "there"}}
    )

    assert phase.result() == Complete({"a": "there"})


def test_an_image_that_is_not_there(cluster: Cluster) -> None:
    hasty = Engine.start(cluster, told(KUBECONFIG), start_seconds=10.0)
    wanted = python(cluster, "")
    container = {**wanted.spec["containers"][0], "image": "localhost/no-such-image:1"}

    step = Phase(hasty, "image", evolve(wanted, spec={"containers": [container]})).result()
    hasty.end()

    assert isinstance(step, Failed)
    assert "the image of container container of pod" in step.message
    assert "it has not started within" in step.message


def test_somebody_deletes_it(engine: Engine, cluster: Cluster) -> None:
    """The finalizer keeps it until its end is known."""
    phase = Phase(engine, "deleted", python(cluster, "import time; time.sleep(3600)"))
    pod = wait_for("the pod to run", lambda: (phase.advance(), phase.pod())[1], is_running)
    assert pod is not None
    cluster.client.delete(resources.PODS, NAMESPACE, pod["metadata"]["name"], grace_seconds=1)

    step = phase.result()

    assert isinstance(step, Failed)
    assert "was ended by signal 9, after somebody has deleted the pod" in step.message


def test_the_secret_of_a_pod(engine: Engine, cluster: Cluster) -> None:
    """It comes after the pod, and goes with it."""
    volume = {"name": "own", "secret": {"secretName": "own-secret.actionset.cr.kanister.io"}}
    wanted = python(cluster, OUTPUT + "output('a', open('/own/password').read())")
    container = {
        **wanted.spec["containers"][0],
        "volumeMounts": [{"name": "own", "mountPath": "/own"}],
    }
    spec = {"containers": [container], "volumes": [volume]}
    phase = Phase(engine, "secret", evolve(wanted, spec=spec, secret={"password": b"x"}))
    phase.advance()
    name = phase.memo["pod"]

    assert phase.result() == Complete({"a": "x"})
    wait_for("the Secret to be gone", lambda: cluster.get(resources.SECRETS, name) is None)

"""The demo, step by step: controller, repository, server, client, backup, restore."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clusterlib import processes
from clusterlib.progress import Progress
from demolib import objects
from demolib.backends import FILE_STORE, MANIFESTS, Backend
from demolib.backup import Client
from demolib.functions import POD, Functions, pod
from demolib.postgres import STEPS as ACTIONSETS_STEPS
from demolib.postgres import Scene

if TYPE_CHECKING:
    from demolib.kubectl import Kubectl
    from demolib.objects import Images
    from demolib.target import Target
    from storelib.servers import Store

CLIENT = MANIFESTS / "samples" / "client"

# Names that the manifests give.
NAMESPACE = "kanister"
IN_NAMESPACE = [f"--namespace={NAMESPACE}"]
CONTROLLER = "deployment/repository-server-controller"
DEFINITION = "customresourcedefinition/repositoryservers.cr.kanister.io"
CLIENT_POD = "client"

STEPS = 9
FUNCTIONS_STEPS = 4
PASSWORD_BYTES = 24
EVIDENCE_LINES = 30
TIMEOUT = "--timeout=180s"


class Demo:
    """One run of the demo. What is there already is kept; the backup is a new one each time.

    Args:
        kubectl: asks the cluster.
        images: what the cluster has or can pull.
        target: the cluster.
        backend: where the repository is.
        functions: whether the data functions lose a folder and restore it as well.
        actionsets: whether PostgreSQL loses its data and gets it back by ActionSets as well.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        images: Images,
        target: Target,
        backend: Backend = FILE_STORE,
        *,
        functions: bool = False,
        actionsets: bool = False,
    ) -> None:
        self._kubectl = kubectl
        self._images = images
        self._target = target
        self._backend = backend
        self._functions = functions
        self._actionsets = actionsets
        steps = STEPS + bool(backend.store)
        steps += FUNCTIONS_STEPS * functions + ACTIONSETS_STEPS * actionsets
        self._progress = Progress(steps)
        # What the cluster has to be told of the store; None for a volume.
        self._store: Store | None = None
        # What kubectl shows about the step that runs, should it fail.
        self._evidence: list[list[str]] = []

    def run(self) -> None:
        """Run all steps.

        Raises:
            ClusterError: a step failed.
        """
        self._deploy_controller()
        if self._backend.store:
            self._start_store()
        self._make_secrets()
        self._make_repository()
        self._make_server()
        self._connect_client()
        self._back_up_and_restore()
        if self._functions:
            self._lose_and_restore()
        if self._actionsets:
            self._restore_by_actionsets()

    def describe(self) -> str:
        """Return how kubectl describes the RepositoryServer.

        Raises:
            ClusterError: the cluster does not answer.
        """
        return self._in_namespace(
            "describe", self._backend.server, what="describing the RepositoryServer"
        )

    def evidence(self) -> str:
        """Return what the cluster says about the step that has failed."""
        parts = []
        for arguments in self._evidence:
            lines = self._kubectl.look(*arguments).splitlines()
            parts += [f"\n$ kubectl {shlex.join(arguments)}", *lines[-EVIDENCE_LINES:]]
        return "\n".join(parts)

    def _deploy_controller(self) -> None:
        self._evidence = [
            ["describe", CONTROLLER, *IN_NAMESPACE],
            ["describe", "pods", *IN_NAMESPACE],
            ["logs", CONTROLLER, *IN_NAMESPACE],
        ]
        with self._progress.step("deploying the controller from manifests/", self._controller_now):
            wanted = objects.with_images(self._kubectl.render(MANIFESTS), self._images)
            wanted = objects.taking_overrides(wanted, self._backend.pod_override)
            outcome = self._kubectl.apply(wanted)
            self._wait("condition=Established", DEFINITION)
            # Not only Available: one that an older version gave up does not count.
            what = "waiting for the controller"
            self._in_namespace("rollout", "status", CONTROLLER, TIMEOUT, what=what)
        note(str(outcome))

    def _controller_now(self) -> str:
        """Say what keeps the controller's pod from running: ErrImagePull, CrashLoopBackOff."""
        reasons = "jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}"
        pods = ["pods", "--selector=app.kubernetes.io/name=repository-server-controller"]
        return self._kubectl.look("get", *pods, *IN_NAMESPACE, "--output", reasons)

    def _start_store(self) -> None:
        self._evidence = []
        with self._progress.step("starting the object store"):
            self._store = self._target.store(self._backend.store)
            self._kubectl.apply([dict(obj) for obj in self._store.objects])

    def _sample(self) -> list[objects.Object]:
        """Return the sample's objects, as the cluster and the store need them."""
        sample = objects.with_images(self._kubectl.render(self._backend.folder), self._images)
        return sample if self._store is None else objects.stored_in(sample, self._store)

    def _make_secrets(self) -> None:
        self._evidence = [["get", "secrets", *IN_NAMESPACE]]
        with self._progress.step("making the passwords and the certificate"):
            client = self._kubectl.render(CLIENT)
            wanted = objects.of_kind([*self._sample(), *client], "Secret")
            existing = self._kubectl.existing(wanted)
            missing = objects.missing_secrets(wanted, existing, _generate_password)
            self._kubectl.create(missing)
            made = [objects.identity(secret) for secret in missing]
            made += self._make_certificate()
        note(f"{len(made)} Secrets made, {len(wanted) + 1 - len(made)} as before")

    def _make_certificate(self) -> list[objects.Identity]:
        """Make the Secret with the server's certificate, and return it, if it is missing."""
        whose = objects.Identity("Secret", NAMESPACE, self._backend.tls_secret)
        metadata = {"name": whose.name, "namespace": whose.namespace}
        secret = {"apiVersion": "v1", "kind": whose.kind, "metadata": metadata}
        if self._kubectl.existing([secret]):
            return []
        directory = str(Path(self._kubectl.program).parent)
        path = os.pathsep.join([directory, os.environ.get("PATH", os.defpath)])
        script = [str(FILE_STORE.folder / "tls-secret.sh"), NAMESPACE, *self._kubectl.options]
        variables = [f"PATH={path}", f"TLS_SECRET={whose.name}"]
        processes.run(["env", *variables, *script], what="making the certificate")
        arguments = ["label", "secret", whose.name, objects.SELECTOR]
        self._in_namespace(*arguments, what="labelling the certificate")
        return [whose]

    def _make_repository(self) -> None:
        job = self._backend.job.partition("/")[2]
        self._evidence = [
            ["describe", "persistentvolumeclaims", *IN_NAMESPACE],
            ["describe", self._backend.job, *IN_NAMESPACE],
            ["describe", "pods", f"--selector=job-name={job}", *IN_NAMESPACE],
            ["logs", self._backend.job, *IN_NAMESPACE],
        ]
        words = f"making a Kopia repository {self._backend.words}"
        with self._progress.step(words, self._repository_now):
            sample = self._sample()
            claims = objects.of_kind(sample, "PersistentVolumeClaim")
            jobs = objects.of_kind(sample, "Job")
            # A Job does not change: one that has made its repository is done.
            if self._kubectl.existing(jobs):
                jobs = []
            outcome = self._kubectl.apply([*claims, *self._target.volumes(claims), *jobs])
            self._wait("condition=Complete", self._backend.job)
        note(str(outcome))

    def _repository_now(self) -> str:
        """Return the last words of the Job: one that has failed for good has lost its pods."""
        return self._kubectl.look("logs", self._backend.job, *IN_NAMESPACE, "--tail=1")

    def _make_server(self) -> None:
        self._evidence = [
            ["describe", self._backend.server, *IN_NAMESPACE],
            ["describe", "pods", *IN_NAMESPACE],
            ["logs", CONTROLLER, *IN_NAMESPACE],
        ]
        with self._progress.step("waiting for the RepositoryServer to be Ready", self._server_now):
            outcome = self._kubectl.apply(objects.of_kind(self._sample(), "RepositoryServer"))
            self._wait("condition=Ready", self._backend.server)
        note(str(outcome))

    def _server_now(self) -> str:
        ready = '{.status.conditions[?(@.type=="Ready")].message}'
        options = [*IN_NAMESPACE, "--output", f"jsonpath={ready}"]
        return self._kubectl.look("get", self._backend.server, *options)

    def _connect_client(self) -> None:
        self._evidence = [
            ["describe", "pod", CLIENT_POD, *IN_NAMESPACE],
            ["logs", CLIENT_POD, *IN_NAMESPACE],
        ]
        with self._progress.step("connecting a client by the published Secret"):
            server = self._kubectl.get("repositoryserver", self._backend.sample, NAMESPACE)
            info = server["status"]["serverInfo"]
            secret = info["connectionSecretName"]
            client = objects.with_images(self._kubectl.render(CLIENT), self._images)
            pods = objects.of_kind(objects.connected_by(client, secret), "Pod")
            if not all(objects.reads(pod, secret) for pod in self._kubectl.existing(pods)):
                # A pod's volumes do not change.
                what = "deleting the client of another server"
                self._in_namespace("delete", "pod", CLIENT_POD, what=what)
            self._kubectl.apply(pods)
            self._wait("condition=Ready", f"pod/{CLIENT_POD}")
        note(info["url"])
        note(f"certificate {info['tlsFingerprint']}")

    def _back_up_and_restore(self) -> None:
        client = Client(self._kubectl, NAMESPACE, CLIENT_POD)
        with self._progress.step("writing a folder of random files in the client"):
            client.write_folder()
        with self._progress.step("backing it up through the server"):
            snapshot = client.back_up()
        note(str(snapshot))
        with self._progress.step("restoring it to another folder"):
            client.restore(snapshot)
        with self._progress.step("comparing the two"):
            client.compare(snapshot)
        note("the same, byte for byte")

    def _lose_and_restore(self) -> None:
        self._evidence = [["describe", "pod", POD, *IN_NAMESPACE], ["logs", POD, *IN_NAMESPACE]]
        functions = Functions(self._kubectl, NAMESPACE)
        with self._progress.step("starting a pod with the data functions"):
            server = self._kubectl.get("repositoryserver", self._backend.sample, NAMESPACE)
            # A pod reads its environment once.
            options = ["pod", POD, "--ignore-not-found", "--wait"]
            self._in_namespace("delete", *options, what="deleting the pod of before")
            image, users = self._images.controller, f"{self._backend.sample}-users"
            started = pod(namespace=NAMESPACE, image=image, server=server, users=users)
            self._kubectl.apply([started])
            self._wait("condition=Ready", f"pod/{POD}")
        with self._progress.step("writing a folder and backing it up by BackupData"):
            before = functions.write_folder()
            outputs = functions.back_up()
        note(" ".join(f"{name}={value}" for name, value in outputs.items()))
        with self._progress.step("losing it"):
            functions.lose()
        with self._progress.step("restoring it by RestoreData, and comparing"):
            functions.restore(outputs["backupTag"])
            functions.compare(before)
        note("the same, byte for byte")

    def _restore_by_actionsets(self) -> None:
        scene = Scene(self._kubectl, self._images, self._target, NAMESPACE, _generate_password)
        for step in scene.steps():
            self._evidence = step.evidence
            with self._progress.step(step.words):
                outcome = step.run()
            if outcome:
                note(outcome)

    def _wait(self, condition: str, resource: str) -> None:
        options = [f"--for={condition}", *IN_NAMESPACE, TIMEOUT]
        self._kubectl.run("wait", resource, *options, what=f"waiting for {resource}")

    def _in_namespace(self, *arguments: str, what: str) -> str:
        return self._kubectl.run(*arguments, *IN_NAMESPACE, what=what)


def note(words: str) -> None:
    """Print what came of a step below it."""
    print(f"      {words}", file=sys.stderr)


def _generate_password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)

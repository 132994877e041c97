"""What a real API server says when the ReplicaSet controller may not make a pod, and what we do.

The words are those of `fakes.refusals`, by which `rollout.refusals` is tested.
"""

from __future__ import annotations

import base64
import http.server
import json
import re
import ssl
import threading
import uuid
from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import define, field, frozen

from controller.conditions import conditions_of, get_condition
from controller.errors import ClientError
from controller.resource import Resource
from controller.rest.kubeconfig import load_api_client
from e2e.waiting import wait_for
from fakes import objects
from fakes.certificates import self_signed
from fakes.ports import port_of, reserved
from fakes.refusals import RECORDED
from integration import running
from integration.conftest import NAMESPACES, client_of
from integration.running import pods_of
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import retry

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from controller.resource import Object
    from controller.rest.client import Client
    from integration.plane import Plane

ADMISSION: Final = "admissionregistration.k8s.io"
QUOTAS: Final = Resource("", "v1", "resourcequotas", "ResourceQuota")
LIMITS: Final = Resource("", "v1", "limitranges", "LimitRange")
POLICIES: Final = Resource(
    ADMISSION,
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    namespaced=False,
)
BINDINGS: Final = Resource(
    ADMISSION,
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    namespaced=False,
)
WEBHOOKS: Final = Resource(
    ADMISSION,
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)

NAME: Final = "files-1"
SERVER: Final = "files"
#: In which a pod that was refused is tried again, with what the status then takes.
TRIED_AGAIN_SECONDS: Final = retry.MAX_SECONDS + 10
#: What a recorded text has in place of the namespace and the port of a test.
NAMESPACE: Final = "backup"
PORT: Final = "8443"
#: What a webhook that is to answer may take: a busy machine takes its time. One that hangs has a
#: second, which stands in the recorded texts.
ANSWER_SECONDS: Final = 30
HANGS_SECONDS: Final = 1

TEMPLATE: Final[Object] = {
    "metadata": {"labels": {"app": "refused"}},
    "spec": {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": names.CONTAINER,
                "image": objects.IMAGE,
                "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    },
}


@define(eq=False)
class Site:
    """A namespace in which pods are refused.

    Args:
        client: Of an administrator.
        namespace: The namespace; objects of the cluster are named by it too.
        directory: For certificates.
    """

    client: Client
    namespace: str
    directory: Path
    _made: list[tuple[Resource, str]] = field(factory=list)
    _webhooks: list[Webhook] = field(factory=list)
    port: int = 0

    def create(self, resource: Resource, name: str, body: Object) -> None:
        """Create an object; one of the cluster is deleted in the end."""
        namespace = self.namespace if resource.namespaced else ""
        self.client.create(resource, namespace, {"metadata": {"name": name}, **body})
        if not namespace:
            self._made.append((resource, name))

    def label(self, labels: dict[str, str]) -> None:
        """Label the namespace."""
        self.client.merge_patch(NAMESPACES, "", self.namespace, {"metadata": {"labels": labels}})

    def quota(self, name: str, hard: dict[str, str]) -> None:
        """Create a quota, and wait until it is in force."""
        self.create(QUOTAS, name, {"spec": {"hard": hard}})
        wait_for(
            "the quota to be in force",
            lambda: self.client.get(QUOTAS, self.namespace, name).get("status", {}).get("hard"),
        )

    def policy(self, expression: str, **binding: Any) -> None:
        """Create a policy on pods of this namespace."""
        rule = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["pods"],
        }
        kind = {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}} if binding else {}
        spec = {
            **kind,
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": expression, "message": "no team"}],
        }
        self.create(POLICIES, f"teams.{self.namespace}", {"spec": spec})
        here = {"namespaceSelector": {"matchLabels": self._here}}
        bound = {
            "policyName": f"teams.{self.namespace}",
            "validationActions": ["Deny"],
            "matchResources": here,
            **binding,
        }
        self.create(BINDINGS, f"bound.{self.namespace}", {"spec": bound})
        name = f"teams.{self.namespace}"
        wait_for("the policy to be in force", lambda: self._refuses(name))

    def remove_policy(self) -> None:
        """Delete the policy."""
        for resource in (BINDINGS, POLICIES):
            (name,) = (name for kind, name in self._made if kind == resource)
            self.client.delete(resource, "", name)
            self._made.remove((resource, name))

    def webhook(self, answers: Answer | None, *, trusted: bool = True) -> None:
        """Let a webhook judge the pods of this namespace.

        Args:
            answers: What it answers; None if nobody listens.
            trusted: Whether its certificate is.
        """
        here, other = (self_signed(self.directory, name) for name in ("webhook", "another"))
        webhook = Webhook(here, answers)
        webhook.start()
        self._webhooks.append(webhook)
        self.port = webhook.port
        bundle = (here if trusted else other).read_text().partition("-----BEGIN PRIVATE")[0]
        rule = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["pods"],
        }
        body = {
            "name": "teams.example.com",
            "clientConfig": {
                "url": f"https://127.0.0.1:{webhook.port}/judge",
                "caBundle": base64.b64encode(bundle.encode()).decode(),
            },
            "rules": [rule],
            "namespaceSelector": {"matchLabels": self._here},
            "sideEffects": "None",
            "timeoutSeconds": HANGS_SECONDS if answers == HANGS else ANSWER_SECONDS,
            "failurePolicy": "Fail",
            "admissionReviewVersions": ["v1"],
        }
        self.create(WEBHOOKS, self.namespace, {"webhooks": [body]})
        wait_for("the webhook to be asked", lambda: self._refuses("teams.example.com"))

    def _refuses(self, judge: str) -> bool:
        """Return whether a pod is refused by the named judge: a quota may refuse it meanwhile."""
        probe = {"metadata": {"name": "probe"}, "spec": TEMPLATE["spec"]}
        try:
            self.client.create(resources.PODS, self.namespace, probe)
        except ClientError as error:
            return judge in str(error)
        self.client.delete(resources.PODS, self.namespace, "probe", grace_seconds=0)
        return False

    def refusal(self, change: Object) -> str:
        """Create a ReplicaSet, and return what is said of its pod.

        Args:
            change: A merge patch of its template.
        """
        template = objects.merged(TEMPLATE, change)
        selector = {"matchLabels": TEMPLATE["metadata"]["labels"]}
        spec = {"replicas": 1, "selector": selector, "template": template}
        self.create(resources.REPLICA_SETS, NAME, {"spec": spec})
        return wait_for("a refusal", self.said)

    def said(self) -> str:
        """Return what the ReplicaSet says; empty while it says nothing."""
        found = self.client.get(resources.REPLICA_SETS, self.namespace, NAME)
        failure = get_condition(conditions_of(found), "ReplicaFailure")
        if failure is None:
            return ""
        text: str = failure["message"]
        text = text.replace(self.namespace, NAMESPACE)
        if self.port:
            text = text.replace(str(self.port), PORT)
        text = text.replace(f"?timeout={ANSWER_SECONDS}s", f"?timeout={HANGS_SECONDS}s")
        # In no certain order.
        text = re.sub(r"(?<=: \[)maximum.*(?=\]$)", _sorted, text)
        return re.sub(rf'"{NAME}-[a-z0-9]*"', f'"{NAME}-"', text)

    def remove(self) -> None:
        """Delete what was made."""
        for webhook in self._webhooks:
            webhook.stop()
        for resource, name in self._made:
            self.client.delete(resource, "", name)
        self.client.delete(NAMESPACES, "", self.namespace)

    @property
    def _here(self) -> dict[str, str]:
        return {"kubernetes.io/metadata.name": self.namespace}


def _sorted(several: re.Match[str]) -> str:
    return ", ".join(sorted(re.split(r", (?=maximum)", several[0])))


@frozen
class Answer:
    """What a webhook answers.

    Args:
        status: Of its refusal; None to answer nothing in time.
    """

    status: Object | None


HANGS: Final = Answer(None)


@define(eq=False)
class Webhook:
    """An admission webhook on loopback.

    Args:
        certificate: The file with its certificate and its key.
        answer: What it answers; None if nobody listens.
    """

    certificate: Path
    answer: Answer | None
    _kept: socket.socket = field(factory=reserved)
    _over: threading.Event = field(factory=threading.Event)
    _server: http.server.ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        """Where it is."""
        return port_of(self._kept)

    def start(self) -> None:
        """Listen, if it is to."""
        if self.answer is None:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        handler = _handler(self.answer, self._over)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self._over.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._kept.close()


def _handler(answer: Answer, over: threading.Event) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if answer.status is None:
                over.wait()
                return
            response = {"uid": review["request"]["uid"], "allowed": False, "status": answer.status}
            body = json.dumps({**review, "response": response}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def site(kubernetes: Plane, tmp_path: Path) -> Iterator[Site]:
    """Give a namespace of the test's own."""
    client, name = client_of(kubernetes.kubeconfig), f"test-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    client.create(NAMESPACES, "", body)
    wait_for(
        "the default account",
        lambda: client.list(resources.SERVICE_ACCOUNTS, name)["items"],
    )
    made = Site(client, name, tmp_path)
    yield made
    made.remove()


def limit(**item: Any) -> Callable[[Site], None]:
    return lambda site: site.create(
        LIMITS, "small", {"spec": {"limits": [{"type": "Container"} | item]}}
    )


def nothing(_site: Site) -> None:
    """Make nothing: the pod names what is not there."""


def with_limits(**limits: str) -> Object:
    container = {**TEMPLATE["spec"]["containers"][0], "resources": {"limits": limits}}
    return {"spec": {"containers": [container]}}


#: What is there, and what the pod asks for.
CASES: Final[dict[str, tuple[Callable[[Site], None], Object]]] = {
    "account": (nothing, {"spec": {"serviceAccountName": "robot"}}),
    "priority class": (nothing, {"spec": {"priorityClassName": "high"}}),
    "runtime class": (nothing, {"spec": {"runtimeClassName": "gvisor"}}),
    "pod security": (
        lambda site: site.label({"pod-security.kubernetes.io/enforce": "restricted"}),
        {"spec": {"securityContext": {"runAsNonRoot": False, "runAsUser": 0}}},
    ),
    "full quota": (lambda site: site.quota("small", {"pods": "0"}), {}),
    "quota of two things": (
        lambda site: site.quota("small", {"requests.cpu": "10m", "requests.memory": "64Mi"}),
        {},
    ),
    "quota that asks for limits": (
        lambda site: site.quota("compute", {"limits.cpu": "1", "limits.memory": "1Gi"}),
        {},
    ),
    "maximum": (limit(max={"memory": "1Gi"}), with_limits(memory="2Gi")),
    "maximum of two things": (
        limit(max={"cpu": "1", "memory": "1Gi"}),
        with_limits(cpu="2", memory="2Gi"),
    ),
    "maximum of a pod without a limit": (limit(type="Pod", max={"memory": "1Gi"}), {}),
    "minimum": (limit(min={"memory": "1Gi"}), {}),
    "ratio": (
        limit(maxLimitRequestRatio={"memory": "2"}),
        {},
    ),
    "default limit below the request": (limit(default={"memory": "64Mi"}), {}),
    "policy": (lambda site: site.policy("false"), {}),
    "policy that fails": (lambda site: site.policy("object.spec.nothing == 'x'"), {}),
    "policy without its parameters": (
        lambda site: site.policy(
            "false",
            paramRef={"name": "none", "namespace": "default", "parameterNotFoundAction": "Deny"},
        ),
        {},
    ),
    "webhook": (lambda site: site.webhook(Answer({"message": "no team"})), {}),
    "webhook with a reason": (lambda site: site.webhook(Answer({"reason": "NoTeam"})), {}),
    "webhook without a word": (lambda site: site.webhook(Answer({})), {}),
    "webhook that does not listen": (lambda site: site.webhook(None), {}),
    "webhook that hangs": (lambda site: site.webhook(HANGS), {}),
    "webhook that is not trusted": (
        lambda site: site.webhook(Answer({}), trusted=False),
        {},
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_a_refusal_has_the_words_that_are_recorded(site: Site, what: str) -> None:
    prepare, change = CASES[what]
    prepare(site)

    assert site.refusal(change) == RECORDED[what]


@pytest.fixture
def _controller(kubernetes: Plane, site: Site) -> Iterator[None]:
    """Run the controller in the namespace of the test, with a server in it."""
    running.install_definition(site.client)
    running.create_secrets(site.client, site.namespace)
    controller = running.controller(site.namespace, load_api_client(kubernetes.kubeconfig))
    controller.start()
    yield
    controller.end()


@pytest.mark.usefixtures("_controller")
def test_the_cause_of_now_is_told_and_one_that_is_gone_counts_within_a_minute(site: Site) -> None:
    """The ReplicaSet controller leaves the first cause in the condition, and tries ever less."""

    def reason() -> str:
        server = site.client.get(api.REPOSITORY_SERVERS, site.namespace, SERVER)
        ready = get_condition(conditions_of(server), "Ready")
        return "" if ready is None else str(ready["reason"])

    def wait_for_reason(wanted: str) -> None:
        wait_for(wanted, reason, lambda found: found == wanted, seconds=TRIED_AGAIN_SECONDS)

    site.quota("small", {"pods": "0"})
    running.create(site.client, site.namespace, SERVER)
    wait_for_reason("QuotaExceeded")

    site.policy("false")
    site.client.delete(QUOTAS, site.namespace, "small")
    wait_for_reason("PodDenied")

    site.remove_policy()
    wait_for(
        "the pod",
        lambda: pods_of(site.client, site.namespace, SERVER),
        seconds=TRIED_AGAIN_SECONDS,
    )

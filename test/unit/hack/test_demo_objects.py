"""What the demo makes of the manifests, and what it leaves alone."""

from __future__ import annotations

import base64
import copy
import itertools
from typing import Any

import pytest

from demolib import objects
from demolib.objects import Identity, Images, Object, Outcome
from storelib.servers import Store

OURS = {objects.LABEL: objects.LABEL_VALUE}


def an_object(kind: str, name: str, namespace: str = "kanister", **metadata: Any) -> Object:
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace, **metadata}}


def a_secret(name: str, namespace: str = "kanister", **strings: str) -> Object:
    return {**an_object("Secret", name, namespace), "stringData": strings}


def stored(secret: Object, **strings: str) -> Object:
    """Return a Secret as the API server gives it."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in strings.items()}
    kept = {key: value for key, value in secret.items() if key != "stringData"}
    return {**kept, "data": data}


def a_deployment() -> Object:
    variables = [{"name": "OTHER"}]
    container = {"name": "controller", "image": "repository-server-controller", "env": variables}
    template = {"metadata": {}, "spec": {"containers": [container]}}
    return {**an_object("Deployment", "controller"), "spec": {"template": template}}


def a_pod() -> Object:
    containers = [{"name": "kopia", "image": "kopia/kopia:0.23.1"}]
    return {**an_object("Pod", "client"), "spec": {"containers": containers}}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("", [], id="kubectl prints nothing where nothing is found"),
        pytest.param('{"kind": "Pod", "metadata": {"name": "a"}}\n', ["a"], id="one object"),
        pytest.param(
            '{"kind": "Pod", "metadata": {"name": "a"}} {"kind": "Pod", "metadata": {"name": "b"}}',
            ["a", "b"],
            id="objects one after the other, as kubectl label prints them",
        ),
        pytest.param(
            '{"kind": "List", "items": [{"kind": "Pod", "metadata": {"name": "a"}}]}',
            ["a"],
            id="a List, as kubectl get prints several",
        ),
    ],
)
def test_every_form_of_output_is_read(text: str, names: list[str]) -> None:
    assert [obj["metadata"]["name"] for obj in objects.parse(text)] == names


def test_an_object_that_others_made_is_not_applied() -> None:
    wanted = [an_object("Service", name) for name in ("missing", "ours", "theirs")]
    existing = [an_object("Service", "ours", labels=OURS), an_object("Service", "theirs")]

    plan = objects.plan(wanted, existing)

    assert [obj["metadata"]["name"] for obj in plan.apply] == ["missing", "ours"]
    assert plan.foreign == [Identity("Service", "kanister", "theirs")]


def test_an_outcome_tells_made_from_changed_from_same() -> None:
    before = [
        an_object("Service", "changed", resourceVersion="1"),
        an_object("Service", "same", resourceVersion="2"),
    ]
    after = [
        an_object("Service", "changed", resourceVersion="3"),
        an_object("Service", "same", resourceVersion="2"),
        an_object("Service", "made", resourceVersion="4"),
    ]

    outcome = objects.compare(before, after, [Identity("Namespace", "", "theirs")])

    assert outcome == Outcome(1, 1, 1, (Identity("Namespace", "", "theirs"),))
    assert str(outcome) == (
        "1 made; 1 changed; 1 as before; left alone, as others made it: Namespace theirs"
    )


def test_the_label_is_added_to_a_copy() -> None:
    original = an_object("Service", "a", labels={"app": "a"})

    (labelled,) = objects.labelled([original])

    assert labelled["metadata"]["labels"] == {"app": "a", **OURS}
    assert original["metadata"]["labels"] == {"app": "a"}
    assert objects.is_ours(labelled)
    assert not objects.is_ours(original)


def test_the_controller_and_its_servers_take_the_images_of_the_cluster() -> None:
    original = a_deployment()

    deployment, pod = objects.with_images([original, a_pod()], Images("mine:1", "kopia:2"))

    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "mine:1"
    assert container["env"] == [{"name": "OTHER"}, {"name": "RSC_SERVER_IMAGE", "value": "kopia:2"}]
    assert pod["spec"]["containers"] == [{"name": "kopia", "image": "kopia:2"}]
    assert original == a_deployment(), "the manifest is not changed"


def test_the_image_of_kopia_stays_where_none_is_given() -> None:
    deployment, pod = objects.with_images([a_deployment(), a_pod()], Images("mine:1", ""))

    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "OTHER"}]
    assert pod == a_pod()


def test_the_controller_takes_the_overrides_that_a_store_needs() -> None:
    original = a_deployment()
    (container,) = original["spec"]["template"]["spec"]["containers"]
    container["env"].append({"name": "RSC_POD_OVERRIDE", "value": "restricted"})

    (changed,) = objects.taking_overrides([original], "any")

    (container,) = changed["spec"]["template"]["spec"]["containers"]
    assert container["env"][-1] == {"name": "RSC_POD_OVERRIDE", "value": "any"}
    assert original != changed, "the manifest is not changed"


def test_another_build_under_the_same_name_is_rolled_out() -> None:
    (first,) = objects.with_images([a_deployment()], Images("mine", "kopia", build="1"))
    (second,) = objects.with_images([a_deployment()], Images("mine", "kopia", build="2"))

    assert first["spec"]["template"] != second["spec"]["template"]


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param(an_object("ServiceAccount", "a"), id="no spec"),
        pytest.param(
            {**an_object("PersistentVolumeClaim", "a"), "spec": {"accessModes": []}},
            id="a spec without containers",
        ),
    ],
)
def test_what_has_no_containers_takes_no_image(obj: Object) -> None:
    assert objects.with_images([obj], Images("mine", "kopia", build="1")) == [obj]


class TestMissingSecrets:
    """Which Secrets are created, with which passwords."""

    USERS = a_secret("users", client="placeholder-client")
    CLIENT = a_secret("user", "backup-client", password="placeholder-client")
    ADMIN = a_secret("admin", username="admin@host", password="placeholder-admin")

    @staticmethod
    def missing(wanted: list[Object], existing: list[Object]) -> list[dict[str, str]]:
        numbers = itertools.count(1)
        found = objects.missing_secrets(wanted, existing, lambda: f"generated-{next(numbers)}")
        return [secret["stringData"] for secret in found]

    def test_each_placeholder_becomes_a_password_of_its_own(self) -> None:
        users, client, admin = self.missing([self.USERS, self.CLIENT, self.ADMIN], [])

        assert users["client"] == client["password"], "the same placeholder"
        assert admin["password"] != client["password"]
        assert admin["username"] == "admin@host", "what is no placeholder stays"
        assert not any(objects.PLACEHOLDER in value for value in (users | client | admin).values())

    def test_a_secret_that_is_there_is_not_created(self) -> None:
        there = stored(self.ADMIN, username="admin@host", password="kept")

        assert self.missing([self.ADMIN], [there]) == []

    def test_a_secret_that_was_lost_gets_the_password_that_another_one_has(self) -> None:
        there = stored(self.USERS, client="kept")

        assert self.missing([self.USERS, self.CLIENT], [there]) == [{"password": "kept"}]

    def test_the_order_of_the_secrets_does_not_matter(self) -> None:
        there = stored(self.USERS, client="kept")

        assert self.missing([self.CLIENT, self.USERS], [there]) == [{"password": "kept"}]

    def test_the_samples_are_not_changed(self) -> None:
        before = copy.deepcopy(self.USERS)

        self.missing([self.USERS], [])

        assert before == self.USERS


class TestStoredIn:
    STORE = Store(
        location={"type": "gcs", "bucket": "there"},
        credential_type="secrets.kanister.io/gcp",
        credential={"service-account.json": "{}"},
        kopia=("gcs",),
        environment={},
        variables={"STORAGE_EMULATOR_HOST": "there:1"},
    )

    def test_the_secrets_tell_of_the_store_and_keep_the_prefix(self) -> None:
        location = a_secret("gcs-location", type="gcs", bucket="backups", prefix="kopia")
        credential = a_secret("gcs-credential", **{"service-account.json": "placeholder-account"})

        told = objects.stored_in([location, credential], self.STORE)

        assert [secret["stringData"] for secret in told] == [
            {"type": "gcs", "bucket": "there", "prefix": "kopia"},
            {"service-account.json": "{}"},
        ]
        assert location["stringData"]["bucket"] == "backups", "the sample is not changed"

    def test_server_and_job_are_told_where_it_is(self) -> None:
        server = {**an_object("RepositoryServer", "gcs"), "spec": {"server": {}}}
        container = {"name": "kopia", "env": [{"name": "BUCKET"}]}
        template = {"spec": {"containers": [container]}}
        job = {**an_object("Job", "gcs-repository"), "spec": {"template": template}}

        told_server, told_job = objects.stored_in([server, job], self.STORE)

        variable = {"name": "STORAGE_EMULATOR_HOST", "value": "there:1"}
        assert told_server["spec"]["server"]["podOverride"] == {
            "containers": [{"name": "repo-server-container", "env": [variable]}]
        }
        (told,) = told_job["spec"]["template"]["spec"]["containers"]
        assert told["env"] == [{"name": "BUCKET"}, variable]


def test_a_volume_is_bound_to_its_claim_and_to_no_other() -> None:
    resources = {"requests": {"storage": "1Gi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": resources}
    claim = {**an_object("PersistentVolumeClaim", "file-store"), "spec": spec}

    volume = objects.local_volume(claim, "/folder")

    assert volume["spec"]["claimRef"] == {"namespace": "kanister", "name": "file-store"}
    assert volume["spec"]["capacity"] == {"storage": "1Gi"}
    assert volume["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_the_client_reads_the_secret_of_its_server() -> None:
    volumes = [
        {"name": "connection", "secret": {"secretName": "repo-server-file-store-connection"}},
        {"name": "data", "emptyDir": {}},
    ]
    pod = {**an_object("Pod", "client"), "spec": {"volumes": volumes}}

    (changed,) = objects.connected_by([pod], "repo-server-s3-connection")

    assert objects.reads(changed, "repo-server-s3-connection")
    assert not objects.reads(pod, "repo-server-s3-connection")
    assert changed["spec"]["volumes"][1] == volumes[1]


@pytest.mark.parametrize(
    ("obj", "counts"),
    [
        pytest.param(an_object("Secret", "theirs"), True, id="somebody's Secret"),
        pytest.param(an_object("Secret", "ours", labels=OURS), False, id="the demo's own"),
        pytest.param(
            an_object("Secret", "child", ownerReferences=[{}]), False, id="goes with its owner"
        ),
        pytest.param(
            an_object("Secret", "dying", deletionTimestamp="now"), False, id="is on its way out"
        ),
        pytest.param(
            an_object("ConfigMap", "kube-root-ca.crt"), False, id="every namespace has this one"
        ),
        pytest.param(
            an_object("ServiceAccount", "default"), False, id="every namespace has this account"
        ),
        pytest.param(an_object("ServiceAccount", "mine"), True, id="somebody's account"),
    ],
)
def test_a_namespace_is_kept_for_what_others_have_in_it(obj: Object, *, counts: bool) -> None:
    assert bool(objects.others([obj])) is counts

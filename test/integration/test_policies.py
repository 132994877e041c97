"""The policy on who may ask for what in a RepositoryServer, on a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration import policies
from integration.policies import AUTHOR, BUILDER, PODS, SERVERS_ONLY, Site, grant, server
from integration.serverobjects import REPOSITORY_SERVERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.rest.client import Client, Object

OVERRIDE: Object = {"podOverride": {"priorityClassName": "high"}}
ACCOUNT: Object = {"serviceAccountName": "cloud"}
IMAGE: Object = {"image": "registry.example/kopia:own"}
TOKEN: Object = {"serviceAccountToken": {"audience": "sts.example"}}
ROOT: Object = {"runAsUser": 0}


@pytest.fixture
def site(client: Client, kubeconfig: str, namespace: str) -> Site:
    grant(client, namespace, AUTHOR, SERVERS_ONLY)
    grant(client, namespace, BUILDER, [*SERVERS_ONLY, PODS])
    return Site(client, kubeconfig, namespace)


@pytest.fixture(scope="module")
def _policies(client: Client, kubectl: Callable[..., str], kubeconfig: str) -> Iterator[None]:
    with policies.in_force(client, kubectl, kubeconfig):
        yield


@pytest.mark.usefixtures("_policies")
class TestAuthors:
    """What the author of a RepositoryServer has to have the right to create pods for."""

    @pytest.mark.parametrize(
        ("settings", "field"),
        [
            pytest.param(OVERRIDE, "spec.server.podOverride", id="an override"),
            pytest.param({"podOverride": {}}, "spec.server.podOverride", id="an empty override"),
            pytest.param(ACCOUNT, "spec.server.serviceAccountName", id="an account"),
            pytest.param(TOKEN, "spec.server.serviceAccountToken", id="a token"),
            pytest.param(IMAGE, "spec.server.image", id="an image"),
            pytest.param(ROOT, "spec.server.runAsUser 0", id="root"),
        ],
    )
    def test_is_asked_for(self, site: Site, settings: Object, field: str) -> None:
        obj = server("files", settings)

        said = site.refusal(AUTHOR, "create", "--filename=-", obj=obj)

        assert f"{field}" in said
        assert "asks for the right to create pods in this namespace" in said
        assert site.refusal(BUILDER, "create", "--filename=-", obj=obj) == ""

    @pytest.mark.parametrize(
        "settings",
        [
            pytest.param({}, id="a plain server"),
            pytest.param({"serviceAccountName": "default"}, id="the account that it has anyway"),
            pytest.param({"runAsUser": 1000}, id="another user id"),
            pytest.param(
                {"resources": {"limits": {"memory": "1Gi"}}, "podLabels": {"a": "b"}},
                id="fields without power",
            ),
        ],
    )
    def test_is_not_asked_for(self, site: Site, settings: Object) -> None:
        obj = server("files", settings)

        assert site.refusal(AUTHOR, "create", "--filename=-", obj=obj) == ""

    @pytest.mark.parametrize(
        ("before", "change", "refused"),
        [
            pytest.param({}, OVERRIDE, True, id="an override is added"),
            pytest.param({}, ACCOUNT, True, id="an account is named"),
            pytest.param({}, TOKEN, True, id="a token is asked for"),
            pytest.param({}, IMAGE, True, id="an image is named"),
            pytest.param(IMAGE, {"image": "other"}, True, id="another image is named"),
            pytest.param({}, ROOT, True, id="it becomes root"),
            pytest.param(
                OVERRIDE,
                {"podOverride": {"schedulerName": "own"}},
                True,
                id="an override is changed",
            ),
            pytest.param(
                ACCOUNT, {"serviceAccountName": "other"}, True, id="another account is named"
            ),
            pytest.param(
                {**OVERRIDE, **ACCOUNT, **TOKEN, **IMAGE, **ROOT},
                {"drainSeconds": 1},
                False,
                id="another field is changed",
            ),
            pytest.param(
                {**OVERRIDE, **ACCOUNT, **TOKEN, **IMAGE, **ROOT},
                dict.fromkeys((*OVERRIDE, *ACCOUNT, *TOKEN, *IMAGE, *ROOT)),
                False,
                id="what asks for power is taken away",
            ),
        ],
    )
    def test_an_update_is_judged_by_what_it_changes(
        self, client: Client, site: Site, before: Object, change: Object, refused: bool
    ) -> None:
        client.create(REPOSITORY_SERVERS, site.namespace, server("files", before))
        patch = {"spec": {"server": change}}

        said = site.patch(AUTHOR, patch, "repositoryserver/files")

        assert ("asks for the right to create pods" in said) is refused
        assert refused or said == ""
        assert site.patch(BUILDER, patch, "repositoryserver/files") == ""

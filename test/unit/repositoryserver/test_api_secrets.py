"""The Secrets that a RepositoryServer refers to: which they are, and where they may be."""

import pytest

from fakes import objects
from fakes.specs import ACCESS_BY_USER, Object, nested, reference
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver import api, references

FURTHER = "spec.server.additionalUserAccess"
FURTHER_USERS = {
    "additionalUserAccess": [
        {"username": "a", "userAccessSecretRef": {"name": "a-users"}},
        {"username": "b", "userAccessSecretRef": {"name": "b-users"}},
    ]
}

REFERENCES = [
    "spec.storage.secretRef",
    "spec.storage.credentialSecretRef",
    "spec.repository.passwordSecretRef",
    "spec.server.adminSecretRef",
    "spec.server.tlsSecretRef",
    "spec.server.userAccess.userAccessSecretRef",
]


class TestAccesses:
    @pytest.mark.parametrize(
        ("main", "field", "username"),
        [
            pytest.param(
                {},
                "spec.server.userAccess.userAccessSecretRef",
                "backup",
                id="after the main Secret with its user name",
            ),
            pytest.param(
                ACCESS_BY_USER,
                "spec.server.userAccessSecretRef",
                "",
                id="after the main Secret with whole users",
            ),
        ],
    )
    def test_further_users_come_after_the_main_ones(
        self, main: Object, field: str, username: str
    ) -> None:
        obj = objects.repository_server(nested("spec.server", {**main, **FURTHER_USERS}))

        server = api.parse(obj)

        first = api.UserAccess(reference(field, objects.USERS), username)
        assert server.access == first
        assert server.accesses == (
            first,
            api.UserAccess(reference(f"{FURTHER}[0].userAccessSecretRef", "a-users"), "a"),
            api.UserAccess(reference(f"{FURTHER}[1].userAccessSecretRef", "b-users"), "b"),
        )

    def test_a_reference_to_another_namespace_is_refused_by_its_place_in_the_list(self) -> None:
        users = objects.merged(FURTHER_USERS, {})
        users["additionalUserAccess"][1]["userAccessSecretRef"]["namespace"] = "elsewhere"
        obj = objects.repository_server(nested("spec.server", users))

        with pytest.raises(InvalidInput, match=r"^spec\.server\.additionalUserAccess\[1\]\."):
            api.parse(obj)

    def test_their_secrets_wake_the_resource(self) -> None:
        obj = objects.repository_server(nested("spec.server", FURTHER_USERS))

        assert {objects.USERS, "a-users", "b-users"} <= references.secret_names(obj)


@pytest.mark.parametrize("path", REFERENCES)
def test_a_reference_without_a_namespace_means_the_resources_own(path: str) -> None:
    obj = objects.repository_server(nested(path, {"name": "secret", "namespace": None}))

    server = api.parse(obj)

    assert reference(path, "secret") in (*server.inputs, server.access.secret)


@pytest.mark.parametrize("path", REFERENCES)
def test_a_reference_to_another_namespace_is_refused(path: str) -> None:
    obj = objects.repository_server(nested(path, {"name": "secret", "namespace": "elsewhere"}))

    with pytest.raises(InvalidInput) as caught:
        api.parse(obj)

    assert caught.value.reason == "ReferenceInOtherNamespace"
    assert caught.value.message == (
        f"{path} names Secret elsewhere/secret, but a RepositoryServer reads Secrets of its own "
        f"namespace only; copy the Secret to namespace backup and set {path}.namespace to it"
    )


def test_the_second_form_of_access_may_not_leave_the_namespace_either() -> None:
    access = objects.merged(ACCESS_BY_USER, {"userAccessSecretRef": {"namespace": "elsewhere"}})
    obj = objects.repository_server()
    obj["spec"]["server"].update(access)
    del obj["spec"]["server"]["userAccess"]

    with pytest.raises(InvalidInput, match=r"^spec\.server\.userAccessSecretRef names Secret "):
        api.parse(obj)


class TestInputs:
    def test_the_server_starts_with_all_secrets_but_that_of_the_users(self) -> None:
        obj = objects.repository_server(
            nested("spec.storage.credentialSecretRef", {"name": objects.CREDENTIAL})
        )

        names = [ref.name for ref in api.parse(obj).inputs]

        assert names == [
            objects.LOCATION,
            objects.CREDENTIAL,
            objects.REPOSITORY_PASSWORD,
            objects.ADMIN,
            objects.TLS,
        ]

    def test_without_a_credential_there_is_one_less(self) -> None:
        names = [ref.name for ref in api.parse(objects.repository_server()).inputs]

        assert objects.CREDENTIAL not in names

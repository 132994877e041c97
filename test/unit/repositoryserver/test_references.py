"""Which Secrets a RepositoryServer is woken by."""

import pytest

from fakes import objects
from fakes.specs import ACCESS_BY_USER, Object, nested
from reconcilers.repositoryserver import references


class TestSecretNames:
    def test_every_reference_counts(self) -> None:
        obj = objects.repository_server(
            nested("spec.storage.credentialSecretRef", {"name": objects.CREDENTIAL})
        )

        assert references.secret_names(obj) == {
            objects.LOCATION,
            objects.CREDENTIAL,
            objects.REPOSITORY_PASSWORD,
            objects.ADMIN,
            objects.TLS,
            objects.USERS,
        }

    def test_so_does_the_second_form_of_access(self) -> None:
        obj = objects.repository_server({"spec": {"server": ACCESS_BY_USER}})

        assert objects.USERS in references.secret_names(obj)

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(
                nested("spec.server.tlsSecretRef.namespace", "elsewhere"),
                id="a Secret of another namespace wakes nobody",
            ),
            pytest.param(
                nested("spec.server.tlsSecretRef.name", None), id="a reference without a name"
            ),
            pytest.param(nested("spec.server.tlsSecretRef", None), id="a reference left out"),
        ],
    )
    def test_a_wrong_reference_hides_no_other(self, change: Object) -> None:
        names = references.secret_names(objects.repository_server(change))

        assert names == {
            objects.LOCATION,
            objects.REPOSITORY_PASSWORD,
            objects.ADMIN,
            objects.USERS,
        }

    def test_a_resource_without_a_spec_has_none(self) -> None:
        assert references.secret_names({"metadata": {"namespace": objects.NAMESPACE}}) == set()

"""What the objects of a server are called."""

import re
from typing import Any

import pytest
from attrs import evolve

from fakes.children import DIGEST, named, server
from reconcilers.repositoryserver.children import names, network

USERS = "repo-server-files-users"
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

NAMES = [
    pytest.param("files", id="a short one"),
    pytest.param("a", id="one letter"),
    pytest.param("1-files", id="a digit in front"),
    pytest.param("files.backup.example", id="dots"),
    pytest.param("f" * 51, id="as long as fits the Service"),
    pytest.param("f" * 52, id="as long as fits the pod"),
    pytest.param("f" * 253, id="the longest there is"),
    pytest.param("-".join("f" * 126), id="dashes where it is cut"),
    pytest.param(".".join("f" * 127), id="the longest of dots"),
]


class TestNames:
    @pytest.mark.parametrize("name", NAMES)
    def test_every_resource_gets_names_that_are_dns_labels(self, name: str) -> None:
        of = named(name)

        for made in (names.versioned_name(of, DIGEST), names.stable_name(of)):
            assert DNS_LABEL.fullmatch(made)

    @pytest.mark.parametrize("name", NAMES)
    def test_and_a_label_by_which_its_pods_are_found(self, name: str) -> None:
        label = network.network_policy(named(name))["metadata"]["labels"][names.LABEL_INSTANCE]

        assert DNS_LABEL.fullmatch(label)

    def test_a_name_that_fits_stays_as_it_is(self) -> None:
        of = named("files")

        assert names.versioned_name(of, DIGEST) == "files-0123456789"
        assert names.stable_name(of) == "repo-server-files"

    @pytest.mark.parametrize(
        ("change", "users", "certificate"),
        [
            pytest.param({}, "repo-server-files-users", "repo-server-files-tls", id="none of them"),
            pytest.param(
                {"server": {"userAccess": {"userAccessSecretRef": {"name": USERS}}}},
                "repo-server-files-users-own",
                "repo-server-files-tls",
                id="the users'",
            ),
            pytest.param(
                {"server": {"adminSecretRef": {"name": "repo-server-files-tls"}}},
                "repo-server-files-users",
                "repo-server-files-tls-own",
                id="the certificate's, as the administrator's",
            ),
            pytest.param(
                {
                    "server": {"userAccess": {"userAccessSecretRef": {"name": USERS}}},
                    "storage": {"secretRef": {"name": f"{USERS}-own"}},
                },
                "repo-server-files-users-own-own",
                "repo-server-files-tls",
                id="the users', and the name in place of it",
            ),
        ],
    )
    def test_a_secret_that_the_resource_names_is_the_users_and_ours_has_another_name(
        self, change: dict[str, Any], users: str, certificate: str
    ) -> None:
        of = server({"spec": change})

        assert (names.users_name(of), names.certificate_name(of)) == (users, certificate)

    @pytest.mark.parametrize(
        ("referred_to", "there", "name"),
        [
            pytest.param("", {USERS}, USERS, id="one by its first name"),
            pytest.param(USERS, {f"{USERS}-own"}, f"{USERS}-own", id="one by a longer name"),
            pytest.param("", {f"{USERS}-own"}, f"{USERS}-own", id="a longer name is kept"),
            pytest.param(USERS, {USERS}, USERS, id="the first name is kept, and then refused"),
        ],
    )
    def test_a_secret_of_ours_that_is_there_keeps_its_name(
        self, referred_to: str, there: set[str], name: str
    ) -> None:
        """Pods mount it by its name."""
        ref = {"userAccess": {"userAccessSecretRef": {"name": referred_to or "others"}}}
        of = evolve(server({"spec": {"server": ref}}), own_secrets=frozenset(there))

        assert names.users_name(of) == name

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            pytest.param("a.b", "a-b", id="that are one without dots"),
            pytest.param("f" * 100, "f" * 101, id="that are one when cut"),
        ],
    )
    def test_names_stay_apart(self, first: str, second: str) -> None:
        assert names.stable_name(named(first)) != names.stable_name(named(second))
        assert names.versioned_name(named(first), DIGEST) != names.versioned_name(
            named(second), DIGEST
        )

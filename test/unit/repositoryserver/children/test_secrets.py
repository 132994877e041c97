"""The Secret with the users."""

import base64

from fakes import objects
from fakes.children import (
    DIGEST,
    inputs,
    server,
)
from reconcilers.repositoryserver.children import compare
from reconcilers.repositoryserver.children.pod import pod as desired_pod
from reconcilers.repositoryserver.children.secrets import users_secret


class TestUsersSecret:
    def test_it_can_change_and_belongs_to_the_server(self) -> None:
        secret = users_secret(server(), "a@h:hash\n", "v2")

        assert secret["metadata"]["name"] == "repo-server-files-users"
        assert secret["metadata"]["ownerReferences"][0]["name"] == objects.NAME
        assert "immutable" not in secret
        assert {key: base64.b64decode(value) for key, value in secret["data"].items()} == {
            "htpasswd": b"a@h:hash\n",
            "version": b"v2",
        }

    def test_users_that_a_pod_takes_up_are_no_other_wish_for_the_pod(self) -> None:
        def mark(users: str) -> str:
            applied = compare.with_applied(desired_pod(server(), inputs(), DIGEST, users))
            return str(applied["metadata"]["annotations"]["cr.kanister.io/applied"])

        assert mark("v1") == mark("v2")

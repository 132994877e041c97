"""The Secret with the users."""

import base64

from fakes import objects
from fakes.children import server
from reconcilers.repositoryserver.children.secrets import users_secret


class TestUsersSecret:
    def test_it_can_change_and_belongs_to_the_server(self) -> None:
        secret = users_secret(server(), "a@h:hash\n", "v2", "")

        assert secret["metadata"]["name"] == "repo-server-files-users"
        assert secret["metadata"]["ownerReferences"][0]["name"] == objects.NAME
        assert "immutable" not in secret
        assert {key: base64.b64decode(value) for key, value in secret["data"].items()} == {
            "htpasswd": b"a@h:hash\n",
            "version": b"v2",
        }

    def test_it_says_when_it_last_changed_if_a_pod_may_have_had_other_users(self) -> None:
        secret = users_secret(server(), "a@h:hash\n", "v2", "2026-01-01T00:00:00Z")

        assert secret["metadata"]["annotations"] == {
            "cr.kanister.io/changed": "2026-01-01T00:00:00Z"
        }
        assert "annotations" not in users_secret(server(), "", "v2", "")["metadata"]

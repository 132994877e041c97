"""The user's Secrets are checked; a refusal names the Secret, the key, the field and the fix."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes import objects
from reconcilers.errors import InvalidInput
from reconcilers.secrets import data as secrets
from reconcilers.secrets.data import SecretRef

Object = dict[str, Any]

VALUE = "value-4e1b"
LOCATION = SecretRef("spec.storage.secretRef", objects.NAMESPACE, objects.LOCATION)
PASSWORD = SecretRef(
    "spec.repository.passwordSecretRef", objects.NAMESPACE, objects.REPOSITORY_PASSWORD
)
ADMIN = SecretRef("spec.server.adminSecretRef", objects.NAMESPACE, objects.ADMIN)


def location(values: dict[str, str | bytes]) -> secrets.SecretData:
    return secrets.read(LOCATION, objects.location_secret(values), (secrets.TYPE_LOCATION,))


class TestRead:
    @pytest.mark.parametrize(
        "type_",
        [
            pytest.param("secrets.kanister.io/storage-location", id="the removed controller's"),
            pytest.param("Opaque", id="Opaque, which the removed controller never minded"),
            pytest.param("", id="no type is Opaque"),
            pytest.param(None, id="and so is one left out"),
        ],
    )
    def test_a_type_that_fits(self, type_: str | None) -> None:
        obj = objects.merged(objects.location_secret(), {"type": type_})

        assert secrets.read(LOCATION, obj, (secrets.TYPE_LOCATION,)).text("type") == "filestore"

    def test_a_missing_secret(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            secrets.read(LOCATION, None, (secrets.TYPE_LOCATION,))

        assert caught.value.reason == "SecretMissing"
        assert caught.value.message == (
            "Secret backup/files-location, named by spec.storage.secretRef, does not exist; "
            "create it or correct spec.storage.secretRef"
        )

    def test_a_wrong_type(self) -> None:
        obj = objects.merged(objects.location_secret(), {"type": "kubernetes.io/tls"})

        with pytest.raises(InvalidInput) as caught:
            secrets.read(LOCATION, obj, (secrets.TYPE_LOCATION,))

        assert caught.value.reason == "SecretTypeWrong"
        assert caught.value.message == (
            "Secret backup/files-location, named by spec.storage.secretRef, is of type "
            "kubernetes.io/tls, expected secrets.kanister.io/storage-location; put its keys into "
            "one of `type: secrets.kanister.io/storage-location`, and name that in "
            "spec.storage.secretRef"
        )

    @pytest.mark.parametrize(
        ("data", "values"),
        [
            pytest.param(None, {}, id="a Secret without data has no keys"),
            pytest.param({"prefix": ""}, {"prefix": b""}, id="an empty value is empty"),
            pytest.param({"prefix": None}, {"prefix": b""}, id="and so is null"),
        ],
    )
    def test_data_that_are_not_there(self, data: Object | None, values: dict[str, bytes]) -> None:
        obj = {**objects.location_secret(), "data": data}

        assert secrets.read(LOCATION, obj, (secrets.TYPE_LOCATION,)).values == values


class TestText:
    def test_a_key_missing(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            location({}).text("bucket")

        assert caught.value.reason == "SecretKeyMissing"
        assert caught.value.message == (
            "Secret backup/files-location, named by spec.storage.secretRef, has no key bucket; "
            "add it"
        )

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param("", id="nothing"),
            pytest.param(" \n", id="white space, which Kopia would trim to nothing"),
            pytest.param("\u00a0", id="white space of Unicode, which it trims as well"),
        ],
    )
    def test_a_key_empty(self, value: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            location({"bucket": value}).text("bucket")

        assert caught.value.reason == "SecretKeyMissing"
        assert caught.value.message == (
            "key bucket of Secret backup/files-location, named by spec.storage.secretRef, is "
            "empty; give it a value"
        )

    def test_a_value_that_is_no_text(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            location({"bucket": b"\xff\xfe"}).text("bucket")

        assert caught.value.reason == "SecretValueInvalid"
        assert caught.value.message == (
            "key bucket of Secret backup/files-location, named by spec.storage.secretRef, is not "
            "UTF-8 text; correct its value"
        )
        # The decoder's error quotes the bytes.
        assert caught.value.__suppress_context__

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            pytest.param({"new": "n"}, "n", id="the first spelling"),
            pytest.param({"old": "o"}, "o", id="the second"),
            pytest.param({"new": "n", "old": "o"}, "n", id="both: the first one counts"),
            pytest.param({"new": " n\n"}, "n", id="without white space around it"),
            pytest.param({"new": "\ufeffn\r\n"}, "n", id="and what editors of Windows add"),
            pytest.param({"new": "a b"}, "a b", id="white space inside is left"),
        ],
    )
    def test_one_of_several_spellings(self, values: dict[str, str | bytes], expected: str) -> None:
        assert location(values).text("new", "old") == expected

    def test_a_value_byte_for_byte(self) -> None:
        assert location({"new": " n\n"}).verbatim("new") == " n\n"

    def test_no_spelling_at_all_is_named_by_the_first(self) -> None:
        with pytest.raises(InvalidInput, match="has no key new; "):
            location({}).text("new", "old")

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            pytest.param({}, "", id="left out"),
            pytest.param({"prefix": ""}, "", id="empty"),
            pytest.param({"prefix": "p"}, "p", id="given"),
            pytest.param({"prefix": "p\n"}, "p", id="given with the line end of echo"),
        ],
    )
    def test_an_optional_key(self, values: dict[str, str | bytes], expected: str) -> None:
        assert location(values).optional("prefix") == expected

    def test_an_optional_key_must_be_text_too(self) -> None:
        with pytest.raises(InvalidInput, match=r"^key prefix of Secret .* is not UTF-8 text"):
            location({"prefix": b"\xff"}).optional("prefix")


class TestKeys:
    @pytest.mark.parametrize(
        ("values", "there"),
        [
            pytest.param({"bucket": "b"}, True, id="a value"),
            pytest.param({"bucket": " \n"}, False, id="white space is none"),
            pytest.param({}, False, id="left out"),
        ],
    )
    def test_whether_there_is_a_value(self, values: dict[str, str | bytes], there: bool) -> None:
        assert location(values).has("bucket") is there

    @pytest.mark.parametrize(
        ("values", "only"),
        [
            pytest.param({}, True, id="no key at all"),
            pytest.param({"a": "1"}, True, id="one of those"),
            pytest.param({"a": "1", "c": ""}, False, id="another one, though empty"),
        ],
    )
    def test_whether_there_are_no_others(self, values: dict[str, str | bytes], only: bool) -> None:
        assert location(values).has_only("a", "b") is only

    def test_a_refusal_names_secret_field_and_key(self) -> None:
        refused = location({}).refused("Wrong", "{key} of {ref} by {field}: {fix}", "k", fix="x")

        assert (refused.reason, refused.message) == (
            "Wrong",
            "k of backup/files-location by spec.storage.secretRef: x",
        )


class TestAdmin:
    @pytest.mark.parametrize(
        ("written", "password"),
        [
            pytest.param(" pass word ", " pass word ", id="as written, with its white space"),
            pytest.param("pass word\n", "pass word", id="but for the line end of echo"),
        ],
    )
    def test_name_and_password(self, written: str, password: str) -> None:
        data = secrets.read(ADMIN, objects.admin_secret(written), (secrets.TYPE_ADMIN,))

        assert secrets.admin(data) == secrets.Admin("admin@files", password)

    def test_a_name_that_http_cannot_carry_is_refused(self) -> None:
        values = {"username": "team:admin", "password": "p"}
        obj = objects.secret(objects.ADMIN, secrets.TYPE_ADMIN, values)

        with pytest.raises(InvalidInput, match=r"key username of Secret .* contains a colon"):
            secrets.admin(secrets.read(ADMIN, obj, (secrets.TYPE_ADMIN,)))

    @pytest.mark.parametrize("key", ["username", "password"])
    def test_each_key_is_needed(self, key: str) -> None:
        obj = objects.merged(objects.admin_secret(), {"data": {key: None}})

        with pytest.raises(InvalidInput, match=f"has no key {key}; add it"):
            secrets.admin(secrets.read(ADMIN, obj, (secrets.TYPE_ADMIN,)))


class TestRepositoryPassword:
    def test_the_password_as_written(self) -> None:
        obj = objects.password_secret("pass word\n")

        data = secrets.read(PASSWORD, obj, (secrets.TYPE_PASSWORD,))

        assert secrets.repository_password(data) == "pass word\n"

    def test_the_key_is_needed(self) -> None:
        obj = objects.secret(objects.REPOSITORY_PASSWORD, secrets.TYPE_PASSWORD, {"password": "p"})

        with pytest.raises(InvalidInput) as caught:
            secrets.repository_password(secrets.read(PASSWORD, obj, (secrets.TYPE_PASSWORD,)))

        assert caught.value.message == (
            "Secret backup/files-repository-password, named by "
            "spec.repository.passwordSecretRef, has no key repo-password; add it"
        )


@pytest.mark.parametrize(
    ("obj", "read", "key"),
    [
        pytest.param(
            objects.password_secret("placeholder-repository-password"),
            lambda obj: secrets.repository_password(
                secrets.read(PASSWORD, obj, (secrets.TYPE_PASSWORD,))
            ),
            "repo-password of Secret backup/files-repository-password",
            id="what opens the repository",
        ),
        pytest.param(
            objects.admin_secret("placeholder-admin-password"),
            lambda obj: secrets.admin(secrets.read(ADMIN, obj, (secrets.TYPE_ADMIN,))),
            "password of Secret backup/files-admin",
            id="what administers the server",
        ),
    ],
)
def test_a_password_that_everybody_knows_is_refused(
    obj: Object, read: Callable[[Object], object], key: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(obj)

    assert caught.value.reason == "SecretPlaceholder"
    assert caught.value.message.startswith(f"key {key}, named by ")
    assert "still has the placeholder of a sample" in caught.value.message


class TestNoValueIsShown:
    @pytest.mark.parametrize(
        "holder",
        [
            pytest.param(location({"type": VALUE}), id="SecretData"),
            pytest.param(secrets.Admin("admin", VALUE), id="Admin"),
        ],
    )
    def test_in_a_representation(self, holder: object) -> None:
        assert VALUE not in repr(holder)
        assert VALUE not in str(holder)

    @pytest.mark.parametrize(
        "values",
        [
            pytest.param({"x": VALUE}, id="where a key is missing"),
            pytest.param({"type": " ", "x": VALUE}, id="or empty"),
            pytest.param({"type": VALUE.encode() + b"\xff"}, id="where it is no text"),
        ],
    )
    def test_in_a_message(self, values: dict[str, str | bytes]) -> None:
        with pytest.raises(InvalidInput) as caught:
            location(values).text("type")

        assert VALUE not in caught.value.message

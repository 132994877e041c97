"""Arguments as Blueprints and command lines give them."""

from collections.abc import Mapping
from typing import Any

import pytest
from attrs import frozen

from reconcilers.datafunctions.arguments import (
    Need,
    decode,
    duration,
    flag,
    mapping,
    number,
    text,
    texts,
    words,
)
from reconcilers.datafunctions.errors import Refused


@frozen
class Arguments:
    include_path: str = text("includePath", "the path", need=Need.ALWAYS)
    pod: str = text("pod", "the pod", need=Need.IN_PHASE)
    restore_path: str = text("restorePath", "where to", default="/")
    insecure: bool = flag("insecureTLS", "whether")
    backup_id: tuple[str, ...] = words("backupID", "the ids")
    volumes: Mapping[str, str] = mapping("volumes", "the claims")


NEEDED = {"includePath": "/data"}


def decoded(**given: object) -> Arguments:
    return decode(Arguments, NEEDED | given, function="Move").arguments


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, {"restore_path": "/", "insecure": False}, id="defaults"),
        pytest.param({"restorePath": ""}, {"restore_path": "/"}, id="empty is not given"),
        pytest.param({"restorePath": None}, {"restore_path": "/"}, id="null is not given"),
        pytest.param({"pod": 7}, {"pod": "7"}, id="a number is a text"),
        pytest.param({"pod": True}, {"pod": "true"}, id="so is a bool, as YAML writes it"),
        pytest.param({"insecureTLS": True}, {"insecure": True}, id="a bool"),
        pytest.param({"insecureTLS": "true"}, {"insecure": True}, id="a bool out of a template"),
        pytest.param({"insecureTLS": "F"}, {"insecure": False}, id="as Go reads it"),
        pytest.param({"backupID": "a b"}, {"backup_id": ("a", "b")}, id="words"),
        pytest.param({"backupID": ["a", "b c"]}, {"backup_id": ("a", "b", "c")}, id="a list"),
        pytest.param({"volumes": {"claim": "/data"}}, {"volumes": {"claim": "/data"}}, id="a map"),
        pytest.param(
            {"volumes": '{"claim":"/data"}'}, {"volumes": {"claim": "/data"}}, id="a map as JSON"
        ),
        pytest.param({"volumes": ""}, {"volumes": {}}, id="no map"),
    ],
)
def test_a_value_is_taken_for_what_it_must_be(
    given: dict[str, object], expected: dict[str, Any]
) -> None:
    arguments = decoded(**given)

    assert {name: getattr(arguments, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            {"includepath": "/data"},
            "argument includepath is not supported by Move; did you mean includePath?; "
            "argument includePath is missing; it is the path",
            id="a name in other letters",
        ),
        pytest.param(
            NEEDED | {"sparse": "true"},
            "argument sparse is not supported by Move; it has: includePath, pod, restorePath, "
            "insecureTLS, backupID, volumes",
            id="a name like no other",
        ),
        pytest.param(
            {"includePath": ""}, "argument includePath is empty; it is the path", id="empty"
        ),
        pytest.param(
            NEEDED | {"pod": ["secret"]}, "argument pod must be a text", id="a list for a text"
        ),
        pytest.param(
            NEEDED | {"insecureTLS": "secret"},
            "argument insecureTLS must be true or false",
            id="a word for a bool",
        ),
        pytest.param(
            NEEDED | {"backupID": {"secret": 1}},
            "argument backupID must be a list of words, apart by white space",
            id="a map for words",
        ),
        pytest.param(
            NEEDED | {"volumes": "claim=/data"},
            "argument volumes must be a map from texts to texts, as JSON where it is a text",
            id="no JSON for a map",
        ),
        pytest.param(
            NEEDED | {"volumes": '["claim"]'},
            "argument volumes must be a map from texts to texts, as JSON where it is a text",
            id="a JSON list for a map",
        ),
        pytest.param(
            NEEDED | {"volumes": {"claim": {"path": "/data"}}},
            "argument volumes must be a map from texts to texts, as JSON where it is a text",
            id="a map in a map",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name_and_without_its_value(
    given: dict[str, object], message: str
) -> None:
    with pytest.raises(Refused) as refused:
        decode(Arguments, given, function="Move")

    assert str(refused.value) == message


def test_all_that_does_not_fit_is_said_at_once() -> None:
    with pytest.raises(Refused, match=r"(?s)sparse.*includePath.*insecureTLS"):
        decode(Arguments, {"sparse": "1", "insecureTLS": "perhaps"}, function="Move")


def test_who_makes_the_pod_must_know_where() -> None:
    with pytest.raises(Refused, match="argument pod is missing; it is the pod"):
        decode(Arguments, NEEDED, function="Move", phase=True)


def test_what_was_given_is_known_by_the_names_that_users_write() -> None:
    given = NEEDED | {"insecureTLS": "false", "restorePath": "", "backupID": "a"}

    assert decode(Arguments, given, function="Move").given == {"includePath", "backupID"}


@frozen
class Of:
    """Arguments of types for which nothing is not the same as a zero."""

    replicas: int = number("replicas", "how many", need=Need.ALWAYS)
    timeout: float = duration("timeout", "how long", need=Need.ALWAYS)
    command: tuple[str, ...] = texts("command", "what", need=Need.ALWAYS)
    waits: bool = flag("waits", "whether", default=True)


WHOLE = {"replicas": 1, "timeout": "5m", "command": ["a"]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, {"replicas": 1, "timeout": 300.0, "waits": True}, id="defaults"),
        pytest.param({"replicas": 0}, {"replicas": 0}, id="0 is a number"),
        pytest.param({"replicas": "0"}, {"replicas": 0}, id="also out of a template"),
        pytest.param({"replicas": 3.0}, {"replicas": 3}, id="a whole number from JSON"),
        pytest.param({"replicas": " 2\n"}, {"replicas": 2}, id="white space around it"),
        pytest.param({"timeout": "0s"}, {"timeout": 0.0}, id="no time is a duration"),
        pytest.param({"timeout": "1h30m"}, {"timeout": 5400.0}, id="a duration in parts"),
        pytest.param({"waits": False}, {"waits": False}, id="false against a default of true"),
        pytest.param({"waits": "false"}, {"waits": False}, id="also out of a template"),
        pytest.param({"waits": ""}, {"waits": True}, id="empty is not given"),
        pytest.param(
            {"command": ["sh", "-c", "echo a  b\n", ""]},
            {"command": ("sh", "-c", "echo a  b\n", "")},
            id="each text of a list is kept whole",
        ),
        pytest.param({"command": ["sleep", 5]}, {"command": ("sleep", "5")}, id="a number in it"),
        pytest.param({"command": "a b"}, {"command": ("a b",)}, id="a text alone is one element"),
    ],
)
def test_a_zero_is_a_value(given: dict[str, object], expected: dict[str, Any]) -> None:
    arguments = decode(Of, WHOLE | given, function="Move").arguments

    assert {name: getattr(arguments, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"replicas": ""}, "argument replicas is empty; it is how many", id="empty"),
        pytest.param({"replicas": None}, "argument replicas is empty; it is how many", id="null"),
        pytest.param(
            {"replicas": "secret"}, "argument replicas must be a whole number", id="a word"
        ),
        pytest.param({"replicas": 1.5}, "argument replicas must be a whole number", id="a half"),
        pytest.param({"replicas": True}, "argument replicas must be a whole number", id="a bool"),
        pytest.param(
            {"timeout": "secret"},
            "argument timeout must be a duration such as 90s, 5m or 1h30m",
            id="a word for a duration",
        ),
        pytest.param(
            {"timeout": 5},
            "argument timeout must be a duration such as 90s, 5m or 1h30m",
            id="a duration without its unit, as in Go",
        ),
        pytest.param({"command": []}, "argument command is empty; it is what", id="an empty list"),
        pytest.param(
            {"command": [["secret"]]}, "argument command must be a list of texts", id="a list in it"
        ),
    ],
)
def test_what_is_no_value_of_such_a_type_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(Refused) as refused:
        decode(Of, WHOLE | given, function="Move")

    assert str(refused.value) == message

"""Who is told to have a repository together with whom."""

import pytest

from controller.reconcile import Request
from reconcilers.repositoryserver.status import sharing
from reconcilers.repositoryserver.status.sharing import Repositories

FIRST, SECOND, THIRD = (Request("backup", name) for name in ("first", "second", "third"))
HERE, THERE = "here in bucket b", "there in bucket b"


@pytest.fixture
def repositories() -> Repositories:
    known = Repositories()
    known.examined(FIRST, HERE)
    known.examined(SECOND, HERE)
    return known


def test_each_of_two_servers_on_one_repository_shares_it_with_the_other(
    repositories: Repositories,
) -> None:
    assert repositories.sharing(FIRST) == [SECOND]
    assert repositories.sharing(SECOND) == [FIRST]


def test_the_others_are_named_in_one_order_by_namespace_and_name() -> None:
    others = [Request(namespace, name) for namespace in ("a", "b") for name in ("x", "y", "z")]
    known = Repositories()
    for request in [FIRST, *reversed(others)]:
        known.examined(request, HERE)

    assert known.sharing(FIRST) == others


@pytest.mark.parametrize(
    "repository",
    [
        pytest.param(THERE, id="another repository is nobody else's"),
        pytest.param("", id="who only reads shares with nobody"),
    ],
)
def test_a_server_that_goes_elsewhere_shares_no_more(
    repositories: Repositories, repository: str
) -> None:
    repositories.examined(SECOND, repository)

    assert repositories.sharing(FIRST) == []
    assert repositories.sharing(SECOND) == []


def test_two_that_only_read_share_nothing(repositories: Repositories) -> None:
    repositories.examined(FIRST, "")
    repositories.examined(SECOND, "")

    assert repositories.sharing(FIRST) == []


def test_a_server_that_is_gone_is_forgotten(repositories: Repositories) -> None:
    repositories.drop(SECOND)

    assert repositories.sharing(FIRST) == []
    assert repositories.sharing(SECOND) == []


def test_a_server_whose_inputs_are_spoilt_has_the_repository_that_it_had(
    repositories: Repositories,
) -> None:
    repositories.failed(SECOND)

    assert repositories.sharing(FIRST) == [SECOND]


def test_nobody_is_left_alone_before_all_were_examined(repositories: Repositories) -> None:
    assert repositories.have_examined([FIRST, SECOND])
    assert not repositories.have_examined([FIRST, SECOND, THIRD])

    repositories.failed(THIRD)

    assert repositories.have_examined([FIRST, SECOND, THIRD])


class TestWaking:
    """Whoever has something else to say of its repository is woken, and nobody else."""

    @pytest.mark.parametrize(
        ("there", "comes", "woken"),
        [
            pytest.param("b", "a", "b", id="the second, and the first hears of it"),
            pytest.param("", "a", "", id="the first, alone"),
            pytest.param("bcd", "a", "bcd", id="one that all others name"),
            pytest.param("abc", "d", "abc", id="one that all others name, as their last"),
            pytest.param("abcd", "e", "abcd", id="the first that is no longer named"),
            pytest.param("abcde", "f", "", id="another that nobody names"),
            pytest.param("abdef", "c", "abdef", id="one in place of another"),
            pytest.param("abcef", "d", "abc", id="one that only those name who are named"),
        ],
    )
    def test_as_another_one_comes_and_goes(self, there: str, comes: str, woken: str) -> None:
        heard: list[str] = []
        known = Repositories(lambda request: heard.append(request.name))
        for name in there:
            known.examined(Request("backup", name), HERE)
        heard.clear()

        known.examined(Request("backup", comes), HERE)
        assert "".join(heard) == woken
        heard.clear()
        known.examined(Request("backup", comes), THERE)
        assert "".join(heard) == woken
        known.examined(Request("backup", comes), HERE)
        heard.clear()
        known.drop(Request("backup", comes))
        assert "".join(heard) == woken

    def test_nobody_for_what_is_known(self) -> None:
        heard: list[Request] = []
        known = Repositories(heard.append)
        for request in (FIRST, SECOND, FIRST, SECOND):
            known.examined(request, HERE)
        assert heard == [FIRST]

    def test_both_sides_of_one_that_moves(self) -> None:
        heard: list[Request] = []
        known = Repositories(heard.append)
        for request, place in ((FIRST, HERE), (SECOND, HERE), (THIRD, THERE)):
            known.examined(request, place)
        heard.clear()

        known.examined(SECOND, THERE)

        assert heard == [FIRST, THIRD]


@pytest.mark.parametrize(
    ("count", "named"),
    [
        pytest.param(1, "server-0", id="one is named"),
        pytest.param(3, "server-0, server-1, server-2", id="three are named"),
        pytest.param(9, "server-0, server-1, server-2 and others", id="of many three are named"),
    ],
)
def test_a_message_stays_short(count: int, named: str) -> None:
    others = [Request("backup", f"server-{number}") for number in range(count)]

    said = sharing.words(HERE, others, "backup")

    assert said.startswith(
        f"the repository at {HERE} is also served by RepositoryServer {named}, and"
    )


def test_a_message_says_in_which_other_namespace_a_server_is() -> None:
    said = sharing.words(HERE, [SECOND, Request("other", "third")], "backup")

    assert "by RepositoryServer second, other/third, and" in said

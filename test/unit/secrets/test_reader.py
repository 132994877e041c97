"""For how long a Secret's content is shared, told by the reads that are sent."""

from __future__ import annotations

import gc
import weakref

import pytest

from controller.cache.mutationcache import MutationCache
from controller.cache.store import Store
from controller.clock import Deadline
from fakes import objects
from fakes.apiclient import Action, FakeClient
from fakes.clock import FakeClock
from reconcilers import resources
from reconcilers.secrets.reader import ReadScope, SecretReader, versions

READ = Action("get", "secrets", objects.TLS)


class World:
    """Secrets on a server and in a cache, and scopes that read them."""

    def __init__(self) -> None:
        self.api = FakeClient()
        self.clock = FakeClock(objects.NOW)
        self.cached = Store()
        self.reader = SecretReader(
            client=self.api,  # type: ignore[arg-type]  # the fake has what is called
            cache=MutationCache(self.cached, clock=self.clock, metadata_only=True),
        )
        self.change()
        self.see()

    def change(self) -> None:
        """Write the Secret."""
        (secret,) = (s for s in objects.all_secrets() if s["metadata"]["name"] == objects.TLS)
        self.written = self.api.put(resources.SECRETS, secret)

    def see(self) -> None:
        """Let the watch show the Secret as it is, without its data."""
        shown = {name: self.written[name] for name in ("apiVersion", "kind", "metadata")}
        self.cached.update(shown)

    def begin(self) -> ReadScope:
        """Begin another use of Secrets."""
        return ReadScope(Deadline.after(self.clock, 60.0))

    def read(self, scope: ReadScope) -> str:
        """Read the Secret, and return the version that it was given."""
        obj = self.reader.get(scope, objects.NAMESPACE, objects.TLS)
        assert obj is not None
        version: str = obj["metadata"]["resourceVersion"]
        return version


@pytest.fixture
def world() -> World:
    return World()


def test_scopes_at_the_same_time_share_one_read(world: World) -> None:
    first, second = world.begin(), world.begin()

    assert world.read(first) == world.read(second)
    assert world.api.actions == [READ]


def test_the_content_goes_with_the_last_scope_that_has_it(world: World) -> None:
    first, second = world.begin(), world.begin()
    world.read(first)
    world.read(second)
    (shared,) = first.held
    content = weakref.ref(shared)
    del shared, first
    assert content() is not None

    del second
    gc.collect()
    assert content() is None
    world.read(world.begin())
    assert world.api.actions == [READ, READ]


def test_a_changed_secret_is_read_anew_once_the_change_is_seen(world: World) -> None:
    first, second = world.begin(), world.begin()
    before = world.read(first)
    world.change()
    assert world.read(second) == before

    world.see()
    assert world.read(world.begin()) == world.written["metadata"]["resourceVersion"]
    assert world.api.actions == [READ, READ]


def test_what_is_newer_than_the_cache_is_not_lent_to_who_knows_an_older_version(
    world: World,
) -> None:
    world.change()
    first, second = world.begin(), world.begin()
    newest = world.written["metadata"]["resourceVersion"]

    assert world.read(first) == world.read(second) == newest
    assert world.api.actions == [READ, READ]


def test_a_secret_that_the_cache_does_not_show_is_asked_for(world: World) -> None:
    world.cached.delete(world.written)
    first, second = world.begin(), world.begin()
    world.read(first)
    world.read(second)

    assert world.api.actions == [READ, READ]


def test_a_secret_that_is_not_there_is_none(world: World) -> None:
    assert world.reader.get(world.begin(), objects.NAMESPACE, "other") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(["ab", "c"], ["a", "bc"], id="where a part ends"),
        pytest.param([("a", "1"), ("b", "2")], [("a", "2"), ("b", "1")], id="whose version it is"),
        pytest.param(["a", "b"], ["b", "a"], id="the order"),
    ],
)
def test_versions_differ_by(one: list[object], other: list[object]) -> None:
    assert versions(one) != versions(other)

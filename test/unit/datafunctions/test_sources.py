"""Each thing that is backed up has a source of its own."""

import pytest

from reconcilers.datafunctions.errors import Refused
from reconcilers.datafunctions.sources import Source, choose


@pytest.mark.parametrize(
    ("known", "source"),
    [
        pytest.param(
            {"namespace": "shop", "claim": "data-db-0"},
            Source("/claim/shop/data-db-0"),
            id="a claim is the same wherever it is mounted",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "db-0"},
            Source("/pod/shop/db-0/var/lib/data"),
            id="a StatefulSet's pod keeps its name",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "db-1"},
            Source("/pod/shop/db-1/var/lib/data"),
            id="another one has another source",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "web-7d4b9cf5d6-x2k5z"},
            Source("/workload/shop/web/var/lib/data", force_hash=True),
            id="a Deployment's pods share one, so every file is read",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "agent-x2k5z"},
            Source("/workload/shop/agent/var/lib/data", force_hash=True),
            id="so do those of a DaemonSet or a bare ReplicaSet",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "web-frontend-one"},
            Source("/pod/shop/web-frontend-one/var/lib/data"),
            id="a word with vowels is no random end",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "db-0", "container": "tools"},
            Source("/pod-container/shop/db-0/tools/var/lib/data"),
            id="another container of the pod may have another volume at the path",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "web-7d4b9cf5d6-x2k5z", "container": "tools"},
            Source("/workload-container/shop/web/tools/var/lib/data", force_hash=True),
            id="containers of a Deployment's pods have histories of their own",
        ),
        pytest.param(
            {"namespace": "shop", "claim": "data", "pod": "db-0", "container": "tools"},
            Source("/claim/shop/data"),
            id="a claim counts more than the pod and its container",
        ),
        pytest.param(
            {"namespace": "shop", "claim": "data", "asked": "shop.db"},
            Source("/source/shop.db/var/lib/data"),
            id="what is asked for counts most",
        ),
        pytest.param(
            {"asked": "db"}, Source("/source/db/var/lib/data"), id="it needs nothing else"
        ),
    ],
)
def test_the_source_follows_from_what_is_known(known: dict[str, str], source: Source) -> None:
    assert choose("/var/lib/data", **known) == source


def test_the_whole_file_system_of_a_pod_has_no_slash_behind() -> None:
    assert choose("/", namespace="shop", pod="db-0") == Source("/pod/shop/db-0")


@pytest.mark.parametrize(
    ("known", "message"),
    [
        pytest.param({}, "nothing says whose data this is: give .*--source NAME", id="nothing"),
        pytest.param({"pod": "db-0"}, "nothing says whose", id="a pod of no namespace"),
        pytest.param({"namespace": "shop"}, "nothing says whose", id="a namespace without a pod"),
        pytest.param(
            {"namespace": "a/b", "pod": "db-0"},
            "argument namespace: 'a/b' is not a name in Kubernetes",
            id="a name that would be two",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "db-0", "container": "a/b"},
            "argument container: 'a/b' is not a name in Kubernetes",
            id="a container that would be a container and a path",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "../x"}, "argument pod: '../x' is not", id="a way up"
        ),
        pytest.param({"asked": "a/b"}, "--source 'a/b' is not a name", id="a path for a name"),
        pytest.param({"asked": ".."}, "--source '..' is not a name", id="no name at all"),
    ],
)
def test_what_would_mix_sources_is_refused(known: dict[str, str], message: str) -> None:
    with pytest.raises(Refused, match=message):
        choose("/data", **known)

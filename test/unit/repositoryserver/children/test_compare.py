"""When an object needs applying."""

import re

import pytest

from fakes import objects
from fakes.children import (
    DIGEST,
    Object,
    inputs,
    server,
)
from reconcilers.repositoryserver.children import compare, names, network
from reconcilers.repositoryserver.children.pod import template


class TestWithApplied:
    def test_the_annotation_is_the_only_difference(self) -> None:
        desired = network.service(server(), DIGEST)
        desired["metadata"]["annotations"] = {"note": "a"}

        applied = compare.with_applied(desired)

        digest = applied["metadata"]["annotations"].pop("cr.kanister.io/applied")
        assert re.fullmatch("[0-9a-f]{10}", digest)
        assert applied == desired

    def test_the_desired_object_is_left_alone(self) -> None:
        desired = network.service(server(), DIGEST)

        compare.with_applied(desired)

        assert desired == network.service(server(), DIGEST)

    def test_a_field_that_is_no_longer_desired_changes_it(self) -> None:
        desired = network.service(server(), DIGEST)
        less = objects.merged(desired, {"spec": {"type": None}})

        assert compare.with_applied(desired) != compare.with_applied(less)
        assert compare.differs(
            compare.with_applied(less), objects.stored(compare.with_applied(desired))
        )


SERVICE = compare.with_applied(network.service(server(), DIGEST))
POLICY = compare.with_applied(
    network.network_policy(server({"spec": {"server": {"networkPolicy": {"podSelector": {}}}}}))
)
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": names.metadata(server(), "files", DIGEST),
    "spec": template(server(), inputs(), DIGEST)["spec"],
}

FOREIGN_OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "foreign"}
PORT = {"name": "https", "port": 51515, "protocol": "TCP", "targetPort": 51515}
RULE = POLICY["spec"]["ingress"][0]


class TestDiffers:
    @pytest.mark.parametrize("desired", [SERVICE, POLICY, POD], ids=["Service", "Policy", "Pod"])
    def test_what_the_api_server_makes_of_it_is_no_difference(self, desired: Object) -> None:
        assert not compare.differs(desired, objects.stored(desired, status={"any": "thing"}))

    @pytest.mark.parametrize(
        ("desired", "change"),
        [
            pytest.param(SERVICE, {"metadata": {"labels": {"team": "a"}}}, id="a label"),
            pytest.param(SERVICE, {"metadata": {"annotations": {"n": "a"}}}, id="an annotation"),
            pytest.param(SERVICE, {"metadata": {"finalizers": ["x"]}}, id="a finalizer"),
            pytest.param(
                SERVICE,
                {
                    "metadata": {
                        "ownerReferences": [FOREIGN_OWNER, *SERVICE["metadata"]["ownerReferences"]]
                    }
                },
                id="another owner, whom an apply would not take away",
            ),
            pytest.param(SERVICE, {"spec": {"sessionAffinity": "ClientIP"}}, id="a field unsaid"),
        ],
    )
    def test_what_others_add_is_let_be(self, desired: Object, change: Object) -> None:
        observed = objects.merged(objects.stored(desired), change)

        assert not compare.differs(desired, observed)

    @pytest.mark.parametrize(
        ("desired", "change"),
        [
            pytest.param(
                SERVICE,
                {"metadata": {"labels": {names.LABEL_INSTANCE: None}}},
                id="a label gone",
            ),
            pytest.param(SERVICE, {"metadata": {"ownerReferences": []}}, id="the owner gone"),
            pytest.param(SERVICE, {"metadata": {"ownerReferences": None}}, id="all owners gone"),
            pytest.param(
                SERVICE,
                {"metadata": {"ownerReferences": [FOREIGN_OWNER]}},
                id="another owner in its place",
            ),
            pytest.param(
                SERVICE,
                {"metadata": {"annotations": {names.ANNOTATION_APPLIED: "0"}}},
                id="last applied from something else",
            ),
            pytest.param(SERVICE, {"spec": {"type": "NodePort"}}, id="a field changed"),
            pytest.param(SERVICE, {"spec": {"ports": [{**PORT, "port": 1}]}}, id="a port changed"),
            pytest.param(SERVICE, {"spec": {"ports": [PORT, PORT]}}, id="a port more"),
            pytest.param(SERVICE, {"spec": {"ports": []}}, id="a port less"),
            pytest.param(SERVICE, {"spec": {"ports": None}}, id="no ports"),
            pytest.param(SERVICE, {"spec": {"selector": {"x": "y"}}}, id="a selector's label more"),
            pytest.param(SERVICE, {"spec": {"selector": None}}, id="the selector gone"),
            pytest.param(
                POLICY,
                {"spec": {"podSelector": {"matchLabels": {"x": "y"}}}},
                id="fewer pods protected",
            ),
            pytest.param(POLICY, {"spec": {"ingress": [RULE, {}]}}, id="a rule for everybody"),
            pytest.param(
                POLICY,
                {"spec": {"ingress": [{**RULE, "from": [*RULE["from"], {"podSelector": {}}]}]}},
                id="a peer more",
            ),
            pytest.param(
                POLICY,
                {"spec": {"ingress": [{"ports": RULE["ports"]}]}},
                id="no peers, which means everybody",
            ),
            pytest.param(
                POLICY, {"spec": {"policyTypes": ["Ingress", "Egress"]}}, id="a type more"
            ),
            pytest.param(POD, {"spec": {"containers": [{"name": "x"}]}}, id="another container"),
        ],
    )
    def test_what_is_not_as_it_should_be(self, desired: Object, change: Object) -> None:
        observed = objects.merged(objects.stored(desired), change)

        assert compare.differs(desired, observed)

    @pytest.mark.parametrize(
        ("desired", "observed"),
        [
            pytest.param({"a": 1}, None, id="null in place of an object"),
            pytest.param({"a": [1]}, {"a": {"0": 1}}, id="an object in place of a list"),
            pytest.param({"a": 1}, {"a": "1"}, id="text in place of a number"),
            pytest.param({"a": [1, 2]}, {"a": [2, 1]}, id="another order"),
            pytest.param({"a": {}}, {}, id="an empty object left out"),
            pytest.param(
                {"metadata": {"labels": {"containers": "a", "selector": "b"}}},
                {"metadata": {"labels": {"containers": "b", "selector": "b"}}},
                id="a label that is called as a list of a pod",
            ),
        ],
    )
    def test_values_of_another_kind(self, desired: Object, observed: object) -> None:
        assert compare.differs(desired, observed)


@pytest.mark.parametrize(
    ("desired", "observed", "patch"),
    [
        pytest.param({"a": 1}, {"a": 2}, {"a": 1}, id="another value is written"),
        pytest.param({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": None}, id="a field more is removed"),
        pytest.param(
            {"a": {"b": 1}},
            {"a": {"b": 1, "c": 2}},
            {"a": {"b": 1, "c": None}},
            id="also further in",
        ),
        pytest.param({"a": {"b": 1}}, {"a": None}, {"a": {"b": 1}}, id="a map that is gone"),
        pytest.param({"a": [1]}, {"a": [1, 2]}, {"a": [1]}, id="a list is replaced as a whole"),
    ],
)
def test_the_patch_that_leaves_nothing_but_what_is_desired(
    desired: Object, observed: Object, patch: Object
) -> None:
    assert compare.replacing(desired, observed) == patch
    assert objects.merged(observed, patch) == desired

"""The labels and annotations of a pod that is there follow its template."""

import pytest

from fakes import objects
from fakes.children import (
    DIGEST,
    Object,
    inputs,
    of_pod,
    server,
)
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.pod import metadata_patch, template


def metadata(labels: Object | None = None, annotations: Object | None = None) -> Object:
    """Return the metadata of a template with labels and annotations of the resource's."""
    of = server(of_pod(podLabels=labels or {}, podAnnotations=annotations or {}))
    found: Object = template(of, inputs(of), DIGEST)["metadata"]
    return found


KEYS = "cr.kanister.io/from-template"
WITH_TEAM, WITHOUT = metadata({"team": "a"}, {"note": "b"}), metadata()


class TestPodThatIsThere:
    """A ReplicaSet's template is for new pods: one that is there is changed by a patch."""

    @pytest.mark.parametrize(
        ("wanted", "observed", "patch"),
        [
            pytest.param(WITHOUT, WITHOUT, {}, id="nothing has changed"),
            pytest.param(
                WITH_TEAM,
                WITHOUT,
                {
                    "labels": {"team": "a"},
                    "annotations": {"note": "b", KEYS: WITH_TEAM["annotations"][KEYS]},
                },
                id="what the template says by now is written",
            ),
            pytest.param(
                WITHOUT,
                WITH_TEAM,
                {
                    "labels": {"team": None},
                    "annotations": {"note": None, KEYS: WITHOUT["annotations"][KEYS]},
                },
                id="what it does not say any more is taken off",
            ),
            pytest.param(
                WITHOUT,
                objects.merged(WITHOUT, {"labels": {"mesh": "x"}, "annotations": {"mesh": "y"}}),
                {},
                id="what others have added stays",
            ),
            pytest.param(
                WITHOUT,
                objects.merged(WITHOUT, {"labels": {names.LABEL_INSTANCE: None}}),
                {"labels": {names.LABEL_INSTANCE: objects.NAME}},
                id="a label that somebody has taken off is put back",
            ),
            pytest.param(
                WITHOUT,
                objects.merged(WITH_TEAM, {"annotations": {KEYS: "["}}),
                {"annotations": {KEYS: WITHOUT["annotations"][KEYS]}},
                id="where nobody knows what came from the template nothing is taken off",
            ),
            pytest.param(
                WITHOUT,
                {},
                {"labels": WITHOUT["labels"], "annotations": WITHOUT["annotations"]},
                id="a pod that has lost everything",
            ),
        ],
    )
    def test_is_brought_up_to_date(self, wanted: Object, observed: Object, patch: Object) -> None:
        assert metadata_patch(wanted, observed) == patch

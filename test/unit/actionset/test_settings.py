"""What the annotations of an ActionSet say, and what they cannot say."""

from __future__ import annotations

import pytest

from reconcilers.actionset import api
from reconcilers.actionset.settings import Settings, read_settings


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        pytest.param({}, Settings(), id="none: everything may take as long as it likes"),
        pytest.param(
            {api.ANNOTATION_TIMEOUT: "30m"}, Settings(timeout=1800), id="a limit for each phase"
        ),
        pytest.param(
            {api.ANNOTATION_TIMEOUT: "1h, dump=2h,verify=10m"},
            Settings(timeout=3600, timeouts={"dump": 7200, "verify": 600}),
            id="and others for some",
        ),
        pytest.param(
            {api.ANNOTATION_REPEATABLE: "a, b"},
            Settings(repeatable=frozenset("ab")),
            id="phases that may run twice",
        ),
        pytest.param(
            {api.ANNOTATION_KEEP_FAILED_POD: "true"},
            Settings(keep_failed_pod=True),
            id="a failed pod is kept",
        ),
        pytest.param({api.ANNOTATION_TTL: "7d"}, Settings(ttl=604800), id="kept for a week"),
        pytest.param(
            {api.ANNOTATION_TTL: "soon"},
            Settings(
                problems=(
                    (
                        f"annotation {api.ANNOTATION_TTL}: 'soon' is not a duration such as 90s,"
                        " 30m, 2h30m or 7d"
                    ),
                )
            ),
            id="no time: kept for ever, and told",
        ),
        pytest.param(
            {api.ANNOTATION_TIMEOUT: "dump=30"},
            Settings(
                problems=(
                    (
                        f"annotation {api.ANNOTATION_TIMEOUT}: 'dump=30' is neither a duration such"
                        " as 30m nor several as backup=2h,verify=10m"
                    ),
                )
            ),
            id="a limit without a unit",
        ),
        pytest.param(
            {api.ANNOTATION_KEEP_FAILED_POD: "yes"},
            Settings(
                problems=(
                    f"annotation {api.ANNOTATION_KEEP_FAILED_POD}: 'yes' is neither true nor false",
                )
            ),
            id="neither true nor false",
        ),
        pytest.param(
            {api.ANNOTATION_PLAIN_EXEC: "1"},
            Settings(
                problems=(f"annotation {api.ANNOTATION_PLAIN_EXEC}: '1' is neither true nor false",)
            ),
            id="the same of commands",
        ),
    ],
)
def test_annotations(annotations: dict[str, str], expected: Settings) -> None:
    assert read_settings(annotations) == expected


def test_a_phases_own_limit_counts_more_than_that_of_all() -> None:
    settings = Settings(timeout=10, timeouts={"dump": 20})

    assert (settings.timeout_of("dump"), settings.timeout_of("upload")) == (20, 10)


@pytest.mark.parametrize(
    ("of_action_set", "of_blueprint", "expected"),
    [
        pytest.param("", "", False, id="neither names it"),
        pytest.param("dump", "", True, id="the ActionSet does"),
        pytest.param("", "upload,dump", True, id="the Blueprint does"),
        pytest.param("*", "", True, id="all may"),
        pytest.param("dumps", "", False, id="another name"),
    ],
)
def test_repeatable_phases(of_action_set: str, of_blueprint: str, *, expected: bool) -> None:
    annotations = {api.ANNOTATION_REPEATABLE: of_action_set}

    assert read_settings(annotations, of_blueprint).is_repeatable("dump") is expected

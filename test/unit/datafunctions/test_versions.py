"""Versions of functions, as users write them."""

import pytest

from reconcilers.datafunctions.versions import normalized


@pytest.mark.parametrize(
    ("text", "version"),
    [
        pytest.param("", "v0.0.0", id="none means the default"),
        pytest.param("v1.0.0-alpha", "v1.0.0-alpha", id="in full"),
        pytest.param("1.0.0-alpha", "v1.0.0-alpha", id="without v it is the same version"),
        pytest.param("v1", "v1.0.0", id="what is left out is 0"),
        pytest.param("1.2", "v1.2.0", id="the last number alone"),
        pytest.param("v0.0.0+x", "v0.0.0", id="build metadata does not count"),
        pytest.param("v1.0.0-alpha.1+x.y", "v1.0.0-alpha.1", id="nor behind a pre-release"),
        pytest.param("v01.0.0", "v1.0.0", id="leading zeros are accepted, as Kanister does"),
    ],
)
def test_one_version_has_one_form(text: str, version: str) -> None:
    assert normalized(text) == version


@pytest.mark.parametrize("text", ["latest", "v", "1.0.0.0", "v1.0.0-", "v1.0.0 ", "V1.0.0", "²"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a version, such as v1\.0\.0-alpha"):
        normalized(text)

"""Old arguments, row by row: what becomes of each."""

import pytest

from reconcilers.datafunctions.errors import Refused
from reconcilers.datafunctions.old import warnings


@pytest.mark.parametrize(
    ("argument", "part"),
    [
        pytest.param("encryptionKey", "its own password, which only its server knows", id="key"),
        pytest.param("insecureTLS", "known by the fingerprint", id="fingerprint"),
        pytest.param("reclaimSpace", "freed by the repository's maintenance", id="space"),
        pytest.param("image", "a pod that runs already, with its image", id="image"),
    ],
)
def test_what_loses_nothing_is_accepted_with_a_warning(argument: str, part: str) -> None:
    (warning,) = warnings({argument, "includePath"})

    assert warning.startswith(f"argument {argument} has no effect")
    assert part in warning


@pytest.mark.parametrize("argument", ["podOverride", "podLabels", "podAnnotations"])
def test_what_would_mislead_is_refused(argument: str) -> None:
    with pytest.raises(Refused, match=f"argument {argument} cannot be .* that pod"):
        warnings({argument})


@pytest.mark.parametrize("argument", ["podOverride", "podLabels", "podAnnotations", "image"])
def test_who_makes_the_pod_uses_what_is_about_it(argument: str) -> None:
    assert warnings({argument}, phase=True) == []


def test_who_makes_the_pod_is_told_of_the_rest() -> None:
    assert len(warnings({"encryptionKey", "reclaimSpace"}, phase=True)) == 2


def test_what_has_its_old_meaning_is_silent() -> None:
    assert warnings({"backupArtifactPrefix", "backupTag", "includePath"}) == []

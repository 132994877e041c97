"""The commands and the programs that the documentation gives to its readers."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).parents[2]

#: The pages whose kubectl commands test_documentation.py runs. Those of a line share a server, in
#: this order: the last one of the first line deletes it.
PAGES: Final = (
    (
        "docs/operations.md",
        "docs/maintenance.md",
        "docs/disaster-recovery.md",
        "docs/installation.md",
    ),
    (
        "docs/migration.md",
        "docs/decisions/storage-away.md",
        "docs/decisions/users-by-htpasswd.md",
    ),
)
TUTORIAL: Final = "docs/tutorial.md"

#: Which test runs the commands of a page that begin so.
RUN_BY: Final[Mapping[tuple[str, str], str]] = {
    **{(page, "kubectl "): "test/e2e/test_documentation.py" for pages in PAGES for page in pages},
    (TUTORIAL, ""): "test/e2e/test_tutorial.py",
    ("docs/certificates.md", "kubectl "): "test/e2e/test_certificates.py",
    ("docs/security.md", "kubectl "): "test/e2e/test_access.py",
    ("docs/functions.md", "kubectl "): "test/e2e/test_functions.py",
    ("docs/functions.md", "repository-server-functions "): "test/unit/test_functions_page.py",
    ("docs/actionsets.md", "kubectl "): "test/integration/test_actionsets_page.py",
    ("docs/plugin.md", "kubectl reposerver "): "test/unit/plugin/test_plugin_page.py",
    ("manifests/application/README.md", "kubectl "): "test/integration/test_actionsets_page.py",
}

_OF_HACK: Final = "runs for minutes, makes the cluster of the tests, or runs the tests themselves"
_PAGE_OF_BLUEPRINTS: Final = "RSC_TEST_BLUEPRINTS_PAGE=docs/blueprints.md"
_RELEASE: Final = "is about a release that is published; hack/release --try installs one"
_DEMO_ELSEWHERE: Final = (
    "hack/demo --kubeconfig ~/.kube/config --image REGISTRY/repository-server-controller:TAG"
)
_FOLLOW_UP: Final = "test_manifests_actionsets.py runs this script against a real API server"
_FIGURE: Final = "prints the time that the page tells of"
_CONNECTS: Final = tuple(
    f"kopia repository connect server --url=https://{address} --server-cert-fingerprint="
    "a4e5cc16bc0b32235dbd574024114885d5f13580e98221ed3f936a8be47c7332 "
    "--override-username=backup --override-hostname=web --no-persist-credentials"
    for address in ("repo-server-files.backup.svc:51515", "127.0.0.1:5555")
)
_NO_DOCKER: Final = "needs Docker and a registry; hack/images builds the images of the tests"
_CHART: Final = "test/e2e/test_chart.py installs the chart with the images of the tests"
_TAKES_AWAY: Final = "takes away what the other tests use"

#: The commands of the documentation that no test runs as they stand there, and why.
NOT_RUN: Final[Mapping[str, str]] = {
    "docker build -t repository-server-controller . && kind load docker-image "
    "repository-server-controller": _NO_DOCKER,
    "docker build -t REGISTRY/repository-server-controller:TAG .": _NO_DOCKER,
    "docker push REGISTRY/repository-server-controller:TAG": _NO_DOCKER,
    "helm install repository-server-controller charts/repository-server-controller "
    "--namespace kanister --create-namespace --set image.repository=REGISTRY/"
    "repository-server-controller --set image.tag=TAG": _CHART,
    "helm install repository-server-controller charts/repository-server-controller "
    "--namespace kanister --create-namespace --set image.repository=registry.example/"
    "repository-server-controller": _CHART,
    "kubectl apply -k manifests": "test/e2e/installation.py applies an overlay of it, with the "
    "images and the namespace of the tests",
    "kubectl apply -f install.yaml": _RELEASE,
    **dict.fromkeys(
        (
            (
                "skopeo copy --all --preserve-digests "
                "oci-archive:repository-server-controller-VERSION.oci.tar docker://REGISTRY/repository-server-controller:VERSION"
            ),
            "helm push repository-server-controller-VERSION.tgz oci://REGISTRY/charts",
            "sha256sum --check SHA256SUMS",
            (
                "skopeo inspect --raw docker://REGISTRY/repository-server-controller:VERSION "
                "| sha256sum"
            ),
            "git verify-tag vVERSION && git checkout vVERSION",
            "diff dist/SHA256SUMS THE-PUBLISHED/SHA256SUMS",
        ),
        _RELEASE,
    ),
    "kubectl delete -k manifests": _TAKES_AWAY,
    "kubectl delete -k manifests/controller": _TAKES_AWAY,
    "kubectl delete -k manifests/crd": _TAKES_AWAY,
    "kubectl rollout undo -n kanister deployment/repository-server-controller": "the controller "
    "of the tests has no version before it; test_rotation.py changes its image",
    "kubectl set env -n kanister deployment/repository-server-controller RSC_LOG_LEVEL=debug": (
        "replaces the controller's pods under the other tests; test_settings.py sets others so"
    ),
    "kubectl port-forward -n kanister deployment/repository-server-controller 8080": "does not "
    "end by itself; test_failover.py reads the metrics in the pod",
    "curl localhost:8080/metrics": "needs the one before it",
    "kubectl create -f servers.yaml": "what it makes is there; test_documentation.py runs it "
    "after a loss",
    "kubectl delete validatingwebhookconfiguration repositoryservers.cr.kanister.io": (
        "the cluster of the tests has none; test_chart.py deletes that of the removed chart"
    ),
    "kubectl create secret generic location --type=secrets.kanister.io/storage-location "
    "--from-file=ca.crt --from-literal=type=s3Compliant ...": "is cut short; test_storage.py has "
    "stores with an authority of their own",
    "kubectl create secret generic -n backup-client repo-server-file-store-connection "
    '--from-literal=url="$(show url)" --from-literal=fingerprint="$(show fingerprint)"': (
        "calls a function of the shell; test_publish.py reads the same two keys as that account"
    ),
    "kubectl apply -k manifests/samples/connection-reader": "test_publish.py makes its objects in "
    "the namespaces of the tests",
    "TLS_SECRET=s3-tls manifests/samples/file-store/tls-secret.sh kanister": "the same script as "
    "for the file store, and its sample needs a bucket",
    "kubectl apply -k manifests/samples/s3": "needs a bucket; test/integration/test_manifests.py "
    "has the API server check it",
    "manifests/samples/actionsets/follow-up.sh restore kanister NAME": _FOLLOW_UP,
    "manifests/samples/actionsets/follow-up.sh delete kanister NAME": _FOLLOW_UP,
    'kopia repository connect server --url="$(cat url)" --server-cert-fingerprint='
    '"$(cat fingerprint)" --override-username=USER --override-hostname=HOST': "the sample's "
    "client runs it, in test_tutorial.py",
    "kopia repository connect server --url=https://repo-server-NAME.kanister.svc:51515 "
    "--override-username=USER --override-hostname=HOST": "test_certificates.py connects so, in a "
    "pod",
    "kopia server start --htpasswd-file=users ...": "is cut short; each server starts so",
    "kopia server user add --user-password=PASSWORD -- backup@client": "Kopia's own, against a "
    "repository of the reader's; e2e/node.py registers a user so",
    **dict.fromkeys(_CONNECTS, "is what `kubectl reposerver connect` prints, which is compared"),
    "pipx install .": "needs pipx and a package index; the image is built from the same package",
    "python3 -m venv ~/.reposerver && ~/.reposerver/bin/pip install .": "needs a package "
    "index; the image is built from the same package",
    "ln -s ~/.reposerver/bin/kubectl-reposerver ~/.local/bin/": "writes into the home folder",
    "python3 -X importtime -c 'import kubernetes.config' 2>&1 | tail -1": _FIGURE,
    "time kubectl-reposerver list": _FIGURE,
    "RSC_SERVER_IMAGE=localhost/kopia:0.23.1 repository-server-controller --namespace kanister": (
        "does not end by itself; test/integration runs the program so"
    ),
    **dict.fromkeys(
        (
            "hack/cluster up",
            'eval "$(hack/cluster env)"',
            "hack/demo",
            _DEMO_ELSEWHERE,
            "hack/images load kopia",
            "hack/release --try",
            "hack/release VERSION",
            "hack/release VERSION --pinned --image REGISTRY/repository-server-controller",
            "hack/soak --functions",
            "hack/soak --minutes 30",
            "hack/test",
            "hack/test e2e",
            "hack/test integration",
            "hack/test unit",
            (
                f"RSC_TEST_BLUEPRINTS_ON_A_NODE=yes {_PAGE_OF_BLUEPRINTS} hack/test e2e -- "
                "test/e2e/test_public_blueprints.py"
            ),
            f"{_PAGE_OF_BLUEPRINTS} pytest -q test/unit/actionset/blueprints",
            "SIMULATION_SEEDS=0-5000 pytest -q test/unit/repositoryserver/simulation",
            "SIMULATION_SEEDS=4711 pytest -q test/unit/repositoryserver/simulation",
            "SIMULATION_SEEDS=0-500 pytest -q test/unit/actionset/simulation",
        ),
        _OF_HACK,
    ),
}

_PROGRAMS: Final = re.compile(
    r"(?:[A-Z_]+=\S+ )*"
    r"(?:kubectl|helm|docker|kopia|kanctl|kando|curl|pipx|python3|pytest|skopeo|sha256sum|"
    r"git|diff|ln|time|eval|"
    r"kubectl-reposerver|repository-server-\w+|actionset-controller|"
    r"hack/\w+|manifests/[\w/-]+\.sh)(?=\s|$)"
)
# What follows is for the reader's shell.
_END: Final = re.compile(r"\s+(?:#.*|> [^'\"]*)$")
_FENCE: Final = re.compile(r"^ *```(\w*)$")
_SHELL: Final = ("sh", "console")
_NAMED: Final = re.compile(r"`((?:kubectl|helm) [^`]+)`")
# With fewer words it is the name of a command, not one to type.
_WORDS: Final = 3


def commands_of(page: str) -> list[str]:
    """Return the kubectl commands of a page, without comments and redirections.

    Args:
        page: Its path in the checkout.
    """
    return [command for command in all_commands_of(page) if command.startswith("kubectl ")]


def all_commands_of(page: str) -> list[str]:
    """Return the commands of a page's blocks, of whatever program, each on one line.

    Args:
        page: Its path in the checkout.
    """
    return [
        _END.sub("", line) for line in _block_lines((ROOT / page).read_text()) if _is_command(line)
    ]


def named_in(page: str) -> list[str]:
    """Return the commands to type that a page has in the midst of its sentences.

    Args:
        page: Its path in the checkout.
    """
    text = "\n".join(
        line for line in (ROOT / page).read_text().splitlines() if not line.startswith("    ")
    )
    return [command for command in _NAMED.findall(text) if len(command.split()) >= _WORDS]


def code_blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page that are in a language, in their order.

    Args:
        page: Its path in the checkout.
        language: The word that follows the fence.
    """
    fenced = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return fenced.findall((ROOT / page).read_text())


def as_typed(command: str, words: dict[str, str]) -> list[str]:
    """Return a command's arguments, as a reader would have them.

    Args:
        command: One of `commands_of`.
        words: What stands for the placeholders of the documentation.
    """
    return shlex.split(filled_in(command, words))[1:]


def filled_in(command: str, words: Mapping[str, str]) -> str:
    """Return a command with words in place of the placeholders.

    Args:
        command: One of `all_commands_of`.
        words: What stands for the placeholders of the documentation.
    """
    for placeholder, word in words.items():
        command = re.sub(rf"(?<!\w){placeholder}\b", word, command)
    return command


def _is_command(line: str) -> bool:
    return _PROGRAMS.match(line) is not None


def _block_lines(text: str) -> Iterator[str]:
    """Yield the lines of indented blocks, and of fenced ones for a shell, without the prompt."""
    fence = None
    for line in re.sub(r" *\\\n\s*", " ", text).splitlines():
        opened = _FENCE.match(line)
        if opened is not None:
            fence = opened[1] if fence is None else None
        elif fence in _SHELL or (fence is None and line.startswith("    ")):
            yield line.strip().removeprefix("$ ")

"""The documentation says what is so: links, flags, conditions, reasons, metrics, commands."""

import ast
import html
import re
from pathlib import Path

import attrs
import pytest
from prometheus_client import CollectorRegistry, Gauge

from controller.cache.store import Store
from controller.metrics import Metrics
from e2e.faults import FAULTS, Fault
from fakes.children import named
from reconcilers.options import Options, parse_options
from reconcilers.repositoryserver.children import applier, names, workload
from reconcilers.repositoryserver.definition import watcher
from reconcilers.repositoryserver.inputs import issuer
from reconcilers.repositoryserver.rollout import router
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status import reasons, writer
from reconcilers.repositoryserver.status.metrics import RepositoryServerCollector
from reconcilers.repositoryserver.users import purge, sync
from reconcilers.repositoryserver.verdict import STEPS

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "manifests/**/*.md", "charts/**/*.md")
    for page in ROOT.glob(pattern)
    if ".venv" not in page.parts
)


def read(page: str) -> str:
    return (ROOT / page).read_text()


OPERATIONS = read("docs/operations.md")
METRICS = read("docs/metrics.md")
SETTINGS = read("docs/settings.md")
TESTING = read("docs/testing.md")


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())

    missing = [
        target for target in targets if "://" not in target and not (page.parent / target).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_to_a_heading(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text())

    missing = [
        (target, anchor)
        for target, anchor in links
        if anchor not in anchors(page.parent / target if target else page)
    ]
    assert missing == []


def anchors(page: Path) -> set[str]:
    """Return what the headings of a page are linked by, as GitHub makes it of their words."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_decision_is_listed() -> None:
    pages = {page.name for page in ROOT.glob("docs/decisions/*.md")} - {"README.md"}

    assert set(re.findall(r"\]\(([\w-]+\.md)\)", read("docs/decisions/README.md"))) == pages


def test_every_page_is_listed_by_its_kind() -> None:
    pages = {page.name for page in ROOT.glob("docs/*.md")} - {"README.md"}

    assert set(re.findall(r"\]\(([\w-]+\.md)", read("docs/README.md"))) == pages


def test_whoever_works_on_it_is_told_of_every_room_and_module_of_the_reconciler() -> None:
    found = {path.stem for path in (ROOT / "reconcilers").glob("[a-z]*.py")}
    found |= {path.parent.name for path in (ROOT / "reconcilers").glob("*/__init__.py")}
    found |= {path.stem for path in (ROOT / "reconcilers/repositoryserver").rglob("[a-z]*.py")}

    assert {name for name in found if f"`{name}" not in read("CONTRIBUTING.md")} == set()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands_of_the_checkout_exist(page: Path) -> None:
    commands = re.findall(
        r"(?<![\w/-])((?:hack|manifests/samples/[\w-]+)/[\w.-]+)", page.read_text()
    )

    assert [command for command in commands if not (ROOT / command).exists()] == []


def test_the_picture_shows_what_its_source_says() -> None:
    """Drawn anew by: dot -Tsvg docs/architecture.dot > docs/architecture.svg."""
    labels = re.findall(r'label="([^"]+)"', read("docs/architecture.dot"))
    drawn = html.unescape(read("docs/architecture.svg"))

    words = [word for label in labels for word in label.split("\\n")]
    assert [word for word in words if word not in drawn] == []
    assert len(words) > len(labels) > 0


def test_every_flag_is_told_with_its_default() -> None:
    defaults = attrs.asdict(parse_options([], {}))
    for field in attrs.fields(Options):
        flag = f"--{field.name.replace('_', '-')}"
        assert f"`{flag}`" in SETTINGS
        value = defaults[field.name]
        default = "" if value is None else as_typed(value)
        if default:
            (row,) = [
                line
                for line in SETTINGS.splitlines()
                if f"| `{flag}`" in line or f", `{flag}`" in line
            ]
            assert default in row


def as_typed(value: object) -> str:
    """Return a flag's value as it is typed."""
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_every_condition_is_told() -> None:
    summary = (status.AVAILABLE, status.READY, status.RECONCILING, status.STALLED)
    for type_ in (*STEPS, *summary, *status.WARNINGS):
        assert f"| `{type_}` |" in OPERATIONS


def test_every_secret_that_the_controller_makes_is_on_the_page_on_security() -> None:
    server = named("placeholder")
    made = {
        make(server)
        for make in (
            names.users_name,
            names.certificate_name,
            names.authority_name,
            names.connection_name,
            names.profile_certificate_name,
            names.maintenance_secret_name,
        )
    }

    page = read("docs/security.md")
    assert {one for one in made if f"`{one.replace('placeholder', 'NAME')}`" not in page} == set()


def test_every_event_reason_is_told() -> None:
    told = (
        workload.EVENT_REVISION_CREATED,
        workload.EVENT_REVISION_RETIRED,
        applier.EVENT_POD_DELETED,
        workload.EVENT_POD_DRAINS,
        applier.EVENT_CHILD_RESTORED,
        issuer.EVENT_ISSUED,
        status.REASON_EXPIRING,
        status.REASON_EXPIRED,
        router.EVENT_REPLACED_IN_PLACE,
        router.EVENT_GAVE_BACK,
        sync.EVENT_USERS_CHANGED,
        purge.EVENT_USERS_PURGED,
        status.REASON_NO_USERS,
        status.REASON_PASSWORD_SHORT,
        status.REASON_IN_REPOSITORY,
        writer.EVENT_NOT_AVAILABLE,
        reasons.REASON_READY,
    )
    for reason in told:
        assert f"`{reason}`" in OPERATIONS


def test_every_reason_of_ready_is_told_once() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", read("docs/failures.md"), re.MULTILINE)

    assert sorted([*rows, reasons.REASON_READY]) == sorted(reasons.REASONS)


def test_every_metric_that_is_told_exists() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    registry.register(RepositoryServerCollector(Store().list, claims=lambda _: ()))
    Gauge(watcher.METRIC, watcher.METRIC_HELP, registry=registry)
    names = {
        name for family in registry.collect() for name in (family.name, f"{family.name}_total")
    }
    prefixes = "controller_runtime|workqueue|rest_client|informer|leader_election|repository_server"
    told = set(re.findall(rf"`((?:{prefixes}|pod_commands?)_\w+)", OPERATIONS + METRICS))

    assert told
    assert told <= names


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"(test/[\w/]+\.py)::(\w+(?:::\w+)?)", page.read_text()))

    assert {(file, name) for file, name in named if name not in named_tests(ROOT / file)} == set()


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.what) for fault in FAULTS])
def test_every_fault_has_its_row(fault: Fault) -> None:
    assert f"| {fault.what} | `{fault.reason}` |" in TESTING


def named_tests(file: Path) -> set[str]:
    """Return the names of a file's test functions, those of a class as `Class::function`."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}::{child.name}"
                for child in node.body
                if isinstance(child, ast.FunctionDef)
            }
    return names

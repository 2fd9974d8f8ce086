"""The pages that operators follow: every example is held against what it names, every alert has its instructions.

Commands of isthmus are taken apart by the real command line, addresses of curl are looked up among the real routes,
scripts must know their options, files must be in the repository or be made further up on the page.
"""

import re
import sys
from pathlib import Path

import pytest
import yaml

# Not the folder above it, whose `triton` torch would take for the package.
sys.path.insert(0, str(Path(__file__).parent / "examples"))

from page_examples.checks import problems_of_page
from page_examples.isthmus_commands import all_flags, problems_of_mention
from page_examples.pages import anchors, broken_links, spans
from page_examples.programs import options_of, problems_of_variable
from page_examples.word_sets import words_of

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "deploy" / "OPERATIONS.md"
PAGES = sorted(
    [
        *(ROOT / "deploy").rglob("*.md"),
        *(ROOT / name for name in ("README.md", "detector/README.md", "service/README.md", "models/README.md")),
        *(ROOT / "service").glob("*/**/README.md"),
    ]
)

FLAGS_OF_OTHERS = words_of(
    "--set --set-string --values --from-file --namespace --build-arg --require-hashes --install --restart --previous "
    "--cacert --reuse-values --output --wait --ignore-vuln --gpus --model-control-mode --upgrade --upgrade-package "
    "--stop-timeout --no-healthcheck"
)
"""Of helm, kubectl, docker, curl and pip, where the prose names them."""

SOURCES = [path for name in ("service", "detector", "models") for path in (ROOT / name).rglob("*.py")]


@pytest.fixture(scope="module")
def known_flags():
    scripts = [*ROOT.glob("tests/benchmarks/*.py"), *ROOT.glob("tests/fuzz/*.py"), *ROOT.glob("deploy/**/*.py")]
    return all_flags().union(FLAGS_OF_OTHERS, *(options_of(script) for script in scripts))


@pytest.fixture(scope="module")
def source():
    return "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)


def page(function):
    return pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))(function)


@page
def test_every_example_names_what_is_there(path):
    assert problems_of_page(path.read_text(encoding="utf-8"), path.parent) == []


@page
def test_every_command_and_option_in_the_prose_is_there(path, known_flags):
    mentioned = spans(path.read_text(encoding="utf-8"))
    found = [problem for span in mentioned if span.startswith("isthmus ") for problem in problems_of_mention(span)]
    flags = [match[0] for span in mentioned if (match := re.match(r"--[a-z][a-z-]*[a-z]", span))]
    assert found + [flag for flag in flags if flag not in known_flags] == []


@page
def test_every_setting_and_metric_in_the_prose_is_there(path, source):
    text = path.read_text(encoding="utf-8")
    found = [problem for name in set(re.findall(r"\bISTHMUS_[A-Z_]+[A-Z]\b", text)) for problem in unknown(name)]
    for name in {name for span in spans(text) for name in re.findall(r"\bisthmus_[a-z_]+[a-z]\b", span)}:
        base = re.sub(r"_(total|bucket|count|sum|info)$", "", name)
        found += [] if re.search(rf'"({base}|{name})(_total)?"', source) else [f"there is no metric {name}"]
    assert found == []


def unknown(name):
    return problems_of_variable(f"{name}=")


@page
def test_no_link_leads_nowhere(path):
    assert broken_links(path) == []


def test_every_alert_leads_to_its_own_heading():
    rules = yaml.safe_load((ROOT / "deploy/helm/isthmus/files/alerts.yaml").read_text(encoding="utf-8"))
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    headings = anchors(OPERATIONS.read_text(encoding="utf-8"))
    assert len(alerts) > 10
    for alert in alerts:
        name, anchor = alert["annotations"]["runbook_url"].rsplit("#", 1)
        assert name.endswith("deploy/OPERATIONS.md")
        assert anchor in headings, alert["alert"]


def test_what_reads_the_log_passes_over_the_line_that_is_for_people():
    text = OPERATIONS.read_text(encoding="utf-8")
    asked = re.findall(r"logs .*\| jq -(\w+) '([^']+)'", text)
    assert len(asked) > 5
    assert [(flags, query) for flags, query in asked if "R" not in flags or not query.startswith("fromjson? | ")] == []


def test_the_page_has_no_instructions_for_alerts_that_there_are_not():
    rules = (ROOT / "deploy/helm/isthmus/files/alerts.yaml").read_text(encoding="utf-8")
    headed = re.findall(r"^#+ (Isthmus[A-Z]\w+)$", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in headed if f"alert: {name}\n" not in rules] == []

"""The alerts: each fires for what it is for and is silent for what looks like it, and speaks of what there is."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.observability.observability import LIMITS

DEPLOY = Path(__file__).parent.parent.parent.parent / "deploy"
TESTS = DEPLOY / "prometheus" / "alerts.test.yaml"


def test_promtool_takes_the_rules_and_the_configuration(promtool, tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "alerts.yaml").write_text((DEPLOY / "helm" / "isthmus" / "files" / "alerts.yaml").read_text())
    (tmp_path / "prometheus.yml").write_text((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    said = promtool("check", "config", tmp_path / "prometheus.yml")
    assert "1 rule files found" in said


def test_each_alert_fires_and_stays_silent_as_it_should(promtool):
    promtool("test", "rules", TESTS)


def test_each_alert_has_a_case_in_which_it_comes_and_one_moment_before_in_which_it_does_not(alerts):
    cases = yaml.safe_load(TESTS.read_text())["tests"]
    fired = {}
    for case in cases:
        moments = [
            {re.search('alertname="(.*)"', sample["labels"])[1] for sample in check["exp_samples"]}
            for check in case["promql_expr_test"]
        ]
        for alert in set().union(*moments):
            fired[alert] = any(alert not in moment for moment in moments)
    assert fired == dict.fromkeys(alerts, True)


def test_an_alert_says_what_how_bad_and_what_to_do(alerts):
    for name, alert in alerts.items():
        assert alert["labels"]["severity"] in {"critical", "warning"}, name
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}, name
        assert alert["annotations"]["runbook_url"] == f"deploy/OPERATIONS.md#{name.lower()}"


def test_what_to_do_stands_under_the_alerts_name(alerts):
    headings = re.findall(r"^#+ (\w+)$", (DEPLOY / "OPERATIONS.md").read_text(), re.MULTILINE)
    assert set(alerts) <= set(headings)


def test_no_alert_speaks_of_a_series_that_nobody_exposes(groups, unknown):
    for rule in every_rule(groups):
        assert unknown(rule["expr"]) == [], rule


def test_every_rule_that_is_recorded_is_asked_for(groups, panels, names_in):
    asked = [name for rule in every_rule(groups) for name in names_in(rule["expr"])]
    asked += [name for panel in panels for target in panel["targets"] for name in names_in(target["expr"])]
    assert {rule["record"] for rule in every_rule(groups) if "record" in rule} <= set(asked)


def test_every_limit_that_rules_ask_for_is_shown(groups):
    text = "".join(rule["expr"] for rule in every_rule(groups))
    assert set(re.findall(r'isthmus_limit\{setting="(\w+)"', text)) <= set(LIMITS)


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("sum by (job) (rate(isthmus_request_total[5m])) > 0.5", ["isthmus_request_total"]),
        ('isthmus_verdicts_total{verdict="clean"}', ["isthmus_verdicts_total{verdict}"]),
        ("isthmus_queue_seconds", ["isthmus_queue_seconds"]),
        ('isthmus_queue_seconds_bucket{le="1.0", job="x"} offset 30m or vector(0)', []),
    ],
)
def test_a_misspelt_series_or_label_is_found(unknown, expression, wrong):
    assert unknown(expression) == wrong


def every_rule(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule for group in groups for rule in group["rules"]]

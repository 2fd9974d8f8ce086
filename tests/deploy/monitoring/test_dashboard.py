"""The dashboard: each panel explains itself, asks what can be asked, and lies where it can be seen."""

import itertools
import re

import pytest
import yaml

from service.observability.metrics import P_VALUES

VARIABLES = {"$job": ".+", "$instance": ".+", "$__rate_interval": "1m", "$__range": "1h"}


def expressions(panels):
    return [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]


def filled(expression):
    """As it is asked, with the variables of the dashboard."""
    for name, value in VARIABLES.items():
        expression = re.sub(re.escape(name) + r"\b", value, expression)
    assert "$" not in expression
    return expression


def test_every_panel_has_a_title_a_unit_and_a_description(panels):
    for panel in panels:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
    titles = [panel["title"] for panel in panels]
    assert len(set(titles)) == len(titles)


def test_every_row_that_an_operator_looks_for_is_there_and_has_panels(dashboard):
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows == [
        "Overview",
        "Traffic",
        "Verdicts and p-values",
        "Latency",
        "Queue and batch",
        "Device",
        "Drift",
        "Refusals and failures",
        "Process",
        "Bundles",
    ]
    kinds = [panel["type"] == "row" for panel in dashboard["panels"]]
    assert (True, True) not in set(itertools.pairwise(kinds))
    assert not kinds[-1]


def test_panels_have_numbers_of_their_own_and_do_not_cover_each_other(dashboard):
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    covered = set()
    for panel in dashboard["panels"]:
        x, y, w, h = (panel["gridPos"][side] for side in "xywh")
        assert x + w <= 24
        cells = set(itertools.product(range(x, x + w), range(y, y + h)))
        assert not covered & cells, panel["title"]
        covered |= cells


def test_the_source_of_the_data_is_the_readers_choice(dashboard, panels):
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    for asking in [*panels, *(target for panel in panels for target in panel["targets"])]:
        assert asking["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_promtool_takes_every_expression(panels, promtool, tmp_path):
    rules = [
        {"record": f"panel:{number}", "expr": filled(expression)}
        for number, (_, expression) in enumerate(expressions(panels))
    ]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


def test_no_panel_asks_for_a_series_that_nobody_exposes(panels, dashboard, unknown):
    for title, expression in expressions(panels):
        assert unknown(expression) == [], title
    for variable in dashboard["templating"]["list"]:
        found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable.get("definition", ""))
        assert variable["name"] == "datasource" or unknown(found[1]) == []


def test_a_legend_names_labels_that_the_expression_keeps(panels, exposed):
    every = {"job", "instance"}.union(*exposed.values())
    for panel in panels:
        for target in panel["targets"]:
            kept = re.findall(r"by \(([^)]*)\)", target["expr"])
            labels = set(re.split(r",\s*", ",".join(kept))) if kept else every
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, panel["title"]


def test_everything_that_the_service_counts_is_shown(panels, exposed):
    text = " ".join(expression for _, expression in expressions(panels)) + " isthmus_live"
    recorded = {"isthmus_flags_expected_total"}
    families = {re.sub("_(bucket|count|sum)$", "", name) for name in exposed if name.startswith("isthmus_")}
    hidden = {name for name in families if name not in text and not name.startswith("isthmus_audit")}
    assert hidden == recorded


@pytest.mark.parametrize("border", [0.01, 0.05, 0.2, 0.5])
def test_the_p_values_are_held_against_borders_that_are_counted(panels, border):
    (panel,) = [panel for panel in panels if panel["title"] == "p-values against uniform"]
    assert border in P_VALUES
    assert any(f'le="{border}"' in target["expr"] and f"/ {border}" in target["expr"] for target in panel["targets"])

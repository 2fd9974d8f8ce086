"""The chart's settings are the server's, all of them and no others."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from service.rest.guards.keys import SHORTEST_KEY, parse_keys
from service.serving.flags import settings_of, unknown_variables, variable_of
from service.settings import ServeSettings

OF_THE_CHART = {
    "host",
    "port",
    "metrics_port",
    "device",
    "state",
    "keys",
    "keys_file",
    "tls_certificate",
    "tls_key",
    "bundles",
    "classifiers",
    "auxiliary_classifiers",
    "audit_folders",
}
"""Settings that follow from other values than those below `settings`."""


@pytest.fixture(scope="session")
def schema(chart_values: dict[str, Any]) -> dict[str, Any]:
    return json.loads((chart_values["folder"] / "values.schema.json").read_text())


def snake(name: str) -> str:
    return re.sub("([A-Z])", r"_\1", name).lower()


@pytest.fixture
def served_settings(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], ServeSettings]:
    """What the server makes of a pod's environment."""

    def settings(release: Any) -> ServeSettings:
        for variable in map(variable_of, ServeSettings.model_fields):
            monkeypatch.delenv(variable, raising=False)
        for name, value in release.environment.items():
            if name.startswith("ISTHMUS_"):
                monkeypatch.setenv(name, value)
        return settings_of({})

    return settings


def test_every_setting_is_a_value_and_every_value_a_setting(schema: dict[str, Any]) -> None:
    values = {snake(name) for name in schema["properties"]["settings"]["properties"]}
    assert values | OF_THE_CHART == set(ServeSettings.model_fields)
    assert not values & OF_THE_CHART


def test_every_variable_is_one_that_the_server_knows(release: Any) -> None:
    assert unknown_variables(release.environment) == []


def test_the_image_decides_nothing_that_the_chart_does_not_say(release: Any, chart_values: dict[str, Any]) -> None:
    dockerfile = (chart_values["folder"].parents[2] / "Dockerfile").read_text()
    of_the_image = set(re.findall(r"\b(ISTHMUS_[A-Z_]+)=", dockerfile))
    assert {"ISTHMUS_HOST", "ISTHMUS_KEYS_FILE"} <= of_the_image <= set(release.environment)


def test_the_server_takes_the_environment(release: Any, served_settings: Any) -> None:
    settings = served_settings(release)
    assert str(settings.state) == "/var/lib/isthmus"
    assert settings.port == 8080
    assert settings.needs_keys == (settings.host == "0.0.0.0")


def test_values_arrive_as_they_were_given(everything: Any, served_settings: Any) -> None:
    settings = served_settings(everything)
    assert settings.false_positive_rate == 0.01
    # Helm's numbers are floating-point ones: 33554432 must not come as 3.3554432e+07.
    assert everything.environment["ISTHMUS_BODY_BYTES"] == "33554432"
    assert settings.drift_false_alarms == 1_000_000
    assert settings.allowed_hosts == ("isthmus.example.org", "isthmus")
    assert settings.log_images is True
    assert settings.bundles == ("mine=/bundles/mine",)
    assert [str(folder) for folder in settings.audit_folders] == ["/srv/audits/a", "/srv/audits/b"]


@pytest.mark.parametrize("name", sorted(set(ServeSettings.model_fields) - OF_THE_CHART))
def test_every_default_of_the_server_may_be_said(render: Any, served_settings: Any, name: str) -> None:
    default = ServeSettings.model_fields[name].default
    value = {None: 2, (): ["https://a.example.org"]}.get(default, default)
    if name == "otlp_endpoint":
        value = "http://collector:4318"
    camel = re.sub("_([a-z])", lambda match: match[1].upper(), name)
    settings = served_settings(render({"settings": {camel: value}, "networkPolicy": {"enabled": False}}))
    assert getattr(settings, name) == (tuple(value) if isinstance(value, list) else value)


def test_a_setting_that_is_none_is_refused(render: Any, refused: Any) -> None:
    with pytest.raises(refused, match="queuImages"):
        render({"settings": {"queuImages": 3}})


def test_keys_of_values_are_keys_of_the_server(everything: Any, schema: dict[str, Any]) -> None:
    assert sorted(parse_keys(everything.one("Secret")["stringData"]["keys"], "the Secret").values()) == ["anna", "ben"]
    (pattern,) = [schema["properties"]["keys"]["properties"]["inline"]["additionalProperties"]["pattern"]]
    assert re.fullmatch(pattern, "a" * SHORTEST_KEY)
    for key in ("a" * (SHORTEST_KEY - 1), "a" * 16 + ",", "a" * 16 + " b", "ä" * 16):
        assert not re.fullmatch(pattern, key)


def test_pods_have_the_time_to_end_that_the_server_takes(release: Any, served_settings: Any) -> None:
    settings = served_settings(release)
    assert release.pod["terminationGracePeriodSeconds"] >= settings.drain_seconds + settings.shutdown_seconds + 5


def test_the_checks_know_the_defaults_of_the_server(chart_values: dict[str, Any]) -> None:
    checks = (chart_values["folder"] / "templates" / "_checks.tpl").read_text()
    said = {snake(name): float(number) for number, name in re.findall(r"default (\d+) \$v\.settings\.(\w+)", checks)}
    assert set(said) == {"queue_images", "request_seconds", "longest_request_seconds"}
    for name, number in said.items():
        assert number == ServeSettings.model_fields[name].default
    values = yaml.safe_load((chart_values["folder"] / "values.yaml").read_text())
    assert set(values["settings"]) == {"drainSeconds", "shutdownSeconds"}

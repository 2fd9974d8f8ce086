"""The Compose files: what Compose takes, nothing open that need not be, and in step with the service and its image."""

import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from service.serving.flags import unknown_variables
from service.settings import ServeSettings

FOLDER = Path(__file__).parent.parent.parent.parent / "deploy" / "compose"
ROOT = FOLDER.parent.parent

LONGEST_STOP = sum(ServeSettings.model_fields[name].default for name in ("drain_seconds", "shutdown_seconds"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def gpu() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "compose.gpu.yaml").read_text())


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return compose["services"]


def settings_of(service: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> ServeSettings:
    """What the service reads out of its variables, with nothing set outside."""
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{(\w+):-([^}]*)\}", r"\2", value))
    return ServeSettings()


def mounts(service: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Source and mode by the place in the container."""
    parts = [volume.split(":") for volume in service.get("volumes", ())]
    return {place: (source, mode[0] if mode else "rw") for source, place, *mode in parts}


def published(service: dict[str, Any]) -> set[tuple[str, int]]:
    """Address outside and port inside."""
    return {(port.split(":")[0], int(port.split(":")[-1])) for port in service["ports"]}


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_the_compose_specification_takes_it(name):
    # Merge keys are YAML's, and resolved before Compose looks.
    PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load((FOLDER / name).read_text())))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("read_only", "readonly"), ("75s", "75 sec"), ("service_healthy", "healthy"), ("8080:80", "a:80")],
)
def test_a_mistake_is_not_taken(right, wrong):
    text = (FOLDER / "compose.yaml").read_text()
    assert right in text
    with pytest.raises(ValueError, match="services"):
        PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(text.replace(right, wrong))))


def test_every_container_is_closed_and_has_its_image_pinned(services):
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service["user"].startswith(("0:", "root"))
        assert "privileged" not in service
        assert "cap_add" not in service
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+(-cpu)?", service["image"])


def test_what_is_mounted_from_the_repository_is_there_and_read_only(services, compose):
    for service in services.values():
        for source, mode in mounts(service).values():
            if source.startswith("."):
                assert (FOLDER / source).exists(), source
                assert mode == "ro"
            else:
                assert source in compose["volumes"]


def test_only_this_machine_reaches_what_is_published_and_nobody_the_metrics(services):
    for service in services.values():
        assert {address for address, _ in published(service)} == {"127.0.0.1"}
    assert published(services["isthmus"]) == {("127.0.0.1", 8080)}


def test_the_service_reads_its_variables_as_they_are_meant(services, monkeypatch):
    service = services["isthmus"]
    assert unknown_variables(service["environment"]) == []
    settings = settings_of(service, monkeypatch)
    assert (settings.host, settings.port, settings.metrics_port) == ("0.0.0.0", 8080, 9090)
    assert settings.device == "cpu"
    assert settings.bundles == ServeSettings.model_fields["bundles"].default
    assert settings.needs_keys
    assert service["expose"] == [str(settings.metrics_port)]


def test_keys_come_as_a_secret_and_what_is_written_has_its_places(services, compose, monkeypatch):
    service = services["isthmus"]
    settings = settings_of(service, monkeypatch)
    (secret,) = service["secrets"]
    assert Path(secret["target"]) == settings.keys_file
    assert secret["source"] in compose["secrets"]
    assert [place for place, (_, mode) in mounts(service).items() if mode != "ro"] == [str(settings.state)]
    assert [place.split(":")[0] for place in service["tmpfs"]] == ["/tmp"]
    assert service["user"] == "10001:10001"


def test_secrets_are_files_that_are_never_committed(compose):
    ignored = (FOLDER / ".gitignore").read_text().split()
    for secret in compose["secrets"].values():
        folder = Path(secret["file"]).parent
        assert f"{folder.name}/" in ignored


def test_it_is_given_the_time_to_stop_that_the_service_takes(services):
    assert int(services["isthmus"]["stop_grace_period"].removesuffix("s")) >= LONGEST_STOP + 5


def test_prometheus_reads_the_metrics_port_and_finds_the_alerts(services, monkeypatch):
    prometheus = services["prometheus"]
    configuration = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    (job,) = configuration["scrape_configs"]
    (names,) = job["dns_sd_configs"]
    assert names["names"] == ["isthmus"]
    assert names["port"] == settings_of(services["isthmus"], monkeypatch).metrics_port
    assert set(services["isthmus"]["networks"]) & set(prometheus["networks"]) == {"monitoring"}
    flags = dict(flag.split("=") for flag in prometheus["command"])
    places = mounts(prometheus)
    config = flags["--config.file"]
    assert (FOLDER / places[config][0]).samefile(ROOT / "deploy" / "prometheus" / "prometheus.yml")
    (pattern,) = configuration["rule_files"]
    (alerts,) = [source for place, (source, _) in places.items() if Path(place).match(pattern)]
    assert (FOLDER / alerts).samefile(ROOT / "deploy" / "helm" / "isthmus" / "files" / "alerts.yaml")
    assert places[flags["--storage.tsdb.path"]] == ("prometheus", "rw")


def test_grafana_finds_prometheus_and_the_dashboard(services):
    grafana = services["grafana"]
    places = mounts(grafana)
    (source,) = yaml.safe_load((FOLDER / "grafana" / "datasources" / "prometheus.yaml").read_text())["datasources"]
    address, port = source["url"].removeprefix("http://").split(":")
    assert int(port) in {inside for _, inside in published(services[address])}
    assert set(services[address]["networks"]) & set(grafana["networks"])
    (provider,) = yaml.safe_load((FOLDER / "grafana" / "dashboards" / "isthmus.yaml").read_text())["providers"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert str(Path(home).parent) == provider["options"]["path"]
    assert json.loads((FOLDER / places[home][0]).read_text())["uid"] == "isthmus"
    provisioned = {Path(place).name for place in places if place.startswith("/etc/grafana/provisioning/")}
    assert provisioned == {"datasources", "dashboards"}


def test_grafana_lets_nobody_in_without_the_password_which_is_a_secret(services, compose):
    grafana = services["grafana"]
    environment = grafana["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert "GF_SECURITY_ADMIN_PASSWORD" not in environment
    secret = environment["GF_SECURITY_ADMIN_PASSWORD__FILE"].removeprefix("/run/secrets/")
    assert grafana["secrets"] == [secret]
    assert secret in compose["secrets"]


def test_the_gpu_is_asked_for_by_the_override_alone(services, gpu):
    assert "deploy" not in services["isthmus"]
    over = gpu["services"]["isthmus"]
    (device,) = over["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert over["environment"] == {"ISTHMUS_DEVICE": "cuda"}
    assert (services["isthmus"]["build"]["args"], over["build"]["args"]) == (
        {"ACCELERATOR": "cpu"},
        {"ACCELERATOR": "cuda"},
    )
    version = importlib.metadata.version("isthmus")
    assert (services["isthmus"]["image"], over["image"]) == (f"isthmus:{version}-cpu", f"isthmus:{version}")


def test_the_image_is_built_from_the_repository_with_the_argument_that_it_takes(services):
    assert (FOLDER / services["isthmus"]["build"]["context"]).resolve() == ROOT.resolve()
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^ARG ACCELERATOR\b", dockerfile, re.MULTILINE)
    assert f"CMD {json.dumps(services['isthmus']['healthcheck']['test'][1:])}" in dockerfile
    for place, (_, mode) in mounts(services["isthmus"]).items():
        assert mode == "ro" or f'VOLUME ["{place}"]' in dockerfile

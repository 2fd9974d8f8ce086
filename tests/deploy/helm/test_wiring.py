"""What names another thing in the manifests names one that is there."""

from typing import Any

import typer

from service.cli import app


def ports_of(release: Any) -> dict[str, int]:
    containers = release.pod["containers"]
    return {port["name"]: port["containerPort"] for container in containers for port in container.get("ports", [])}


def selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", selector).items() <= labels.items()


def test_whatever_selects_selects_the_server_and_not_the_test(release: Any) -> None:
    server = release.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    tests = [pod["metadata"]["labels"] for pod in release.all("Pod")]
    selectors = [service["spec"]["selector"] for service in release.all("Service")]
    selectors += [document["spec"]["selector"] for document in release.all("Deployment")]
    selectors += [document["spec"]["selector"] for document in release.all("PodDisruptionBudget")]
    selectors += [document["spec"]["podSelector"] for document in release.all("NetworkPolicy")]
    selectors += [rule["labelSelector"] for rule in release.pod.get("topologySpreadConstraints", [])]
    assert len(selectors) >= 2
    for selector in selectors:
        assert selected(selector, server)
        assert not any(selected(selector, labels) for labels in tests)


def test_services_lead_to_ports_that_there_are(release: Any) -> None:
    ports = ports_of(release)
    for service in release.all("Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)
    assert ports["http"] == int(release.environment["ISTHMUS_PORT"])
    assert str(ports.get("metrics", "")) == release.environment["ISTHMUS_METRICS_PORT"]


def test_metrics_do_not_go_where_requests_come_in_from_outside(everything: Any) -> None:
    outer, inner = sorted(everything.all("Service"), key=lambda service: service["metadata"]["name"])
    assert outer["spec"]["type"] == "LoadBalancer"
    assert [port["name"] for port in outer["spec"]["ports"]] == ["http"]
    assert inner["spec"].get("type", "ClusterIP") == "ClusterIP"
    assert [port["name"] for port in inner["spec"]["ports"]] == ["metrics"]


def test_the_monitor_finds_the_port_of_a_service(everything: Any) -> None:
    monitor = everything.one("ServiceMonitor")["spec"]
    (endpoint,) = monitor["endpoints"]
    assert monitor["namespaceSelector"]["matchNames"] == ["vision"]
    found = [
        service["metadata"]["name"]
        for service in everything.all("Service")
        if selected(monitor["selector"], service["metadata"]["labels"])
        and endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    ]
    # Its name is the job of the series, in which the alerts look for this word.
    assert found == ["isthmus-metrics"]


def test_the_network_policy_opens_the_ports_that_services_lead_to(release: Any) -> None:
    for policy in release.all("NetworkPolicy"):
        opened = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        led_to = {port["targetPort"] for service in release.all("Service") for port in service["spec"]["ports"]}
        assert opened == led_to
        assert all(rule["from"] for rule in policy["spec"]["ingress"])
        test_labels = [peer["podSelector"]["matchLabels"] for peer in policy["spec"]["ingress"][0]["from"][:1]]
        assert all(selected(test_labels[0], pod["metadata"]["labels"]) for pod in release.all("Pod"))


def test_ingress_and_autoscaler_name_what_is_there(everything: Any) -> None:
    (rule,) = everything.one("Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    (service,) = [service for service in everything.all("Service") if service["spec"].get("type") == "LoadBalancer"]
    assert path["backend"]["service"] == {"name": service["metadata"]["name"], "port": {"name": "http"}}
    target = everything.one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target["name"] == everything.one("Deployment")["metadata"]["name"]
    assert "replicas" not in everything.one("Deployment")["spec"]


def test_volumes_are_mounted_and_made_of_what_there_is(release: Any) -> None:
    volumes = {volume["name"]: volume for volume in release.pod["volumes"]}
    mounts = release.server["volumeMounts"]
    assert {mount["name"] for mount in mounts} == set(volumes)
    assert len({mount["mountPath"] for mount in mounts}) == len(mounts)
    made = {(document["kind"], document["metadata"]["name"]) for document in release.documents}
    given = {"isthmus-keys", "isthmus-tls", "bundles", "uploads", "a", "b"}
    for volume in volumes.values():
        for kind, field, name in (
            ("Secret", "secret", "secretName"),
            ("ConfigMap", "configMap", "name"),
            ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
        ):
            if field in volume:
                assert (kind, volume[field][name]) in made or volume[field][name] in given


def test_what_settings_point_at_is_mounted(release: Any) -> None:
    places = [mount["mountPath"] for mount in release.server["volumeMounts"]]
    pieces = [value.split("=")[-1] for text in release.environment.values() for value in text.split(",")]
    paths = [piece for piece in pieces if piece.startswith("/")]
    assert "/var/lib/isthmus" in paths
    for path in paths:
        assert any(path == place or path.startswith(f"{place}/") for place in places)


def test_the_keys_file_is_the_entry_of_the_secret(everything: Any) -> None:
    secret = everything.one("Secret")
    (volume,) = [volume for volume in everything.pod["volumes"] if volume["name"] == "keys"]
    (item,) = volume["secret"]["items"]
    assert volume["secret"]["secretName"] == secret["metadata"]["name"]
    assert secret["stringData"][item["key"]] == f"anna:0123456789abcdef\nben:{'f' * 40}\n"
    (mount,) = [mount for mount in everything.server["volumeMounts"] if mount["name"] == "keys"]
    assert f"{mount['mountPath']}/{item['path']}" == everything.environment["ISTHMUS_KEYS_FILE"]
    # A file that is mounted by itself never changes.
    assert "subPath" not in mount
    assert "isthmus-keys" not in str(everything.one("Deployment")["spec"]["template"]["metadata"])


def test_probes_ask_routes_that_there_are(release: Any, routes: set[str]) -> None:
    asked = {}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = release.server[name]
        if "httpGet" in probe:
            assert probe["httpGet"]["port"] == "http"
            assert probe["httpGet"]["scheme"] == ("HTTPS" if "ISTHMUS_TLS_KEY" in release.environment else "HTTP")
            asked[name] = probe["httpGet"]["path"]
        else:
            asked[name] = probe["exec"]["command"][2].split("localhost:8080")[1].split("'")[0]
    assert asked == {
        "startupProbe": "/v2/health/ready",
        "livenessProbe": "/v2/health/live",
        "readinessProbe": "/v2/health/ready",
    }
    assert set(asked.values()) <= routes


def test_only_a_server_on_loopback_is_probed_from_within(render: Any, value_sets: dict) -> None:
    assert "exec" in render(value_sets["loopback"]).server["livenessProbe"]
    assert "exec" not in render({}).server["livenessProbe"]


def test_scripts_in_manifests_compile(render: Any, value_sets: dict) -> None:
    compile(render(value_sets["loopback"]).server["livenessProbe"]["exec"]["command"][2], "probe", "exec")
    (container,) = render({}).one("Pod")["spec"]["containers"]
    compile(container["args"][0], "test", "exec")
    assert "http://isthmus:8080/v2/health/ready" in container["args"][0]


def test_the_arguments_are_those_of_a_command(release: Any) -> None:
    # The image's entry point is `isthmus`.
    assert "command" not in release.server
    command, *flags = release.server["args"]
    context = typer.main.get_command(app).commands[command].make_context(f"isthmus {command}", flags)
    assert not any(context.params.values())


def test_pods_are_closed(release: Any) -> None:
    specs = [release.pod, *(pod["spec"] for pod in release.all("Pod"))]
    for spec in specs:
        assert spec["automountServiceAccountToken"] is False
        # Else a Service called isthmus gives its address to a setting: ISTHMUS_PORT=tcp://….
        assert spec["enableServiceLinks"] is False
        security = spec["securityContext"]
        assert (security["runAsNonRoot"], security["runAsUser"], security["runAsGroup"]) == (True, 10001, 10001)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["containers"][0]["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    writable = [mount["mountPath"] for mount in release.server["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/tmp", "/var/lib/isthmus"]
    for volume in release.pod["volumes"]:
        assert volume.get("secret", {}).get("defaultMode", 0o440) == 0o440
        assert volume.get("emptyDir", {"sizeLimit": "1"})["sizeLimit"]


def test_a_gpu_is_asked_for_where_one_is_wanted(render: Any, value_sets: dict) -> None:
    with_one, without = render(value_sets["gpu"]), render({})
    assert with_one.server["resources"]["limits"] == {"memory": "3Gi", "nvidia.com/gpu": 1}
    assert with_one.environment["ISTHMUS_DEVICE"] == "cuda"
    assert with_one.pod["runtimeClassName"] == "nvidia"
    assert with_one.pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert without.environment["ISTHMUS_DEVICE"] == "cpu"
    assert "nvidia" not in str(without.documents)


def test_only_new_specifications_make_new_pods(render: Any) -> None:
    def annotations(**values: Any) -> Any:
        template = render(values).one("Deployment")["spec"]["template"]
        return template["metadata"].get("annotations")

    specs = [{"specs": {"a.toml": text}} for text in ("x", "x", "y")]
    first, same, other = (annotations(bundles=bundles)["checksum/specs"] for bundles in specs)
    assert first == same != other
    assert annotations() is None
    inline = {"existingSecret": "", "inline": {"anna": "0123456789abcdef"}}
    assert annotations(keys=inline) is None


def test_what_selects_does_not_change_with_the_values(render: Any, value_sets: dict) -> None:
    # A Deployment's selector can never be changed.
    selectors = [render(values).one("Deployment")["spec"]["selector"] for values in value_sets.values()]
    assert all(selector == selectors[0] for selector in selectors)

"""The files under etc/: each is checked as far as that goes without the system that it is for."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from odp_trio.cli import command_line
from odp_trio.config import build, from_toml
from tests.paths import ROOT

ETC = ROOT / "etc"
UNIT = ETC / "systemd" / "odp-trio.service"
DOCKERFILE = ETC / "docker" / "Dockerfile"
KUBERNETES = ETC / "kubernetes"


def accept_watch(arguments: Sequence[str]) -> None:
    """Fail unless the command line is one that we understand."""
    at = list(arguments).index("--")
    command_line().parse_args(arguments[:at])
    command_line().parse_args(["run", *arguments[at + 1 :]])


# ---- systemd ----------------------------------------------------------------------------


def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze here: apt-get install systemd")
    text = UNIT.read_text()
    assert text.count("/opt/odp-trio/bin/odp-trio") == 1
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace("/opt/odp-trio/bin/odp-trio", sys.executable))  # it must be there to be verified

    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_runs_what_there_is_and_is_told_what_it_waits_for() -> None:
    values = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))

    assert values["Type"] == "notify"
    accept_watch(shlex.split(values["ExecStart"])[1:])
    assert values["ExecReload"] == "/bin/kill -USR2 $MAINPID"
    assert values["RestartPreventExitStatus"] == "2 3"
    assert values["KillMode"] == "mixed"
    assert int(values["TimeoutStopSec"]) > 30 + 10  # hot_upgrade_exit_timeout, and what the watch adds


# ---- Docker -----------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_is_built_from_files_that_are_there_and_sent() -> None:
    known = {
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "USER",
        "ENV",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
    assert {word for word, _ in instructions()} <= known
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert {"odp_trio", "pyproject.toml", "etc/odp.toml", "grammar"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) for pattern in sent), source
    # What hatchling takes besides the package must be among them.
    project = (ROOT / "pyproject.toml").read_text()
    for source in re.findall(r'^"([\w./]+)" = "odp_trio/', project, re.MULTILINE):
        assert any(source == name or source.startswith(f"{name}/") for name in copied), source


def test_the_image_runs_as_nobody_special_and_says_how_it_is() -> None:
    last = dict(instructions())

    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last["USER"])
    assert last["EXPOSE"] == "2883 2884"
    assert last["STOPSIGNAL"] == "SIGTERM"
    command = json.loads(last["HEALTHCHECK"].partition("CMD ")[2])
    compile(command[-1], "HEALTHCHECK", "exec")
    assert ":2884/ready" in command[-1]
    accept_watch([*json.loads(last["ENTRYPOINT"])[1:], *json.loads(last["CMD"])])


# ---- Kubernetes ---------------------------------------------------------------------------


def documents(*names: str) -> dict[tuple[str, str], Any]:
    """Every object, by kind and name."""
    found: dict[tuple[str, str], Any] = {}
    for name in names:
        for document in yaml.safe_load_all((KUBERNETES / name).read_text()):
            key = (document["kind"], document["metadata"]["name"])
            assert key not in found
            found[key] = document
    return found


CONFIG = documents("config.yaml")
PODS = {
    "proxy": documents("proxy.yaml")["Deployment", "odp-trio"],
    "sidecar": documents("sidecar.yaml")["Deployment", "application"],
}


def proxy_container(deployment: dict[str, Any]) -> dict[str, Any]:
    pod = deployment["spec"]["template"]["spec"]
    containers = [*pod["containers"], *pod.get("initContainers", ())]
    return next(container for container in containers if container["name"] == "odp-trio")


def test_the_settings_in_the_config_map_are_ours() -> None:
    built = build(from_toml(CONFIG["ConfigMap", "odp-trio"]["data"]["odp.toml"], "config.yaml"))

    assert built.settings.prometheus_bound_ip == "0.0.0.0"
    assert built.warnings == ()
    assert list(built.settings.clusters) == ["mycluster"]


@pytest.mark.parametrize("name", PODS)
def test_what_a_pod_names_is_there(name: str) -> None:
    deployment = PODS[name]
    template, container = deployment["spec"]["template"], proxy_container(deployment)
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}

    assert deployment["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    for mount in container["volumeMounts"]:
        assert mount["name"] in volumes
        if "configMap" in volumes[mount["name"]]:
            assert ("ConfigMap", volumes[mount["name"]]["configMap"]["name"]) in CONFIG
    for variable in container["env"]:
        reference = variable["valueFrom"]["secretKeyRef"]
        assert reference["key"] in CONFIG["Secret", reference["name"]]["stringData"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe in container:
            assert ports[container[probe]["httpGet"]["port"]] == 2884
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    command = container.get("command", ["odp-trio", "watch", "--"])
    accept_watch([*command[1:], *container["args"]])
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert template["spec"]["terminationGracePeriodSeconds"] >= 30 + 10 + 5


def test_the_service_and_the_budget_mean_the_pods() -> None:
    objects = documents("proxy.yaml")
    labels = objects["Deployment", "odp-trio"]["spec"]["template"]["metadata"]["labels"]
    service, budget = objects["Service", "odp-trio"]["spec"], objects["PodDisruptionBudget", "odp-trio"]["spec"]

    assert service["selector"].items() <= labels.items()
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert proxy_container(PODS["proxy"])["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert service["ports"][0]["targetPort"] in {port["name"] for port in proxy_container(PODS["proxy"])["ports"]}


def test_a_sidecar_is_started_before_the_application_and_listens_to_it_only() -> None:
    container = proxy_container(PODS["sidecar"])

    assert container in PODS["sidecar"]["spec"]["template"]["spec"]["initContainers"]
    assert container["restartPolicy"] == "Always"
    assert "local_bound_ip=127.0.0.1" in container["args"]
    assert container["startupProbe"]["httpGet"]["path"] == "/ready"


def test_kubectl_can_put_it_together() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here")

    done = subprocess.run([kubectl, "kustomize", str(KUBERNETES)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    made = {document["kind"] for document in yaml.safe_load_all(done.stdout)}
    assert made == {"ConfigMap", "Secret", "Deployment", "Service", "PodDisruptionBudget"}

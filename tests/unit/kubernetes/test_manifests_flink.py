"""Flink is set on Kubernetes as the code and the local stack set it; what differs is named here, with why."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from ta_pipeline.job_options import of_the_table_job, options_of
from ta_pipeline.kubernetes.manifests import flink_deployment, render
from ta_pipeline.local.flink import _NO_ENVIRONMENT_IN_THE_LOG, NO_WORKER_SERVER, _configuration, distribution
from ta_pipeline.local.flink_logging import LOG4J, TEMPLATE
from ta_pipeline.local.jars import ensure_jars
from ta_pipeline.local.java import java_home
from ta_pipeline.local.settings import REPOSITORY, load_local_settings
from ta_pipeline.logs.fields import FIELDS, NAMES
from ta_pipeline.settings import text_of
from tests.manifests import MAIN_CONTAINER, environment_of, of_kind, settings

USRLIB = "/opt/flink/usrlib/"
PYTHON = "/opt/venv/bin/python"
DIFFERENT = {
    # Addresses and ports: native mode gives each pod its own address.
    "jobmanager.rpc.address", "jobmanager.rpc.port", "jobmanager.bind-host", "blob.server.port", "rest.address",
    "rest.port", "rest.bind-address", "rest.bind-port", "taskmanager.host", "taskmanager.bind-host",
    "taskmanager.rpc.port", "taskmanager.data.port", "taskmanager.resource-id",
    "metrics.reporter.prom.factory.class",
    # High availability: by Kubernetes, and its folder is the deployment's; the operator keeps the results of jobs.
    "high-availability.type", "high-availability.storageDir", "high-availability.cluster-id",
    "high-availability.zookeeper.quorum", "high-availability.jobmanager.port",
    "high-availability.zookeeper.client.session-timeout",
    "high-availability.zookeeper.client.tolerate-suspended-connections", "job-result-store.delete-on-commit",
    # Sizes: of the pods; one job to a TaskManager, and Python's memory counts against the container's limit.
    "jobmanager.memory.process.size", "taskmanager.memory.process.size", "taskmanager.numberOfTaskSlots",
    "taskmanager.memory.task.off-heap.size",
    # Places.
    "python.executable", "python.client.executable", "io.tmp.dirs", "web.tmpdir",
    # Of a machine of one's own: the client ends, and whoever reaches the web UI may profile.
    "env.java.opts.client", "rest.profiling.enabled",
}  # fmt: skip
"""What the local stack has otherwise, or alone (docs/kubernetes.md says the same)."""


def flink(name: str = "torghut-ta", overlay: str = "prod") -> dict[str, Any]:
    found: dict[str, Any] = flink_deployment(render(overlay), name)["spec"]
    return found


def jobs() -> list[tuple[str, str]]:
    return [("prod", "torghut-ta"), ("prod", "torghut-ta-table"), ("dev", "torghut-ta")]


@pytest.mark.parametrize(("overlay", "name"), jobs())
def test_state_checkpoints_and_restarts_are_those_that_the_job_sets_itself(overlay: str, name: str) -> None:
    there = settings(render(overlay))
    if name != there.k8s_deployment:
        there = of_the_table_job(there)
        assert name == there.k8s_deployment
    wanted = {
        key: value
        for key, value in options_of(there, bounded=False).items()
        if key.startswith(("execution.checkpointing", "restart-strategy", "state", "python"))
    }
    assert len(wanted) > 15
    found = flink(name, overlay)["flinkConfiguration"]
    assert {key: found.get(key) for key in wanted} == wanted


@pytest.mark.parametrize(("overlay", "name"), jobs())
def test_what_is_not_named_as_different_is_as_on_the_local_stack(overlay: str, name: str) -> None:
    local = {
        key: text_of(value) for key, value in _configuration(load_local_settings(), settings(render(overlay))).items()
    }
    assert set(local) > DIFFERENT
    found = flink(name, overlay)["flinkConfiguration"]
    same = {key: value for key, value in local.items() if key not in DIFFERENT}
    if name == "torghut-ta-table":
        same["execution.checkpointing.dir"] += "/table"
    assert {key: found.get(key) for key in same} == same
    assert [key for key in DIFFERENT if found.get(key) == local[key]] == []


@pytest.mark.parametrize(("overlay", "name"), jobs())
def test_every_key_of_s3_is_there_but_for_the_secret_ones(overlay: str, name: str) -> None:
    there, found = settings(render(overlay)), flink(name, overlay)["flinkConfiguration"]
    assert {key: value for key, value in found.items() if key.startswith("fs.s3")} == {
        "fs.s3a.endpoint": there.s3_endpoint,
        "fs.s3a.endpoint.region": "us-east-1",
        "fs.s3a.path.style.access": text_of(there.s3_path_style),
        "fs.s3a.connection.ssl.enabled": text_of(there.s3_secure),
        "fs.s3a.fast.upload": "true",
        "fs.s3a.aws.credentials.provider": "com.amazonaws.auth.EnvironmentVariableCredentialsProvider",
    }
    variables = environment_of(flink(name, overlay)["podTemplate"]["spec"]["containers"][0])
    for ours, amazons in (("TA_S3_ACCESS_KEY", "AWS_ACCESS_KEY_ID"), ("TA_S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY")):
        assert variables[ours]["valueFrom"] == variables[amazons]["valueFrom"]


def test_every_option_is_one_that_flink_knows() -> None:
    """A name that Flink does not know is passed over in silence: its classes have the ones that it does."""
    local = load_local_settings()
    ensure_jars(local.jars_dir)
    (s3,) = (local.jars_dir / "flink-plugins" / "s3-fs-hadoop").glob("*.jar")
    jars = [
        *(distribution() / "lib").glob("flink-dist-*.jar"),
        *(distribution() / "opt").glob("flink-python-*.jar"),
        s3,
    ]
    wanted = {key for overlay, name in jobs() for key in flink(name, overlay)["flinkConfiguration"]}
    found = {key for jar in jars for key in constants(jar, wanted)}
    # Of the operator, and of a reporter that is named by the middle of its options.
    assert wanted - found == {
        "kubernetes.operator.deployment.rollback.enabled", "kubernetes.operator.snapshot.resource.enabled",
        "kubernetes.operator.job.upgrade.last-state-fallback.enabled", "kubernetes.operator.savepoint.cleanup.enabled",
        "metrics.reporter.prom.factory.class", "metrics.reporter.prom.port",
    }  # fmt: skip


def constants(jar: Path, wanted: set[str]) -> set[str]:
    """Those of the texts that a jar's classes of options have among their constants (JVM specification, 4.4.7)."""
    found: set[str] = set()
    with zipfile.ZipFile(jar) as opened:
        for name in opened.namelist():
            if name.endswith(("Options.class", "Constants.class")):
                code = opened.read(name)
                found |= {one for one in wanted - found if b"\x01" + len(one).to_bytes(2) + one.encode() in code}
    return found


@pytest.mark.parametrize(("overlay", "name"), jobs())
def test_state_of_the_deployment_lies_in_folders_of_its_own(overlay: str, name: str) -> None:
    found = flink(name, overlay)["flinkConfiguration"]
    there = settings(render(overlay))
    root = there.checkpoint_dir.removesuffix("/checkpoints")
    assert found["high-availability.storageDir"] == f"{root}/high-availability"
    assert found["execution.checkpointing.savepoint-dir"] == there.savepoint_dir == f"{root}/savepoints"
    assert found["execution.checkpointing.dir"].startswith(there.checkpoint_dir)


def test_development_and_production_share_no_folder() -> None:
    folders = [
        {value for value in flink("torghut-ta", overlay)["flinkConfiguration"].values() if value.startswith("s3a://")}
        for overlay in ("dev", "prod")
    ]
    assert all(len(one) == 3 for one in folders)
    assert not folders[0] & folders[1]


@pytest.mark.parametrize(("overlay", "name"), jobs())
def test_the_operator_deletes_no_savepoint_and_brings_no_version_back(overlay: str, name: str) -> None:
    """By default the first is after a day, or beyond the tenth: one that a rollback needs may be among them."""
    found = flink(name, overlay)["flinkConfiguration"]
    assert found["kubernetes.operator.savepoint.cleanup.enabled"] == "false"
    assert found["kubernetes.operator.deployment.rollback.enabled"] == "false"


@pytest.mark.parametrize(("overlay", "name"), jobs())
def test_the_job_is_what_pyflink_starts_in_application_mode(overlay: str, name: str) -> None:
    spec = flink(name, overlay)
    job, there = spec["job"], settings(render(overlay))
    pyflink = version("apache-flink")
    assert spec["flinkVersion"] == "v" + "_".join(pyflink.split(".")[:2])
    assert spec["mode"] == "native"
    assert job["entryClass"] == "org.apache.flink.client.python.PythonDriver"
    assert job["jarURI"] == f"local:///opt/flink/opt/flink-python-{pyflink}.jar"
    assert (distribution() / "opt" / f"flink-python-{pyflink}.jar").is_file()
    options = dict(zip(job["args"][::2], job["args"][1::2], strict=True))
    assert set(options) == {"-pyclientexec", "-pyexec", "-py"}
    assert options["-pyclientexec"] == options["-pyexec"] == PYTHON
    assert options["-py"].startswith(USRLIB)
    program = REPOSITORY / options["-py"].removeprefix(USRLIB)
    assert program.name == ("table_job.py" if name.endswith("-table") else "job.py")
    assert "def main() -> None:" in program.read_text(encoding="utf-8")
    assert (job["parallelism"], job["state"], job["upgradeMode"]) == (there.parallelism, "running", "savepoint")
    assert job["allowNonRestoredState"] is False
    configuration = spec["flinkConfiguration"]
    assert configuration["python.executable"] == configuration["python.client.executable"] == PYTHON
    (container,) = spec["podTemplate"]["spec"]["containers"]
    assert container["name"] == MAIN_CONTAINER
    variables = environment_of(container)
    assert {key: variables[key]["value"] for key in NO_WORKER_SERVER} == NO_WORKER_SERVER


def test_the_sizes_of_production_are_those_that_were_asked_for() -> None:
    spec = flink()
    assert spec["jobManager"]["resource"] == {"cpu": 1, "memory": "2048m"}
    assert spec["taskManager"]["resource"] == {"cpu": 2, "memory": "4096m"}
    assert spec["job"]["parallelism"] == int(spec["flinkConfiguration"]["taskmanager.numberOfTaskSlots"]) == 1


@pytest.mark.parametrize(("overlay", "name"), jobs())
def test_logs_are_those_of_the_local_stack_and_tell_nothing_of_the_environment(overlay: str, name: str) -> None:
    template = json.dumps(json.loads(TEMPLATE), separators=(",", ":"))
    wanted = LOG4J.replace("eventTemplateUri = @TEMPLATE@", f"eventTemplate = {template}") + _NO_ENVIRONMENT_IN_THE_LOG
    assert flink(name, overlay)["logConfiguration"] == {"log4j-console.properties": wanted}


def test_flink_logs_one_json_object_a_line_with_it(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.mkdir()
    file = conf / "log4j-console.properties"
    file.write_text(flink()["logConfiguration"]["log4j-console.properties"], encoding="utf-8")
    (conf / "config.yaml").write_text("parallelism.default: 1\n", encoding="utf-8")
    command = [
        str(java_home() / "bin" / "java"), "-Xmx128m", "-XX:TieredStopAtLevel=1",
        f"-Dlog4j.configurationFile={file.as_uri()}", flink()["flinkConfiguration"]["env.java.opts.jobmanager"], "-cp",
        f"{distribution() / 'lib'}/*", "org.apache.flink.client.cli.CliFrontend", "--version",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=120,
        env={"FLINK_CONF_DIR": str(conf), "PATH": os.environ["PATH"]},
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) > 10, done.stdout + done.stderr
    always = {field.name for field in FIELDS if field.always}
    for line in map(json.loads, lines):
        assert always <= set(line) <= set(NAMES)
    assert {line["component"] for line in map(json.loads, lines)} == {"jobmanager"}


def test_the_table_job_has_its_own_state_and_name_and_is_otherwise_the_same() -> None:
    job, table = flink("torghut-ta"), flink("torghut-ta-table")
    assert set(of_kind(render("prod"), "FlinkDeployment")) == {"torghut-ta", "torghut-ta-table"}
    differing = {
        key
        for key in {*job["flinkConfiguration"], *table["flinkConfiguration"]}
        if job["flinkConfiguration"].get(key) != table["flinkConfiguration"].get(key)
    }
    assert differing == {
        "execution.checkpointing.dir", "execution.checkpointing.tolerable-failed-checkpoints",
    }  # fmt: skip
    assert job["image"] == table["image"]

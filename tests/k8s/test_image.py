"""The job from the image: its file tree, assembled here, runs it as the overlay `dev` declares it (`make test-image`).

Other than on a cluster are the addresses, and high availability, which is ZooKeeper's. Other than in the overlay are
where the job starts to read, and that it writes Avro: then the registry, its schemas and its jar are in use too.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from ta_pipeline.errors import FlinkError
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.kafka_admin import ensure_topics
from ta_pipeline.kubernetes.image_tree import ImageTree, assemble
from ta_pipeline.kubernetes.manifests import flink_deployment, render, settings_of
from ta_pipeline.local.ports import LOOPBACK, free_port
from ta_pipeline.local.settings import REPOSITORY, load_local_settings
from ta_pipeline.s3 import object_exists, s3_client
from ta_pipeline.schema_registry import ensure_schemas
from ta_pipeline.settings import PREFIX, Settings, load_settings
from tests.jobs import committed, expected, send, simulated, without_ingest
from tests.k8s.containers import Container, Mount, why_not
from tests.k8s.pods import Pods
from tests.proofs import Say
from tests.stack import RunningStack, running_stack, wait_for

pytestmark = pytest.mark.image

OVERLAY = "dev"
SYMBOLS, SECONDS = 4, 40
START_SECONDS = 400.0
COMMIT_SECONDS = 180.0
OTHERWISE = {"TA_STARTUP_MODE": "earliest", "TA_OUTPUT_FORMAT": "avro-confluent"}
RUNS_IN_IT = ("flink.job", "flink.table_job", "ta_pipeline.clock", "ta_pipeline.probe_server")
TRY_TO_WRITE = """\
for folder in / /etc /usr /opt /opt/flink /opt/flink/conf /opt/flink/lib /opt/flink/usrlib /opt/venv /opt/java; do
  touch $folder/written 2>/dev/null && echo "writable: $folder"
done
touch /tmp/written || echo "not writable: /tmp"
echo "user: $(id -u):$(id -g)"
grep -E '^(CapEff|NoNewPrivs):' /proc/self/status
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """What is around the job; its own Flink is in the containers, and no other one is started."""
    with running_stack("kafka,registry,s3,zookeeper,clock") as running:
        yield running


@pytest.fixture(scope="module")
def tree() -> ImageTree:
    """The tree of the image, assembled anew; its packages are kept from one run to the next."""
    if reason := why_not():
        pytest.skip(f"no container can be made: {reason}")
    local = load_local_settings()
    return assemble(local.dir / "image", local.jars_dir, python=os.environ.get("IMAGE_PYTHON") or sys.executable)


def test_who_runs_in_the_image_is_not_root_and_writes_to_volumes_only(tree: ImageTree, tmp_path: Path) -> None:
    volume = tmp_path / "tmp"
    volume.mkdir()
    done = Container(tree, tmp_path / "container", [Mount(volume, "/tmp", writable=True)]).run(  # noqa: S108
        ["bash", "-c", TRY_TO_WRITE]
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == ["user: 9999:9999", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", ""]
    assert [path.name for path in volume.iterdir()] == ["written"]


def test_what_runs_in_the_image_is_found_in_it(tree: ImageTree, tmp_path: Path) -> None:
    code = f"""\
import importlib, json, os, shutil, sys, warnings
warnings.simplefilter("ignore")
files = [importlib.import_module(name).__file__ for name in {RUNS_IN_IT!r}]
import pemja, pyflink
files += [pemja.__file__, pyflink.__file__, shutil.which("python"), shutil.which("java"), shutil.which("flink")]
print(json.dumps([files, os.path.exists({str(REPOSITORY)!r})]))
"""
    done = Container(tree, tmp_path).run(["python", "-c", code])
    assert done.returncode == 0, done.stderr
    files, checkout = json.loads(done.stdout)
    assert not checkout
    ours, packages = files[: len(RUNS_IN_IT)], files[len(RUNS_IN_IT) : -2]
    assert ours == [f"/opt/flink/usrlib/{name.replace('.', '/')}.py" for name in RUNS_IN_IT]
    assert all(file.startswith("/opt/venv/") for file in packages)
    assert files[-2:] == ["/opt/java/openjdk/bin/java", "/opt/flink/bin/flink"]


@pytest.mark.timeout(1_200, func_only=True)
def test_the_job_of_the_image_commits_what_ta_compute_gives(
    stack: RunningStack, tree: ImageTree, tmp_path: Path, say: Say
) -> None:
    pods = pods_of(stack, tree, tmp_path)
    settings = settings_for(pods)
    before = fingerprint(tree.root)
    ensure_topics(settings)
    ensure_schemas(settings)
    messages = simulated(SYMBOLS, 100, SECONDS, seed=6, start=int(time.time()) - SECONDS - 5)
    send(stack, settings, messages)
    rest = FlinkRest(f"http://{LOOPBACK}:{pods.flink['rest.port']}")
    begin = time.monotonic()
    with ThreadPoolExecutor() as pool, pods.started():
        computed = pool.submit(expected, tmp_path, settings, messages)
        (job_id,) = until(pods, "the job runs, with a checkpoint", lambda: checkpointed(rest), START_SECONDS)
        say(f"from the image: RUNNING with a checkpoint {time.monotonic() - begin:.0f} s after the first container")
        right = computed.result()
        assert len(right["bars"]) > SYMBOLS * SECONDS / 2

        for topic, name in ((settings.bars_topic, "bars"), (settings.signals_topic, "signals")):
            wanted = len(right[name])
            found = committed(stack, settings, topic, lambda records, n=wanted: len(records) >= n, COMMIT_SECONDS)  # type: ignore[misc]
            assert without_ingest(found) == right[name]
        assert rest.restarts(job_id) == 0
        python_runs_inside(pods, tree)
        metrics_are_served(pods)

        savepoint = rest.stop_with_savepoint(job_id, pods.configuration()["execution.checkpointing.savepoint-dir"])
        assert rest.job(job_id).state == "FINISHED"
        assert savepoint.startswith(settings.savepoint_dir)
        assert object_exists(s3_client(settings), f"{savepoint}/_metadata")
        pods.require_running()
        for name in ("taskmanager", "jobmanager"):
            pods.end(name)

    assert fingerprint(tree.root) == before
    for name in ("jobmanager", "taskmanager"):
        for place, there, allowed in pods.left_in_volumes(name):
            assert there < allowed
            say(f"{name} leaves {there / 1e6:.1f} MB in {place}")
        logs_are_json_and_complain_of_no_file(pods.log(name), stack.settings)


def pods_of(stack: RunningStack, tree: ImageTree, directory: Path) -> Pods:
    """The pods of the overlay, with the addresses of this machine."""
    objects = render(OVERLAY)
    deployment = flink_deployment(objects)
    pod = deployment["spec"]["podTemplate"]["spec"]
    # What is proved here is what is declared there.
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == tree.user
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    local, settings = stack.local, stack.settings
    keys = {"accesskey": settings.s3_access_key, "secretkey": settings.s3_secret_key}
    return Pods(
        deployment,
        settings_of(objects),
        {("torghut-ta-s3", key): value.get_secret_value() for key, value in keys.items()},
        tree,
        directory,
        flink={
            "jobmanager.rpc.address": LOOPBACK,
            "jobmanager.bind-host": LOOPBACK,
            "rest.address": LOOPBACK,
            "rest.bind-address": LOOPBACK,
            "rest.port": str(free_port()),
            "taskmanager.host": LOOPBACK,
            "taskmanager.bind-host": LOOPBACK,
            "fs.s3a.endpoint": settings.s3_endpoint,
            "high-availability.type": "zookeeper",
            "high-availability.zookeeper.quorum": f"{LOOPBACK}:{local.zookeeper_port}",
            "high-availability.cluster-id": f"/{deployment['metadata']['name']}",
        },
        variables={
            "TA_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
            "TA_SCHEMA_REGISTRY_URL": settings.schema_registry_url,
            "TA_S3_ENDPOINT": settings.s3_endpoint,
            **OTHERWISE,
        },
        metrics_ports=(free_port(), free_port()),
    )


def settings_for(pods: Pods) -> Settings:
    """The settings that the job has in its pods."""
    variables = pods.container("jobmanager").environment or {}
    fields = {name.removeprefix(PREFIX).lower(): value for name, value in variables.items() if name.startswith(PREFIX)}
    return load_settings(**fields)


def until(pods: Pods, what: str, holds: Callable[[], Any], seconds: float) -> Any:
    """What `holds` gives as soon as that is something; fails at once when a pod has ended."""
    found: list[Any] = []

    def is_so() -> bool:
        pods.require_running()
        found.append(holds())
        return bool(found[-1])

    try:
        wait_for(what, is_so, seconds)
    except AssertionError as error:
        logs = "\n".join(f"{name}:\n{pods.log(name)[-4_000:]}" for name in ("jobmanager", "taskmanager"))
        raise AssertionError(f"{error}\n{logs}") from None
    return found[-1]


def checkpointed(rest: FlinkRest) -> list[str]:
    """The jobs that run and have a completed checkpoint."""
    try:
        return [one.id for one in rest.jobs() if rest.is_running(one.id) and rest.checkpoints(one.id).completed]
    except FlinkError:  # it is not up yet
        return []


def python_runs_inside(pods: Pods, tree: ImageTree) -> None:
    """Thread mode: the TaskManager's own process has loaded Python, from the image, and started none."""
    process = psutil.Process(pods.running["taskmanager"].pid)
    loaded = {one.path for one in process.memory_maps()}
    assert any("/site-packages/pemja" in path for path in loaded), sorted(loaded)
    assert any("/libpython3." in path for path in loaded)
    assert process.children(recursive=True) == []
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    assert "CapEff:\t0000000000000000" in status
    (mapped,) = Path(f"/proc/{process.pid}/uid_map").read_text(encoding="utf-8").splitlines()
    assert mapped.split()[0] == tree.user.partition(":")[0]


def metrics_are_served(pods: Pods) -> None:
    """By Flink's own reporter, as the overlay has it."""
    for port, name in zip(pods.metrics_ports, ("flink_jobmanager_job_", "flink_taskmanager_job_task_"), strict=True):
        answer = requests.get(f"http://{LOOPBACK}:{port}/metrics", timeout=30)
        assert answer.status_code == 200
        assert name in answer.text


def logs_are_json_and_complain_of_no_file(log: str, settings: Settings) -> None:
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert len(lines) > 50
    for trouble in (
        "Read-only file system",
        "Permission denied",
        "AccessDenied",
        settings.s3_secret_key.get_secret_value(),
    ):
        assert trouble not in log


def fingerprint(root: Path) -> list[tuple[str, int, int]]:
    """Each file with its size and when it was written."""
    return sorted(_files(root))


def _files(root: Path) -> Iterator[tuple[str, int, int]]:
    for path in root.rglob("*"):
        there = path.lstat()
        yield str(path.relative_to(root)), there.st_size, there.st_mtime_ns

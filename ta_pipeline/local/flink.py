"""Flink as a standalone cluster: JobManager and TaskManager from the distribution inside the apache-flink wheel.

Layout under `<dir>/flink`: `conf/` (config.yaml, log4j), `lib/` (links to the wheel's jars, flink-python, the
connectors, the job's jar), `plugins/` (S3, Prometheus), `tmp/`. flink-python has to be in `lib/`: in the job's own
class loader, the second job in thread mode dies of `NoSuchFieldException: loadedLibraryNames`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from ta_pipeline.errors import StackError
from ta_pipeline.local.components import Component, NotReadyError
from ta_pipeline.local.flink_logging import LOG4J, TEMPLATE
from ta_pipeline.local.jars import jar_digest
from ta_pipeline.local.ports import LOOPBACK
from ta_pipeline.local.probes import answers
from ta_pipeline.local.releases import link_of
from ta_pipeline.local.s3 import HIGH_AVAILABILITY_DIR
from ta_pipeline.local.settings import REPOSITORY, LocalSettings
from ta_pipeline.logs.log4j import component_option
from ta_pipeline.settings import Settings

NO_WORKER_SERVER = {"_python_worker_execution_mode": "process"}
"""For a job in its client's own process: PyFlink would serve its Python workers there, on every interface, for anybody
to start more. In thread mode there are none (`pyflink.fn_execution.beam.beam_worker_pool_service`)."""
# It logs the environment of the job's Python process, and takes few names for secrets.
_NO_ENVIRONMENT_IN_THE_LOG = """
logger.pythonenvironment.name = org.apache.flink.client.python.PythonEnvUtils
logger.pythonenvironment.level = WARN
"""


def distribution() -> Path:
    """Where the apache-flink wheel put Flink.

    Raises:
        StackError: the wheel is not installed.
    """
    spec = find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise StackError("apache-flink is not installed in this environment: pip install -c constraints.txt -e .")
    return Path(spec.origin).parent


def flink_command() -> Path:
    """Flink's own command line, `flink run` and so on; run it with `flink_environment`."""
    return distribution() / "bin" / "flink"


def flink_environment(local: LocalSettings, java: Path, code: Path = REPOSITORY) -> dict[str, str]:
    """What Flink's scripts read: where this stack's configuration and jars are, and which Python and code the job gets.

    Args:
        local: the stack.
        java: a Java 17.
        code: the folder that holds `flink/` and `ta_pipeline/`.
    """
    home = local.dir / "flink"
    python_bin = str(Path(sys.executable).parent)
    return {
        "JAVA_HOME": str(java),
        "FLINK_CONF_DIR": str(home / "conf"),
        "FLINK_LIB_DIR": str(home / "lib"),
        "FLINK_OPT_DIR": str(distribution() / "opt"),
        "FLINK_PLUGINS_DIR": str(home / "plugins"),
        "FLINK_LOG_DIR": str(home / "log"),
        "FLINK_PID_DIR": str(home / "pid"),
        "FLINK_IDENT_STRING": "ta",
        # Thread mode looks for pemja beside the first `python` on PATH.
        "PATH": os.pathsep.join([python_bin, os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(code),
    }


def s3_environment(settings: Settings) -> dict[str, str]:
    """The keys to S3 as Flink's processes are given them."""
    return {
        "AWS_ACCESS_KEY_ID": settings.s3_access_key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": settings.s3_secret_key.get_secret_value(),
    }


def jobmanager(local: LocalSettings, settings: Settings, java: Path) -> Component:
    """The JobManager; its REST API is at `flink_rest_port`."""
    home = local.dir / "flink"
    options = {
        "metrics.reporter.prom.port": local.jobmanager_metrics_port,
        "metrics.internal.query-service.port": local.jobmanager_query_port,
    }
    return Component(
        name="jobmanager",
        command=_command("jobmanager.sh", options),
        ports={
            "flink_rest_port": local.flink_rest_port,
            "jobmanager_rpc_port": local.jobmanager_rpc_port,
            "jobmanager_blob_port": local.jobmanager_blob_port,
            "jobmanager_query_port": local.jobmanager_query_port,
            "jobmanager_metrics_port": local.jobmanager_metrics_port,
        },
        environment={**flink_environment(local, java), **s3_environment(settings)},
        files=_files(local, settings),
        depends_on=_jar_digest(local),
        # It keeps what its jobs are in both, and does not start without.
        after=("zookeeper", "s3"),
        prepare=lambda: _lay_out(local, home),
        ready=lambda: _jobmanager_ready(local.flink_rest_port),
    )


def taskmanager(local: LocalSettings, settings: Settings, java: Path) -> Component:
    """The TaskManager with `task_slots` slots; the job's Python runs inside it."""
    home = local.dir / "flink"
    options = {
        "metrics.reporter.prom.port": local.taskmanager_metrics_port,
        "metrics.internal.query-service.port": local.taskmanager_query_port,
    }
    return Component(
        name="taskmanager",
        command=_command("taskmanager.sh", options),
        ports={
            "taskmanager_data_port": local.taskmanager_data_port,
            "taskmanager_rpc_port": local.taskmanager_rpc_port,
            "taskmanager_query_port": local.taskmanager_query_port,
            "taskmanager_metrics_port": local.taskmanager_metrics_port,
        },
        environment={**flink_environment(local, java, link_of(local)), **s3_environment(settings)},
        files=_files(local, settings),
        depends_on=_jar_digest(local),
        prepare=lambda: _lay_out(local, home),
        ready=lambda: _taskmanager_ready(local.flink_rest_port),
    )


def _command(script: str, options: Mapping[str, int]) -> tuple[str, ...]:
    dynamic = [part for name, value in options.items() for part in ("-D", f"{name}={value}")]
    return ("/usr/bin/env", "bash", str(distribution() / "bin" / script), "start-foreground", *dynamic)


def _files(local: LocalSettings, settings: Settings) -> dict[Path, str]:
    conf = local.dir / "flink" / "conf"
    template = conf / "log-record.json"
    lines = [f"{name}: {json.dumps(value)}" for name, value in _configuration(local, settings).items()]
    return {
        conf / "config.yaml": "\n".join(lines) + "\n",
        conf / "log4j-console.properties": LOG4J.replace("@TEMPLATE@", template.as_uri()),
        conf / "log4j-cli.properties": _client_logging(),
        template: TEMPLATE,
    }


def _client_logging() -> str:
    shipped = (distribution() / "conf" / "log4j-cli.properties").read_text(encoding="utf-8")
    return shipped + _NO_ENVIRONMENT_IN_THE_LOG


def _configuration(local: LocalSettings, settings: Settings) -> dict[str, str | int | float | bool]:
    home = local.dir / "flink"
    return {
        "env.java.opts.all": _java_17_options(),
        # Whose its log lines are.
        "env.java.opts.jobmanager": component_option("jobmanager"),
        "env.java.opts.taskmanager": component_option("taskmanager"),
        # It plans one job and ends: compiling well takes longer than it saves.
        "env.java.opts.client": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        # Loopback only, every port known.
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.rpc.port": local.jobmanager_rpc_port,
        "jobmanager.bind-host": LOOPBACK,
        "blob.server.port": str(local.jobmanager_blob_port),
        "rest.address": LOOPBACK,
        "rest.port": local.flink_rest_port,
        "rest.bind-address": LOOPBACK,
        "rest.bind-port": str(local.flink_rest_port),
        "taskmanager.host": LOOPBACK,
        "taskmanager.bind-host": LOOPBACK,
        "taskmanager.rpc.port": str(local.taskmanager_rpc_port),
        "taskmanager.data.port": local.taskmanager_data_port,
        # A restarted TaskManager takes its own place at once instead of waiting for the lost one's heartbeat. That the
        # lost one is lost has to be known by then: later, it is the new one that is sent away.
        "taskmanager.resource-id": "local",
        "heartbeat.interval": "1 s",
        # A JobManager that was killed finds its jobs again.
        "high-availability.type": "zookeeper",
        "high-availability.zookeeper.quorum": f"{LOOPBACK}:{local.zookeeper_port}",
        "high-availability.cluster-id": "/ta",
        "high-availability.storageDir": HIGH_AVAILABILITY_DIR,
        "high-availability.jobmanager.port": str(local.jobmanager_rpc_port),
        # The next JobManager leads when the session of the dead one has ended. One that only stands still for
        # longer than this loses its jobs to itself: they are restarted from their last checkpoint.
        "high-availability.zookeeper.client.session-timeout": "15 s",
        "high-availability.zookeeper.client.tolerate-suspended-connections": True,
        # A cluster takes a job of an id once, after a restart too.
        "job-result-store.delete-on-commit": False,
        # Sizes: the heap state backend needs no managed memory; Python lives outside the Java heap.
        "jobmanager.memory.process.size": f"{local.jobmanager_mb}m",
        "taskmanager.memory.process.size": f"{local.taskmanager_mb}m",
        "taskmanager.memory.managed.fraction": 0.05,
        "taskmanager.memory.network.min": "64m",
        "taskmanager.memory.network.max": "128m",
        "taskmanager.memory.task.off-heap.size": "128m",
        "taskmanager.numberOfTaskSlots": local.task_slots,
        "io.tmp.dirs": str(home / "tmp"),
        "web.tmpdir": str(home / "tmp"),
        # Python: the interpreter that runs this code, for the workers and for the client.
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        # State
        "state.backend.type": "hashmap",
        "execution.checkpointing.storage": "filesystem",
        "execution.checkpointing.dir": settings.checkpoint_dir,
        "execution.checkpointing.savepoint-dir": settings.savepoint_dir,
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.num-retained": 3,
        "fs.s3a.endpoint": settings.s3_endpoint,
        "fs.s3a.endpoint.region": "us-east-1",
        "fs.s3a.path.style.access": settings.s3_path_style,
        "fs.s3a.connection.ssl.enabled": settings.s3_secure,
        # Not in here: Flink logs its configuration and tells it over REST, and takes the access key for no secret.
        "fs.s3a.aws.credentials.provider": "com.amazonaws.auth.EnvironmentVariableCredentialsProvider",
        # What REST says about metrics is at most this old.
        "metrics.fetcher.update-interval": "2 s",
        # The web UI's profiler: flame graphs of a TaskManager under load.
        "rest.profiling.enabled": True,
        "metrics.reporter.prom.factory.class": "ta.flink.metrics.LoopbackPrometheusReporterFactory",
    }


def _java_17_options() -> str:
    """The `--add-opens` that Flink ships for Java 17, from its own default configuration."""
    shipped = (distribution() / "conf" / "config.yaml").read_text(encoding="utf-8")
    for line in shipped.splitlines():
        name, _, value = line.strip().partition(": ")
        if name == "all" and value.startswith("--add-exports"):
            return value
    raise StackError("Flink's config.yaml no longer has env.java.opts.all: is apache-flink the pinned version?")


def _jar_digest(local: LocalSettings) -> str:
    return jar_digest([local.jars_dir / "flink-lib", local.jars_dir / "flink-extra"])


def _lay_out(local: LocalSettings, home: Path) -> None:
    """Make `lib/`, `plugins/` and the working directories anew."""
    wheel, jars = distribution(), local.jars_dir
    own = [*(jars / "flink-lib").glob("*.jar"), *(jars / "flink-extra").glob("*.jar")]
    shipped = [*(wheel / "opt").glob("flink-python-*.jar"), *(wheel / "plugins" / "metrics-prometheus").glob("*.jar")]
    _link(home / "lib", [*(wheel / "lib").glob("*.jar"), *shipped, *own])
    _link(home / "plugins" / "s3-fs-hadoop", (jars / "flink-plugins" / "s3-fs-hadoop").glob("*.jar"))
    for name in ("tmp", "log", "pid"):
        (home / name).mkdir(parents=True, exist_ok=True)
    # Large parts of a job's graph go through files in there, and the options of its tables with them.
    (home / "tmp").chmod(0o700)


def _link(directory: Path, jars: Iterable[Path]) -> None:
    """Make `directory` hold links to exactly these jars; what is right stays, a running JVM may be reading it.

    Others may be at the same: two bounded runs share their Flink home.
    """
    directory.mkdir(parents=True, exist_ok=True)
    wanted = {jar.name: jar for jar in jars}
    for link in directory.iterdir():
        if link.name not in wanted or not link.is_symlink() or link.readlink() != wanted[link.name]:
            link.unlink(missing_ok=True)
    for name, jar in wanted.items():
        with contextlib.suppress(FileExistsError):
            (directory / name).symlink_to(jar)


def _jobmanager_ready(port: int) -> None:
    answers(f"http://{LOOPBACK}:{port}/overview")


def _taskmanager_ready(port: int) -> None:
    overview = answers(f"http://{LOOPBACK}:{port}/overview").json()
    if not overview.get("taskmanagers"):
        raise NotReadyError("no TaskManager has registered with the JobManager yet")


def bounded_environment(local: LocalSettings, java: Path, scratch: Path) -> dict[str, str]:
    """What `python -m flink.job` needs for a run in its own process: a Flink home with the job's jars in `lib/`.

    PyFlink finds the jars of its own gateway by FLINK_HOME alone.
    """
    home, wheel, jars = local.dir / "flink" / "home", distribution(), local.jars_dir
    own = [*(jars / "flink-lib").glob("*.jar"), *(jars / "flink-extra").glob("*.jar")]
    _link(home / "lib", [*(wheel / "lib").glob("*.jar"), *own])
    for name in ("bin", "opt", "plugins"):
        with contextlib.suppress(FileExistsError):
            (home / name).symlink_to(wheel / name)
    conf = scratch / "conf"
    conf.mkdir()
    options = {
        "env.java.opts.all": f"{_java_17_options()} -Xmx1500m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "taskmanager.memory.managed.size": "16m",
    }
    (conf / "config.yaml").write_text("".join(f"{k}: {json.dumps(v)}\n" for k, v in options.items()), encoding="utf-8")
    for name in ("log4j-cli.properties", "log4j.properties"):
        (conf / name).write_text((wheel / "conf" / name).read_text(encoding="utf-8"), encoding="utf-8")
    (scratch / "log").mkdir()
    return {
        "JAVA_HOME": str(java),
        **NO_WORKER_SERVER,
        "FLINK_HOME": str(home),
        "FLINK_CONF_DIR": str(conf),
        "FLINK_LOG_DIR": str(scratch / "log"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(REPOSITORY),
    }

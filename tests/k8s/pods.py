"""A FlinkDeployment's JobManager and TaskManager as containers on this machine, from the tree of the image.

What the operator and Kubernetes would do is done here: configuration and logging in /opt/flink/conf, settings and
secrets in the environment, sizes and what the operator sets itself in the configuration, volumes in their places. As in
the operator's standalone mode: in native mode the JobManager would ask an API server for its TaskManagers.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ta_pipeline.kubernetes.image_tree import ImageTree
from tests.k8s.containers import Container, Mount
from tests.manifests import MAIN_CONTAINER

CONFIGURATION = "/opt/flink/conf"
BY_THE_OPERATOR = {
    "execution.shutdown-on-application-finish": "false",
    "execution.submit-failed-job-on-application-error": "true",
    "web.cancel.enable": "false",
}
"""Its FlinkConfigBuilder adds them."""
_UNITS = {"Mi": 2**20, "Gi": 2**30}
_TERM_SECONDS = 60.0


@dataclass
class Pods:
    """The two pods of one FlinkDeployment.

    Attributes:
        deployment: the object.
        settings: of the ConfigMap that it names.
        secrets: by name and key.
        tree: of the image.
        directory: for their files; nobody else's.
        flink: options that are others here, on top of the deployment's.
        variables: that are others here.
        metrics_ports: of JobManager and TaskManager, which share a network here.
    """

    deployment: Mapping[str, Any]
    settings: Mapping[str, str]
    secrets: Mapping[tuple[str, str], str]
    tree: ImageTree
    directory: Path
    flink: Mapping[str, str]
    variables: Mapping[str, str]
    metrics_ports: tuple[int, int]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        """Both, for as long as this lasts."""
        spec = self.deployment["spec"]
        job, (jobmanager, taskmanager) = spec["job"], self.metrics_ports
        address = self.flink["jobmanager.rpc.address"]
        try:
            self._start("jobmanager", [
                "/opt/flink/bin/standalone-job.sh", "start-foreground", "--job-classname", job["entryClass"],
                "-D", f"metrics.reporter.prom.port={jobmanager}", "-D", f"jobmanager.rpc.address={address}",
                *job["args"],
            ])  # fmt: skip
            self._start("taskmanager", [
                "/opt/flink/bin/taskmanager.sh", "start-foreground", "-D", f"metrics.reporter.prom.port={taskmanager}",
            ])  # fmt: skip
            yield
        finally:
            for name in ("taskmanager", "jobmanager"):
                self.end(name)

    def end(self, name: str) -> int | None:
        """End a pod as Kubernetes does; its exit status, None: it was not running."""
        process = self.running.pop(name, None)
        if process is None:
            return None
        process.terminate()
        try:
            return process.wait(_TERM_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def require_running(self) -> None:
        """Fail, with the end of its log, when a pod has ended."""
        for name, process in self.running.items():
            assert process.poll() is None, f"{name} ended with {process.returncode}:\n{self.log(name)[-6_000:]}"

    def log(self, name: str) -> str:
        """All that a pod has printed."""
        return (self.directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def container(self, name: str) -> Container:
        """The container of a pod, with its volumes."""
        configuration = self.directory / "conf"
        self._write_configuration(configuration)
        mounts = [Mount(configuration, CONFIGURATION), *self._volumes(name)]
        return Container(self.tree, self.directory / name, mounts, self._environment())

    def left_in_volumes(self, name: str) -> Iterator[tuple[str, int, int]]:
        """Of each volume that a pod could write to: where it was, how many bytes are in it, and how many may be."""
        limits = {one["name"]: one["emptyDir"]["sizeLimit"] for one in self._pod["volumes"]}
        for mount in self._main["volumeMounts"]:
            files = [path for path in self._volume(name, mount["name"]).rglob("*") if path.is_file()]
            limit = limits[mount["name"]]
            yield mount["mountPath"], sum(path.stat().st_size for path in files), int(limit[:-2]) * _UNITS[limit[-2:]]

    @property
    def _pod(self) -> Mapping[str, Any]:
        pod: Mapping[str, Any] = self.deployment["spec"]["podTemplate"]["spec"]
        return pod

    @property
    def _main(self) -> Mapping[str, Any]:
        (main,) = self._pod["containers"]
        assert main["name"] == MAIN_CONTAINER
        found: Mapping[str, Any] = main
        return found

    def configuration(self) -> dict[str, str]:
        """All options of Flink, as both pods are given them."""
        spec = self.deployment["spec"]
        sizes = {f"{name.lower()}.memory.process.size": spec[name]["resource"]["memory"] for name in
                 ("jobManager", "taskManager")}  # fmt: skip
        return {**spec["flinkConfiguration"], **sizes, **BY_THE_OPERATOR, **self.flink}

    def _start(self, name: str, command: Sequence[str]) -> None:
        self.running[name] = self.container(name).start(command, self.directory / f"{name}.log")

    def _write_configuration(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(self.configuration()), encoding="utf-8")
        for name, text in self.deployment["spec"]["logConfiguration"].items():
            (folder / name).write_text(text, encoding="utf-8")

    def _environment(self) -> dict[str, str]:
        """Settings of the ConfigMap, then the container's own variables, then what is otherwise here."""
        own = {}
        for one in self._main["env"]:
            reference = one.get("valueFrom", {}).get("secretKeyRef", {})
            own[one["name"]] = one["value"] if "value" in one else self.secrets[reference["name"], reference["key"]]
        return {**self.settings, **own, **self.variables}

    def _volumes(self, name: str) -> list[Mount]:
        kinds = {one["name"]: set(one) - {"name"} for one in self._pod["volumes"]}
        mounts = []
        for mount in self._main["volumeMounts"]:
            assert kinds[mount["name"]] == {"emptyDir"}, f"{mount['name']}: {kinds[mount['name']]} is not known here"
            folder = self._volume(name, mount["name"])
            folder.mkdir(parents=True, exist_ok=True)
            mounts.append(Mount(folder, mount["mountPath"], writable=True))
        return mounts

    def _volume(self, name: str, volume: str) -> Path:
        return self.directory / "volumes" / name / volume

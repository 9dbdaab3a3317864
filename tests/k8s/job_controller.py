"""Plays Kubernetes' Job controller and the node of its pods: what a pod would run is run here, as a process.

It keeps to what the Job says: another pod after one that failed, until `backoffLimit`. What a pod would be given by its
secrets, and by its ServiceAccount, it is given in its environment.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ta_pipeline.kubernetes.agent_job import JOB, POD_OF_JOB, is_finished
from tests.k8s.conftest import Namespace

TICK_SECONDS = 0.05


@dataclass
class PlayedPod:
    """A pod that runs, or has run."""

    name: str
    job: str
    process: subprocess.Popen[bytes] | None
    log: Path


@dataclass
class PlayedJobController:
    """Runs the Jobs of one namespace.

    Attributes:
        namespace: the one.
        secrets: values of variables that come from secrets, by variable.
        given: further variables of every pod: what a node and an account bring along.
        folder: where pods log to.
        pulls: whether images can be pulled.
        pods: all there were, the oldest first.
    """

    namespace: Namespace
    secrets: Mapping[str, str]
    given: Mapping[str, str]
    folder: Path
    pulls: bool = True
    pods: list[PlayedPod] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """It works for as long as this lasts; no process is left."""
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(self._run)
            try:
                yield
            finally:
                self._stop.set()
                work.result()
                for pod in self.pods:
                    if pod.process is not None and pod.process.poll() is None:
                        pod.process.kill()
                        pod.process.wait()

    def running_pod(self, seconds: float = 20.0) -> PlayedPod:
        """The pod that runs now."""
        found: list[PlayedPod] = []

        def is_there() -> bool:
            found[:] = [pod for pod in self.pods if pod.process is not None and pod.process.poll() is None]
            return bool(found)

        wait_until(is_there, seconds)
        (pod,) = found
        return pod

    def jobs(self) -> list[dict[str, Any]]:
        """All Jobs, by name."""
        found = self.namespace.admin.call("GET", self.namespace.path(JOB.plural, JOB.api_version))["items"]
        return sorted(found, key=lambda one: str(one["metadata"]["name"]))

    def _run(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            for job in self.jobs():
                if not is_finished(job):
                    self._step(job)

    def _step(self, job: Mapping[str, Any]) -> None:
        name = job["metadata"]["name"]
        pods = [pod for pod in self.pods if pod.job == name]
        statuses = [pod.process.poll() if pod.process is not None else None for pod in pods]
        if None in statuses:
            return
        failed = len([one for one in statuses if one])
        if 0 in statuses:
            self._end(job, "SuccessCriteriaMet", "Complete", failed)
        elif failed > job["spec"]["backoffLimit"]:
            self._end(job, "FailureTarget", "Failed", failed)
        else:
            self._start(job, len(pods))

    def _start(self, job: Mapping[str, Any], number: int) -> None:
        name, template = job["metadata"]["name"], job["spec"]["template"]
        pod = f"{name}-{number:05d}"
        labels = {**template["metadata"]["labels"], POD_OF_JOB: name}
        self.namespace.admin.call("POST", self.namespace.path("pods", "v1"), {
            "metadata": {"name": pod, "labels": labels}, "spec": template["spec"],
        })  # fmt: skip
        (container,) = template["spec"]["containers"]
        if not self.pulls:
            self._tell_that_it_cannot_be_pulled(pod, container)
            self.pods.append(PlayedPod(pod, name, None, self.folder / pod))
            return
        environment = {one["name"]: one.get("value", self.secrets.get(one["name"], "")) for one in container["env"]}
        # Its first word is the image's own Python.
        command = [sys.executable, *container["command"][1:], *container["args"]]
        with (self.folder / pod).open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**{key: value for key, value in os.environ.items() if not key.startswith("TA_")},
                     **environment, **self.given},
            )  # fmt: skip
        self.pods.append(PlayedPod(pod, name, process, self.folder / pod))

    def _tell_that_it_cannot_be_pulled(self, pod: str, container: Mapping[str, Any]) -> None:
        told = {
            "name": container["name"], "image": "", "imageID": "", "ready": False, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": f"Back-off pulling {container['image']}"}},
        }  # fmt: skip
        path = f"{self.namespace.path('pods', 'v1')}/{pod}/status"
        self.namespace.admin.call("PATCH", path, {"status": {"containerStatuses": [told]}}, "merge-patch+json")

    def _end(self, job: Mapping[str, Any], target: str, condition: str, failed: int) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {"type": kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now}
            for kind in (target, condition)
        ]
        status: dict[str, Any] = {
            "startTime": job["metadata"]["creationTimestamp"], "failed": failed, "conditions": conditions,
            "uncountedTerminatedPods": {},
        }  # fmt: skip
        if condition == "Complete":
            status |= {"succeeded": 1, "completionTime": now}
        path = f"{self.namespace.path(JOB.plural, JOB.api_version)}/{job['metadata']['name']}/status"
        self.namespace.admin.call("PUT", path, {**job, "status": status})


def wait_until(is_so: Callable[[], bool], seconds: float) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not after {seconds:g} s: {is_so.__qualname__}"
        time.sleep(TICK_SECONDS)

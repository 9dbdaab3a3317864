"""The Flink of the local stack in the place of the clusters that the operator would start: the job is the real one.

What the operator hands to a cluster is taken from the FlinkDeployment: the job's id, its settings in the pod's
environment, its state. Whoever reads or writes anything else would not be noticed here, but on a cluster.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ta_pipeline.errors import FlinkError
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.kubernetes.deployment import MAIN_CONTAINER
from ta_pipeline.local.runtime import LocalRuntime
from ta_pipeline.local.settings import variables
from ta_pipeline.settings import PREFIX, Settings, load_settings
from tests.stack import RunningStack


class StackFlink:
    """One cluster for all jobs of a test."""

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack
        self._rest = FlinkRest(stack.settings.flink_rest_url)
        self.failures: dict[str, str] = {}
        """Jobs that did not get to work, and why."""

    def submit(self, job_id: str, deployment: Mapping[str, Any], restored_from: str | None) -> None:
        """Submit the job, in the background as pods start."""
        settings = self._settings_in(deployment)
        runtime = LocalRuntime(settings, variables(settings), local=self._stack.local)

        def run() -> None:
            try:
                runtime.deploy(restore_from=restored_from, job_id=job_id, interrupt_others=True)
            except FlinkError as error:
                self.failures[job_id] = str(error)

        threading.Thread(target=run, daemon=True).start()

    def is_up(self, job_id: str) -> bool:
        """Whether the job is known, or will not be."""
        return job_id in self.failures or self._rest.find(job_id) is not None

    def run(self, job_id: str) -> None:
        """It runs by itself."""

    def state(self, job_id: str) -> str | None:
        """Flink's word."""
        found = self._rest.find(job_id)
        return "FAILED" if job_id in self.failures else found.state if found else None

    def savepoint(self, job_id: str, directory: str) -> str:
        """As the operator takes it: over REST."""
        return self._rest.savepoint(job_id, directory)

    def stop(self, job_id: str, directory: str) -> str:
        """As the operator stops it: over REST."""
        return self._rest.stop_with_savepoint(job_id, directory)

    def end(self, job_id: str, state: str) -> None:
        """Over REST, too."""
        del state
        self._rest.cancel(job_id)

    def _settings_in(self, deployment: Mapping[str, Any]) -> Settings:
        containers = deployment["spec"]["podTemplate"]["spec"]["containers"]
        (main,) = [one for one in containers if one["name"] == MAIN_CONTAINER]
        told = {
            one["name"].removeprefix(PREFIX).lower(): one["value"]
            for one in main["env"]
            if one["name"].startswith(PREFIX) and "value" in one
        }
        # Secrets come from elsewhere, on a cluster as here.
        return load_settings(**{**self._stack.settings.model_dump(), **told})

"""Jobs that carry rollouts out on Kubernetes: what the API server says of them is what is known.

Whoever asks from outside of the cluster, with a kubeconfig, has no pod's secrets to hand on: there it is a process.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from ta_pipeline.errors import KubernetesError
from ta_pipeline.kubernetes.agent_job import (
    JOB,
    POD_OF_JOB,
    POD_TEMPLATE,
    ROLLOUT,
    agent_job,
    is_finished,
    next_name,
    template_name,
)
from ta_pipeline.kubernetes.client import EVENT, POD, KubernetesApi, is_in_pod
from ta_pipeline.kubernetes.pods import pod_problems, recent_events
from ta_pipeline.platform import Platform
from ta_pipeline.rollout.journal import Rollout
from ta_pipeline.rollout.process_agents import ProcessAgents
from ta_pipeline.rollout.stored_log import StoredTail, uri_of


class JobAgents:
    """The Jobs of one deployment.

    Args:
        platform: the deployment.
        processes: who carries rollouts out where there is no pod.
        api: of its namespace.
        in_pod: whether this runs in a pod, whose template the overlay has.
    """

    def __init__(self, platform: Platform, processes: ProcessAgents, api: KubernetesApi, *, in_pod: bool) -> None:
        self._settings = platform.settings
        self._processes = processes
        self._api = api
        self._in_pod = in_pod

    @classmethod
    def of(cls, platform: Platform, processes: ProcessAgents) -> JobAgents:
        """Those of a deployment, as it is reached from here.

        Raises:
            SettingsError: no API server is to be found.
        """
        settings = platform.settings
        return cls(platform, processes, KubernetesApi.of(settings), in_pod=is_in_pod(settings))

    def start(self, rollout: Rollout) -> None:
        """See `ta_pipeline.rollout.agents.Agents`.

        Raises:
            KubernetesError: the API server refuses, or has no template.
        """
        jobs = self._api.find(JOB, labels=f"{ROLLOUT}={rollout.id}")
        if not all(map(is_finished, jobs)):
            return
        if not self._in_pod:
            self._processes.start(rollout)
            return
        name = template_name(self._settings)
        template = self._api.get(POD_TEMPLATE, name)
        if template is None:
            raise KubernetesError(
                f"there is no PodTemplate {self._api.namespace}/{name}, which rollouts are carried out in: apply the "
                "overlay dagster of k8s/"
            )
        # One that is there already was made by somebody who asked at the same time.
        self._api.create(JOB, agent_job(template, next_name(jobs, rollout.id), rollout.id, self._settings))

    def is_alone(self, rollout: Rollout) -> bool:
        """See `ta_pipeline.rollout.agents.Agents`."""
        if rollout.is_ended or self._unfinished(rollout) is not None:
            return False
        return rollout.is_alone if rollout.agent is None or not rollout.agent.is_job else True

    def lines(self, rollout: Rollout) -> Iterable[str]:
        """See `ta_pipeline.rollout.agents.Agents`."""
        if self._is_process(rollout):
            return self._processes.lines(rollout)
        return StoredTail(self._settings, rollout.id)

    def troubles(self, rollout: Rollout) -> list[str]:
        """See `ta_pipeline.rollout.agents.Agents`: what the Job, its pods and its events say.

        Raises:
            KubernetesError: they cannot be read.
        """
        name = self._unfinished(rollout)
        if name is None:
            return []
        pods = self._api.find(POD, labels=f"{POD_OF_JOB}={name}")
        since = datetime.now(UTC) - timedelta(seconds=60)
        return [*pod_problems(pods), *recent_events(self._api.find(EVENT, fields="type=Warning"), name, since)]

    def place_of_log(self, rollout: Rollout) -> str:
        """See `ta_pipeline.rollout.agents.Agents`."""
        if self._is_process(rollout):
            return self._processes.place_of_log(rollout)
        return uri_of(self._settings, rollout.id)

    def _is_process(self, rollout: Rollout) -> bool:
        return not self._in_pod and (rollout.agent is None or not rollout.agent.is_job)

    def _unfinished(self, rollout: Rollout) -> str | None:
        """The Job that is at it; None: none is."""
        jobs = self._api.find(JOB, labels=f"{ROLLOUT}={rollout.id}")
        return next((str(one["metadata"]["name"]) for one in jobs if not is_finished(one)), None)

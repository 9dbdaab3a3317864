"""A restore drill on Kubernetes: a FlinkDeployment of its own beside production's, which is deleted afterwards."""

from __future__ import annotations

from ta_pipeline.errors import FlinkError
from ta_pipeline.kubernetes.runtime import KubernetesRuntime
from ta_pipeline.runtime import Deployment, JobStatus, Report


class KubernetesDrill:
    """Runs one job as a drill.

    Args:
        runtime: of the drill's own FlinkDeployment, with settings of its own.
    """

    def __init__(self, runtime: KubernetesRuntime) -> None:
        self._runtime = runtime

    def deploy(self, *, restore_from: str | None, allow_non_restored: bool, report: Report) -> Deployment:
        """Run the job from `restore_from` and return when it has completed a checkpoint.

        Raises:
            FlinkError: it did not; the message has the reason.
        """
        if restore_from is None or not allow_non_restored:
            raise FlinkError("a drill is restored from a state, without that of production's sinks")
        return self._runtime.deploy(restore_from=restore_from, allow_non_restored=True, report=report)

    def status(self) -> list[JobStatus]:
        """Every job of this drill that has not ended."""
        return self._runtime.status()

    def cancel(self) -> None:
        """Delete the FlinkDeployment; one that is not there is fine."""
        self._runtime.remove()

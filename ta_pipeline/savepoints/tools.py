"""What savepoints are read and drilled with, of one deployment."""

from __future__ import annotations

from ta_pipeline.local.releases import active, find_release
from ta_pipeline.local.runtime import drill_runtime
from ta_pipeline.local.settings import variables
from ta_pipeline.local.shadow import ShadowRuntime
from ta_pipeline.platform import Platform
from ta_pipeline.replay.isolation import isolation_problems, replay_settings
from ta_pipeline.savepoints.drill import DrillRuntime, DrillTools
from ta_pipeline.savepoints.verify import ReadState
from ta_pipeline.settings import Settings
from ta_pipeline.state_reader import read_state


def state_reader(platform: Platform) -> ReadState:
    """Reads a savepoint with Flink's own code; no cluster is needed."""
    return lambda path: read_state(platform.settings, path, platform.local)


def drill_tools(platform: Platform) -> DrillTools:
    """Drills run on the deployment's own cluster, isolated as replays are."""
    if not platform.is_local:
        return DrillTools(replay_settings, isolation_problems, platform.drill_runtime)

    def runtime(settings: Settings) -> DrillRuntime:
        # Beside a running job, only its own code can be run: another release would restart the TaskManager under it.
        digest = active(platform.local)
        code = find_release(platform.local, digest).path if digest else platform.code
        return drill_runtime(settings, variables(settings), platform.local, code)

    return DrillTools(replay_settings, isolation_problems, runtime)


def shadow_tools(platform: Platform) -> DrillTools:
    """Drills run the deployment's own code in a process of their own: code that the cluster does not run yet.

    On Kubernetes every drill has a FlinkDeployment of its own.
    """
    if not platform.is_local:
        return DrillTools(replay_settings, isolation_problems, platform.drill_runtime, kind="shadow")
    made: dict[str, ShadowRuntime] = {}

    def runtime(settings: Settings) -> DrillRuntime:
        # The same one for the same drill: it has the process that is to be ended.
        return made.setdefault(settings.k8s_deployment, ShadowRuntime(settings, platform.local, platform.code))

    return DrillTools(replay_settings, isolation_problems, runtime, kind="shadow")

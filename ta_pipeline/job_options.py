"""What Flink is told of a job by its settings; pure.

The job sets it itself (`flink/environment.py`). On Kubernetes the operator has to know a part of it too, and reads that
in the FlinkDeployment (`of_the_cluster`).
"""

from __future__ import annotations

from ta_pipeline.settings import Settings

ANY_NUMBER = 2**31 - 1
_FOR_THE_CLUSTER = ("execution.checkpointing.", "restart-strategy.", "state.")


def options_of(settings: Settings, *, bounded: bool) -> dict[str, str]:
    """What the job sets itself, but for its ports.

    Args:
        settings: of the job.
        bounded: it runs on recordings: without checkpoints, and with a watermark per record.
    """
    options = {
        "pipeline.name": settings.k8s_deployment,
        "pipeline.object-reuse": "true",
        "pipeline.max-parallelism": str(settings.max_parallelism),
        "parallelism.default": "1" if bounded else str(settings.parallelism),
        "python.execution-mode": "thread",
        "table.local-time-zone": "UTC",
        "table.exec.state.ttl": f"{settings.dedup_ttl_ms} ms",
        # Per record, lateness does not depend on timing; else often enough that a watermark is never the delay, and
        # seldom enough that what a catch-up makes due crosses into Python together.
        "pipeline.auto-watermark-interval": "0 ms" if bounded else f"{watermark_interval_ms(settings)} ms",
        "execution.buffer-timeout.interval": "10 ms",
    }
    if bounded:
        # It runs in its client's own process, whose blob server would listen on every interface.
        return options | {"jobmanager.bind-host": "127.0.0.1", "taskmanager.bind-host": "127.0.0.1"}
    return options | _checkpoints(settings) | _restarts(settings)


def watermark_interval_ms(settings: Settings) -> int:
    """How often sources say how far event time is: a tenth of the out-of-orderness that finals wait for anyway."""
    return min(max(settings.max_out_of_orderness_ms // 10, 20), 200)


def _checkpoints(settings: Settings) -> dict[str, str]:
    return {
        "execution.checkpointing.interval": f"{settings.checkpoint_interval_ms} ms",
        "execution.checkpointing.timeout": f"{settings.checkpoint_timeout_ms} ms",
        "execution.checkpointing.min-pause": f"{min(settings.checkpoint_interval_ms // 2, 500)} ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.tolerable-failed-checkpoints": str(settings.tolerable_failed_checkpoints),
        "execution.checkpointing.data-inline-threshold": "1 mb",
        "execution.checkpointing.dir": settings.checkpoint_dir,
        "execution.checkpointing.savepoint-dir": settings.savepoint_dir,
        "state.backend.type": "hashmap",
    }


def _restarts(settings: Settings) -> dict[str, str]:
    if settings.restart_strategy == "fixed-delay":
        return {
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "5",
            "restart-strategy.fixed-delay.delay": "5 s",
        }
    return {
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": f"{settings.restart_max_delay_ms} ms",
        "restart-strategy.exponential-delay.backoff-multiplier": "2.0",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "1 min",
    }


def of_the_cluster(settings: Settings) -> dict[str, str]:
    """The part of it that a cluster is told before the job runs: state, checkpoints, restarts."""
    options = options_of(settings, bounded=False)
    return {name: value for name, value in options.items() if name.startswith(_FOR_THE_CLUSTER)}


def table_job_name(settings: Settings) -> str:
    """Of the job that fills ClickHouse, on its cluster."""
    return f"{settings.k8s_deployment}-table"


def of_the_table_job(settings: Settings) -> Settings:
    """The same settings as the table job has them: its name and its checkpoints are its own.

    While its sink waits for ClickHouse no checkpoint completes, for as long as it takes; and it is restarted for ever.
    """
    return settings.model_copy(
        update={
            "checkpoint_dir": f"{settings.checkpoint_dir}/table",
            "k8s_deployment": table_job_name(settings),
            "restart_strategy": "exponential-delay",
            "tolerable_failed_checkpoints": ANY_NUMBER,
        }
    )

"""The execution environment: everything Flink must be told that is not a table."""

from __future__ import annotations

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from ta_pipeline.settings import Settings


def create_environment(
    settings: Settings, *, bounded: bool, rest_port: int | None = None
) -> tuple[StreamExecutionEnvironment, StreamTableEnvironment]:
    """A streaming environment in thread mode; `bounded` runs take no checkpoints and a watermark per record."""
    options = options_of(settings, bounded=bounded)
    if rest_port is not None:
        options |= {"rest.address": "127.0.0.1", "rest.bind-address": "127.0.0.1", "rest.bind-port": str(rest_port)}
    configuration = Configuration()
    for key, value in options.items():
        configuration.set_string(key, value)
    environment = StreamExecutionEnvironment.get_execution_environment(configuration)
    # What runs says how it was set: REST shows it, and the platform compares it with what was declared.
    environment.get_config().set_global_job_parameters(settings.public())
    return environment, StreamTableEnvironment.create(environment)


def options_of(settings: Settings, *, bounded: bool) -> dict[str, str]:
    """What the job sets itself; of `create_environment`, but for its ports."""
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

"""The execution environment: everything Flink must be told that is not a table."""

from __future__ import annotations

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from ta_pipeline.job_options import options_of
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

"""Kafka as one KRaft node that is broker and controller, straight from its jars."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import KafkaException

from ta_pipeline.errors import StackError
from ta_pipeline.local.components import Component, NotReadyError, nothing
from ta_pipeline.local.kafka_access import KafkaAccess
from ta_pipeline.local.ports import LOOPBACK
from ta_pipeline.local.probes import listens
from ta_pipeline.local.settings import LocalSettings

OFFSETS_RETENTION_MINUTES = 45 * 24 * 60
"""Above the retention of every topic: Kafka forgets where the table job stands when it has committed nothing for so
long, and then nobody can say what of a topic is not in ClickHouse yet. Its default is a week."""

# One node: every internal topic has one replica. Few partitions of them: a start creates them all. A broker that was
# killed may come back when the session of the dead one is over.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=BROKER://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=BROKER://{host}:{port}
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={data}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
auto.create.topics.enable=false
delete.topic.enable=true
message.max.bytes=2097152
replica.fetch.max.bytes=2097152
num.network.threads=2
num.io.threads=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
offsets.retention.minutes={offsets_minutes}
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
controlled.shutdown.enable=false
broker.heartbeat.interval.ms=1000
broker.session.timeout.ms=6000
"""

_LOGGING = """\
status=warn
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{yyyy-MM-dd'T'HH:mm:ss.SSSX}{UTC} %-5p %c{1} %m%n
rootLogger.level=info
rootLogger.appenderRef.console.ref=console
"""


def kafka(local: LocalSettings, access: KafkaAccess, java: Path, arrange: Callable[[], object] = nothing) -> Component:
    """The broker at `kafka_port`, its controller at `kafka_controller_port`.

    Args:
        local: the stack.
        access: who gets in.
        java: a Java 17.
        arrange: what to do once it serves.
    """
    home = local.dir / "kafka"
    data = home / "data"
    properties, logging = home / "server.properties", home / "log4j2.properties"
    jars = str(local.jars_dir / "kafka" / "*")

    def prepare() -> None:
        access.prepare()
        if not (data / "meta.properties").exists():
            _format([str(java / "bin" / "java"), f"-Dlog4j2.configurationFile={logging}", "-cp", jars], properties)

    return Component(
        name="kafka",
        command=(
            str(java / "bin" / "java"),
            f"-Xms{local.kafka_heap_mb}m",
            f"-Xmx{local.kafka_heap_mb}m",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            f"-Dlog4j2.configurationFile={logging}",
            "-cp",
            jars,
            "kafka.Kafka",
            str(properties),
        ),
        ports={"kafka_port": local.kafka_port, "kafka_controller_port": local.kafka_controller_port},
        files={
            properties: access.broker_properties
            + _PROPERTIES.format(
                host=LOOPBACK,
                port=local.kafka_port,
                controller_port=local.kafka_controller_port,
                data=data,
                offsets_minutes=OFFSETS_RETENTION_MINUTES,
            ),
            logging: _LOGGING,
        },
        prepare=prepare,
        ready=lambda: _ready(access),
        arrange=arrange,
    )


def _format(java_with_jars: list[str], properties: Path) -> None:
    # In front, as Kafka's own, so that none begins with a dash: its tool would take that for an option.
    cluster_id = "k" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
    command = [*java_with_jars, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise StackError(f"Kafka's storage could not be formatted:\n{(result.stdout + result.stderr)[-2_000:]}")


def _ready(access: KafkaAccess) -> None:
    # The client library prints every refused connection: ask the port first, then the broker.
    listens(access.port)
    try:
        metadata = access.admin().list_topics(timeout=2)
    except KafkaException as error:
        raise NotReadyError(f"Kafka at port {access.port}: {error.args[0]}") from None
    if not metadata.brokers:
        raise NotReadyError(f"Kafka at port {access.port} has no broker yet")

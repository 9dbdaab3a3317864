"""ZooKeeper as one node, from Flink's own distribution: where a restarted JobManager finds which jobs it had.

Flink keeps pointers here (leader, jobs, newest checkpoints) and what they point at in S3. The classes are Flink's
shaded ones, `FlinkZooKeeperQuorumPeer` is what its `bin/zookeeper.sh` runs.
"""

from __future__ import annotations

import socket
from pathlib import Path

from ta_pipeline.local.components import Component, NotReadyError
from ta_pipeline.local.flink import distribution
from ta_pipeline.local.ports import LOOPBACK
from ta_pipeline.local.probes import TIMEOUT_SECONDS
from ta_pipeline.local.settings import LocalSettings

# A session of a client may last from 2 to 20 ticks.
_CONFIGURATION = """\
tickTime=1000
initLimit=10
syncLimit=5
dataDir={data}
clientPort={port}
clientPortAddress={host}
admin.enableServer=false
autopurge.snapRetainCount=3
autopurge.purgeInterval=1
"""

_NEVER_MS = 2**31 - 1

_LOGGING = """\
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{yyyy-MM-dd'T'HH:mm:ss.SSSX}{UTC} %-5p %c{1} %m%n
"""


def zookeeper(local: LocalSettings, java: Path) -> Component:
    """ZooKeeper at `zookeeper_port`."""
    data = data_of(local)
    configuration, logging = data.with_name("zoo.cfg"), data.with_name("log4j2.properties")
    return Component(
        name="zookeeper",
        command=(
            str(java / "bin" / "java"),
            "-Xmx64m",
            "-XX:+UseSerialGC",
            f"-Dlog4j2.configurationFile={logging}",
            # Where leaders are elected is removed when nobody takes part, by default once a minute; a JobManager whose
            # session had ended then waits for ever (CURATOR-724, in the Curator of Flink 2.2).
            f"-Dznode.container.checkIntervalMs={_NEVER_MS}",
            # Its management beans do not know Log4j 2.
            "-Dzookeeper.jmx.log4j.disable=true",
            "-cp",
            _class_path(),
            "org.apache.flink.runtime.zookeeper.FlinkZooKeeperQuorumPeer",
            "--zkConfigFile",
            str(configuration),
            "--peerId",
            "1",
        ),
        ports={"zookeeper_port": local.zookeeper_port},
        files={
            configuration: _CONFIGURATION.format(data=data, host=LOOPBACK, port=local.zookeeper_port),
            logging: _LOGGING,
        },
        prepare=lambda: data.mkdir(parents=True, exist_ok=True),
        ready=lambda: _ready(local.zookeeper_port),
    )


def data_of(local: LocalSettings) -> Path:
    """Where it keeps what it was told."""
    return local.dir / "zookeeper" / "data"


def _class_path() -> str:
    jars = distribution() / "lib"
    return ":".join(str(jar) for pattern in ("flink-dist-*.jar", "log4j-*.jar") for jar in sorted(jars.glob(pattern)))


def _ready(port: int) -> None:
    """ZooKeeper's `srvr`: its state in a few lines, when it serves."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT_SECONDS) as connection:
            connection.sendall(b"srvr")
            answer = connection.makefile("rb").read()
    except OSError as error:
        raise NotReadyError(f"ZooKeeper at port {port}: {error.strerror or error}") from None
    if b"Mode: standalone" not in answer:
        raise NotReadyError(f"ZooKeeper at port {port} does not serve yet")

"""The real Flink Kubernetes Operator, as a plain JVM beside the API server: the same program that its image runs.

By default 1.7.0, the newest that is in Maven's repository. `OPERATOR_JARS` names a folder with the jars of another one,
its API's among them, which has the CRDs.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ta_pipeline.local.jars import ensure_resolved
from ta_pipeline.local.java import java_home
from tests.k8s.cluster import SERVICE_ADDRESS, Cluster

POM = Path(__file__).with_name("pom.xml")
NAME = "flink-operator"
_CRDS = "META-INF/fabric8/"
_PLURALS = ("flinkdeployments", "flinksessionjobs", "flinkstatesnapshots", "flinkbluegreendeployments")
_FLINK_VERSIONS = ("v1_20", "v1_19")
"""As operators call what runs Flink 1.20: the older of them do not know it by its name."""
_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.name = console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss.SSS} %-5p %c{1} [%X{resource.name}] %m%n
logger.configuration.name = org.apache.flink.configuration.GlobalConfiguration
logger.configuration.level = WARN
"""
# What of the JDK Flink's and fabric8's code reaches into.
_OPENS = ("java.base/java.lang", "java.base/java.util", "java.base/java.net", "java.base/java.time")


@dataclass(frozen=True)
class OperatorJars:
    """An operator.

    Attributes:
        folder: its jars.
        s3_plugin: folder with Flink's S3 plugin in `s3-fs-hadoop/`.
    """

    folder: Path
    s3_plugin: Path

    @classmethod
    def resolve(cls, jars: Path) -> OperatorJars:
        """From Maven, under a folder; the operator itself maybe from elsewhere."""
        directory = jars / "operator"
        ensure_resolved(POM, directory, ("operator", "s3-fs-hadoop"))
        named = os.environ.get("OPERATOR_JARS")
        return cls(Path(named) if named else directory / "operator", directory)

    @property
    def version(self) -> str:
        """As the name of its API's jar has it."""
        return self._api().stem.removeprefix("flink-kubernetes-operator-api-")

    def crds(self) -> Iterator[dict[str, Any]]:
        """All its CRDs."""
        with zipfile.ZipFile(self._api()) as jar:
            for plural in _PLURALS:
                name = f"{_CRDS}{plural}.flink.apache.org-v1.yml"
                if name in jar.namelist():
                    yield yaml.load(jar.read(name), Loader=yaml.CSafeLoader)

    def knows(self, *path: str) -> bool:
        """Whether a FlinkDeployment has a field."""
        return path[-1] in self._properties(*path[:-1])

    @property
    def flink_version(self) -> str:
        """What is told to it for Flink 1.20."""
        known = self._properties("spec")["flinkVersion"]["enum"]
        return next(one for one in _FLINK_VERSIONS if one in known)

    def start(self, cluster: Cluster, namespace: str, hosts: Path) -> None:
        """Start it for one namespace, with the names in a file of hosts."""
        directory = cluster.directory / NAME
        directory.mkdir()
        (directory / "flink-conf.yaml").write_text(
            "kubernetes.operator.health.probe.enabled: false\nkubernetes.operator.reconcile.interval: 10 s\n",
            encoding="utf-8",
        )
        (directory / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
        cluster.binaries[NAME] = java_home() / "bin" / "java"
        cluster.spawn(
            NAME, "-Xmx512m", "-XX:+UseSerialGC", f"-Djdk.net.hosts.file={hosts}",
            # The service of a cluster that is made anew has another address.
            "-Dsun.net.inetaddr.ttl=1", "-Dsun.net.inetaddr.negative.ttl=0",
            f"-Dlog4j.configurationFile={directory / 'log4j2.properties'}",
            *(f"--add-opens={one}=ALL-UNNAMED" for one in _OPENS),
            "-cp", f"{self.folder}/*", "org.apache.flink.kubernetes.operator.FlinkOperator",
            environment={
                "KUBECONFIG": str(cluster.kubeconfig()),
                # Without it the operator takes itself for one that is being developed, and every job for on localhost.
                "KUBERNETES_SERVICE_HOST": SERVICE_ADDRESS,
                "FLINK_CONF_DIR": str(directory),
                "WATCH_NAMESPACES": namespace,
                "OPERATOR_NAMESPACE": "default",
                "OPERATOR_NAME": NAME,
                "HOSTNAME": NAME,
                "FLINK_PLUGINS_DIR": str(directory / "plugins"),
            },
        )  # fmt: skip

    def _api(self) -> Path:
        found = sorted(self.folder.glob("flink-kubernetes-operator-api-*.jar"))
        if len(found) != 1:
            raise RuntimeError(f"{self.folder}: one flink-kubernetes-operator-api-*.jar was expected, not {len(found)}")
        return found[0]

    def _properties(self, *path: str) -> dict[str, Any]:
        crd = next(one for one in self.crds() if one["spec"]["names"]["plural"] == _PLURALS[0])
        (version,) = crd["spec"]["versions"]
        found: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]
        for name in path:
            found = found[name]["properties"]
        return found

"""A Prometheus beside the local stack: it scrapes Flink's two endpoints and the probe, and judges the rules.

No component of the stack: nothing of the platform needs it, and its program is the user's (Debian: `prometheus`).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from ta_pipeline.errors import StackError
from ta_pipeline.local.ports import LOOPBACK
from ta_pipeline.local.settings import REPOSITORY, LocalSettings
from ta_pipeline.metrics.scrape import scrape_config

BINARY = "prometheus"
RULES = REPOSITORY / "k8s" / "prometheus" / "rules.yaml"
RETENTION = "2d"


def prometheus_url(local: LocalSettings) -> str:
    """Where the Prometheus of this stack answers."""
    return f"http://{LOOPBACK}:{local.prometheus_port}"


def prometheus_binary() -> str:
    """The program on PATH.

    Raises:
        StackError: there is none.
    """
    found = shutil.which(BINARY)
    if found is None:
        raise StackError(
            f"the program {BINARY!r} is not on PATH: install it (Debian and Ubuntu: apt install {BINARY}; elsewhere: "
            "the archive of a 2.x release from Prometheus' download page), or put the folder that has it on PATH"
        )
    return found


def prometheus_command(local: LocalSettings, rules: Path = RULES) -> list[str]:
    """Write the configuration, and give the command that runs with it in the foreground.

    Data stays in the stack's directory, for `RETENTION`.

    Args:
        local: the stack.
        rules: the file of rules that it judges.

    Raises:
        StackError: the program is not there.
    """
    binary = prometheus_binary()
    home = local.dir / "prometheus"
    home.mkdir(parents=True, exist_ok=True)
    file = home / "prometheus.yaml"
    file.write_text(yaml.safe_dump(scrape_config(local, [rules]), sort_keys=False), encoding="utf-8")
    return [
        binary,
        f"--config.file={file}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--storage.tsdb.retention.time={RETENTION}",
        f"--web.listen-address={LOOPBACK}:{local.prometheus_port}",
        "--log.level=warn",
    ]

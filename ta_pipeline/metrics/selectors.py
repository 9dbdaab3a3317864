"""Parts of PromQL: series of the catalog, chosen for one deployment; pure."""

from __future__ import annotations

from dataclasses import dataclass

from ta_pipeline.metrics.catalog import job_label, metric
from ta_pipeline.metrics.limits import DENSE_PER_SECOND, FLOWING_MS, seconds_of
from ta_pipeline.metrics.scrape import COMPONENT
from ta_pipeline.settings import Settings

DEFAULTS = seconds_of(Settings.model_construct(), DENSE_PER_SECOND)
"""Limits with the default settings, whatever the environment says."""


@dataclass(frozen=True)
class Scope:
    """Whose series: those of one deployment.

    Attributes:
        job: as the job is called (`TA_K8S_DEPLOYMENT`).
        namespace: on Kubernetes; empty: series have no such label.
    """

    job: str = "torghut-ta"
    namespace: str = ""

    def of(self, name: str, *matchers: str) -> str:
        """The series of a metric.

        Args:
            name: of the catalog, with `_bucket`, `_sum` or `_count` for a histogram's.
            matchers: further ones, like `path="live"`.

        Raises:
            SettingsError: the catalog does not have it.
        """
        metric(name)
        chosen = [*([f'namespace="{self.namespace}"'] if self.namespace else []), *matchers]
        return f"{name}{{{','.join(chosen)}}}" if chosen else name

    def of_job(self, name: str, *matchers: str) -> str:
        """Those of the job."""
        return self.of(name, f'job_name="{job_label(self.job)}"', *matchers)

    def of_table_job(self, name: str, *matchers: str) -> str:
        """Those of the table job."""
        return self.of(name, f'job_name="{job_label(self.job)}_table"', *matchers)

    def of_cluster(self, name: str, *matchers: str) -> str:
        """Those of the Flink cluster that the job runs on."""
        return self.of(name, f'{COMPONENT}="job"', *matchers)

    def limit(self, name: str) -> str:
        """A limit as a scalar: the one that the probe tells or told within a day, else that of the default settings."""
        series = self.of("ta_limit_seconds", _limit(name))
        told = f"max({series}) or max(last_over_time({series}[1d]))"
        return f"scalar({told} or vector({DEFAULTS[name]:g}))" if name in DEFAULTS else f"scalar({told})"

    @property
    def labels(self) -> dict[str, str]:
        """Of its alerts."""
        return {"deployment": self.job, **({"namespace": self.namespace} if self.namespace else {})}

    @property
    def flowing(self) -> str:
        """A series while trades come."""
        return f"(time() - max({self.of('ta_newest_trade_timestamp_seconds')}) < {FLOWING_MS // 1_000})"

    @property
    def expected(self) -> str:
        """A series while trades come, or should: the exchange is open."""
        return f"({self.flowing} or max({self.of('ta_session_open')}) == 1)"

    @property
    def not_wanted(self) -> str:
        """A series while the job is stopped on purpose, as far as Dagster has said so."""
        return f"(max({self.of('ta_job_wanted')}) == 0)"


def _limit(name: str) -> str:
    return f'limit="{name}"'

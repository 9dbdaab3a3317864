"""One deployment as everything around it sees it: its settings, and the runtimes of its jobs.

The command line and Dagster build it with `Platform.here`; tests with `Platform.of`, for a stack of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ta_pipeline.errors import SettingsError
from ta_pipeline.local.runtime import LocalRuntime, table_runtime
from ta_pipeline.local.settings import LocalSettings, load_local_settings, variables
from ta_pipeline.local.stack import local_settings
from ta_pipeline.runtime import JobRuntime
from ta_pipeline.settings import Settings


@dataclass(frozen=True)
class Platform:
    """The settings in force, and what runs under them.

    Attributes:
        settings: of the deployment; what the environment does not say, the local stack does.
        local: where the local stack is.
    """

    settings: Settings
    local: LocalSettings

    @classmethod
    def here(cls, **overrides: str) -> Self:
        """The deployment this environment describes; `overrides` (field names, no prefix) win.

        Raises:
            SettingsError: a setting is not allowed.
        """
        return cls.of(local_settings(**overrides), load_local_settings())

    @classmethod
    def of(cls, settings: Settings, local: LocalSettings) -> Self:
        """The deployment of these settings.

        Raises:
            SettingsError: its runtime cannot be driven yet.
        """
        if settings.runtime != "local":
            raise SettingsError(
                f"TA_RUNTIME={settings.runtime!r} cannot be driven yet: only 'local' is; see ROADMAP.md for Kubernetes"
            )
        return cls(settings, local)

    @property
    def job(self) -> JobRuntime:
        """The runtime of the job."""
        return LocalRuntime(self.settings, variables(self.settings), local=self.local)

    @property
    def table_job(self) -> JobRuntime | None:
        """The runtime of the job that fills ClickHouse; None when there is no ClickHouse."""
        if not self.settings.clickhouse_url:
            return None
        return table_runtime(self.settings, variables(self.settings), self.local)

    @property
    def runtimes(self) -> Sequence[JobRuntime]:
        """The job first, then the table job if there is one."""
        return [runtime for runtime in (self.job, self.table_job) if runtime is not None]

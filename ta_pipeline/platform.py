"""One deployment as everything around it sees it: its settings, and the runtimes of its jobs.

The command line and Dagster build it with `Platform.here`; tests with `Platform.of`, for a stack of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ta_pipeline.errors import SettingsError
from ta_pipeline.local.releases import find_release, make_release
from ta_pipeline.local.runtime import LocalRuntime, table_runtime
from ta_pipeline.local.settings import REPOSITORY, LocalSettings, load_local_settings, variables
from ta_pipeline.local.stack import local_settings
from ta_pipeline.runtime import JobRuntime
from ta_pipeline.settings import PREFIX, Settings, load_settings


@dataclass(frozen=True)
class Platform:
    """The settings in force, and what runs under them.

    Attributes:
        settings: of the deployment; what the environment does not say, the local stack does.
        local: where the local stack is.
        code: the folder with the job's code; the checkout, or a release of it.
        recorded: `TA_*` variables of an older version, which its code may know and this one not.
        rebuild: what the job withholds since it was rebuilt from its inputs; empty: it was not.
    """

    settings: Settings
    local: LocalSettings
    code: Path = REPOSITORY
    recorded: Mapping[str, str] = field(default_factory=dict)
    rebuild: str = ""

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

    def at(self, recorded: Mapping[str, str], release: str, rebuild: str = "") -> Self:
        """The same deployment as it was, or is to be: with these settings and this code, and the secrets of today.

        Args:
            recorded: `TA_*` variables without secrets.
            release: digest of the code.
            rebuild: what the job withholds since it was rebuilt from its inputs.

        Raises:
            SettingsError: a setting that this code knows has a value that is not allowed.
            StackError: the release is not here.
        """
        code = find_release(self.local, release).path
        return dataclasses.replace(self.asked_as(recorded), code=code, rebuild=rebuild)

    def asked_as(self, recorded: Mapping[str, str]) -> Self:
        """The same deployment with these settings, to ask what it does and has saved; not to deploy.

        Args:
            recorded: `TA_*` variables without secrets.

        Raises:
            SettingsError: a setting that this code knows has a value that is not allowed.
        """
        known = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in recorded.items()
            if name.removeprefix(PREFIX).lower() in Settings.model_fields
        }
        settings = load_settings(**{**self.settings.model_dump(), **known})
        return dataclasses.replace(self, settings=settings, recorded=dict(recorded))

    @property
    def release(self) -> str:
        """The digest of the job's code; a release of it is made."""
        return make_release(self.local, self.code).digest

    @property
    def environment(self) -> dict[str, str]:
        """The `TA_*` variables of the deployment, secrets in the clear: for its processes only."""
        return {**variables(self.settings), **self.recorded}

    @property
    def job(self) -> JobRuntime:
        """The runtime of the job."""
        arguments = ("--rebuild", self.rebuild) if self.rebuild else ()
        return LocalRuntime(self.settings, self.environment, arguments=arguments, local=self.local, code=self.code)

    @property
    def table_job(self) -> JobRuntime | None:
        """The runtime of the job that fills ClickHouse; None when there is no ClickHouse."""
        return self.possible_table_job if self.settings.clickhouse_url else None

    @property
    def possible_table_job(self) -> JobRuntime:
        """The same, were there a ClickHouse: one that was turned off may have left its job."""
        return table_runtime(self.settings, self.environment, self.local, self.code)

    @property
    def runtimes(self) -> Sequence[JobRuntime]:
        """The job first, then the table job if there is one."""
        return [runtime for runtime in (self.job, self.table_job) if runtime is not None]

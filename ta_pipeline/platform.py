"""One deployment as everything around it sees it: its settings, and the runtimes of its jobs.

The command line and Dagster build it with `Platform.here`; tests with `Platform.of`, for a stack of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ta_pipeline.errors import SettingsError
from ta_pipeline.job_options import of_the_table_job
from ta_pipeline.kubernetes.declarations import Declaration
from ta_pipeline.kubernetes.deployment import image_problem, renamed, rest_url
from ta_pipeline.local.releases import find_release, make_release
from ta_pipeline.local.runtime import LocalRuntime, table_runtime
from ta_pipeline.local.settings import REPOSITORY, LocalSettings, load_local_settings, variables
from ta_pipeline.local.stack import local_settings
from ta_pipeline.locks import FileLocks, Locks
from ta_pipeline.runtime import JobRuntime
from ta_pipeline.settings import PREFIX, Settings, load_settings, variable_of

if TYPE_CHECKING:
    from ta_pipeline.kubernetes.drills import KubernetesDrill
    from ta_pipeline.kubernetes.runtime import KubernetesRuntime


@dataclass(frozen=True)
class Platform:
    """The settings in force, and what runs under them.

    Attributes:
        settings: of the deployment; what the environment does not say, the local stack does.
        local: where the local stack is.
        code: the folder with the job's code; the checkout, or a release of it.
        recorded: `TA_*` variables of an older version, which its code may know and this one not.
        rebuild: what the job withholds since it was rebuilt from its inputs; empty: it was not.
        image_of_code: on Kubernetes, the image that was made of `code`.
        manifest_of: the digest of the declaration that was deployed; empty: what the overlay declares today.
    """

    settings: Settings
    local: LocalSettings
    code: Path = REPOSITORY
    recorded: Mapping[str, str] = field(default_factory=dict)
    rebuild: str = ""
    image_of_code: str = ""
    manifest_of: str = ""

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
            SettingsError: it is on Kubernetes, and its image is no release.
        """
        if settings.runtime == "kubernetes" and (problem := image_problem(settings.image)):
            raise SettingsError(problem)
        return cls(settings, local, image_of_code=settings.image)

    @property
    def is_local(self) -> bool:
        """Its jobs run on the local cluster; on Kubernetes, their code is in the image."""
        return self.settings.runtime == "local"

    @property
    def has_code(self) -> bool:
        """`code` is what runs: of another image, nobody here can say what its job reads and writes."""
        return self.is_local or self.settings.image == self.image_of_code

    def at(self, recorded: Mapping[str, str], release: str, *, rebuild: str = "", manifest: str = "") -> Self:
        """The same deployment as it was, or is to be: with these settings and this code, and the secrets of today.

        Args:
            recorded: `TA_*` variables without secrets.
            release: digest of the code; on Kubernetes the image.
            rebuild: what the job withholds since it was rebuilt from its inputs.
            manifest: digest of the declaration, on Kubernetes; empty: it was not recorded, and today's is taken.

        Raises:
            SettingsError: a setting that this code knows has a value that is not allowed.
            StackError: the release is not here.
        """
        if not self.is_local:
            asked = self.asked_as({**recorded, variable_of("image"): release})
            return dataclasses.replace(asked, rebuild=rebuild, manifest_of=manifest)
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
        """The digest of the job's code, of which a release is made; on Kubernetes the image."""
        return self.settings.image if not self.is_local else make_release(self.local, self.code).digest

    @property
    def declaration(self) -> Declaration:
        """What is deployed on Kubernetes, but for image and settings: of the overlay, or as it was then.

        Raises:
            ManifestError: there is no such overlay, or one of its files is wrong.
            S3Error: what was recorded cannot be read.
        """
        today = Declaration.of(self.settings)
        return today if self.manifest_of in {"", today.digest} else Declaration.read(self.settings, self.manifest_of)

    @property
    def manifest(self) -> str:
        """The digest of the declaration; empty on the local stack."""
        if self.is_local:
            return ""
        return self.manifest_of or Declaration.of(self.settings).digest

    def keep_manifest(self) -> None:
        """Write the declaration down beside the record of rollouts; nothing on the local stack.

        Raises:
            S3Error: the store refused, or cannot be reached.
        """
        if not self.is_local:
            self.declaration.keep(self.settings)

    @property
    def environment(self) -> dict[str, str]:
        """The `TA_*` variables of the deployment, secrets in the clear: for its processes only."""
        return {**variables(self.settings), **self.recorded}

    @property
    def job(self) -> JobRuntime:
        """The runtime of the job."""
        arguments = ("--rebuild", self.rebuild) if self.rebuild else ()
        if not self.is_local:
            return self._on_kubernetes(self.settings, arguments=arguments)
        return LocalRuntime(self.settings, self.environment, arguments=arguments, local=self.local, code=self.code)

    @property
    def table_job(self) -> JobRuntime | None:
        """The runtime of the job that fills ClickHouse; None when there is no ClickHouse."""
        return self.possible_table_job if self.settings.clickhouse_url else None

    @property
    def possible_table_job(self) -> JobRuntime:
        """The same, were there a ClickHouse: one that was turned off may have left its job."""
        if self.is_local:
            return table_runtime(self.settings, self.environment, self.local, self.code)
        own = of_the_table_job(self.settings)
        where = own.model_copy(update={"flink_rest_url": rest_url(self.settings, own.k8s_deployment)})
        return self._on_kubernetes(where, may_wait=True)

    def drill_runtime(self, settings: Settings) -> KubernetesDrill:
        """The runtime of a drill of this image on Kubernetes.

        Args:
            settings: of the drill: isolated, and with a name of its own.
        """
        from ta_pipeline.kubernetes.drills import KubernetesDrill  # noqa: PLC0415

        url = rest_url(self.settings, settings.k8s_deployment)
        where = settings.model_copy(update={"flink_rest_url": url})
        return KubernetesDrill(self._on_kubernetes(where, arguments=("--drill",), of=self.settings.k8s_deployment))

    def locks(self, on_lost: Callable[[str], None] = lambda _why: None) -> Locks:
        """The locks of whoever rolls this deployment out: the record of rollouts is what they guard.

        Args:
            on_lost: told, in words, when one that is held may be somebody else's: on Kubernetes it has to be renewed.

        Raises:
            SettingsError: no API server is to be found, and the deployment is on Kubernetes.
        """
        if self.is_local:
            return FileLocks(self.local.dir / "rollouts")
        from ta_pipeline.kubernetes.client import KubernetesApi  # noqa: PLC0415
        from ta_pipeline.kubernetes.leases import REQUEST_SECONDS, Leases  # noqa: PLC0415

        api = KubernetesApi.of(self.settings, REQUEST_SECONDS)
        return Leases(api, self.settings.revision_dir.rstrip("/"), on_lost=on_lost)

    def _on_kubernetes(
        self, where: Settings, *, arguments: Sequence[str] = (), may_wait: bool = False, of: str = ""
    ) -> KubernetesRuntime:
        """The runtime of a FlinkDeployment; `where` names it, `of` the one that is declared, if that is another."""
        # A third of a second of imports that a local stack does without.
        from ta_pipeline.kubernetes.runtime import KubernetesRuntime  # noqa: PLC0415

        def declared() -> Mapping[str, Any]:
            return renamed(self.declaration.deployment(of or where.k8s_deployment), where.k8s_deployment)

        variables = where.public() if of else {**self.settings.public(), **self.recorded}
        return KubernetesRuntime(where, declared, variables=variables, arguments=arguments, may_wait=may_wait)

    @property
    def runtimes(self) -> Sequence[JobRuntime]:
        """The job first, then the table job if there is one."""
        return [runtime for runtime in (self.job, self.table_job) if runtime is not None]

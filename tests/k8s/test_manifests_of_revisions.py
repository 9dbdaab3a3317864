"""A version is deployed with the manifest it was rolled out with, whatever the overlay says by then."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ta_pipeline.errors import S3Error
from ta_pipeline.kubernetes import declarations, manifests
from ta_pipeline.kubernetes.manifests import DIRECTORY
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.platform import Platform
from ta_pipeline.rollout.facts import manifest_remarks
from ta_pipeline.rollout.tools import version_of
from ta_pipeline.s3 import list_keys, s3_client
from ta_pipeline.settings import Settings, load_settings
from tests.k8s.conftest import Namespace, settings_of
from tests.k8s.jobmanager import PlayedJobManager
from tests.k8s.operator import PlayedOperator

FIRST, SECOND, THIRD = ("1" * 32, "2" * 32, "3" * 32)
CHANGE = "torghut-ta.spec.taskManager.resource.memory: 4096m -> 8192m"


@pytest.fixture
def enlarge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Gives the TaskManager more memory in the overlays that are read from then on."""
    copied = tmp_path / "k8s"
    shutil.copytree(DIRECTORY, copied)
    monkeypatch.setattr(declarations, "render", lambda overlay: manifests.render(overlay, copied))

    def edit() -> None:
        file = copied / "base" / "job.yaml"
        before = file.read_text(encoding="utf-8")
        assert before.count("4096m") == 1
        file.write_text(before.replace("4096m", "8192m"), encoding="utf-8")

    return edit


@pytest.fixture
def platform(
    namespace: Namespace, job_manager: PlayedJobManager, operator: PlayedOperator, store: Settings
) -> Platform:
    settings = settings_of(
        namespace, job_manager, s3_endpoint=store.s3_endpoint, k8s_kubeconfig=str(namespace.kubeconfig("platform")),
        revision_dir=f"{load_settings().revision_dir}/{namespace.name}",
    )  # fmt: skip
    assert not operator.seen
    return Platform.of(settings, load_local_settings())


def deployed(namespace: Namespace) -> dict[str, Any]:
    spec: dict[str, Any] = namespace.deployment()["spec"]
    return spec


def test_a_rollback_deploys_what_was_declared_then_and_a_plan_names_what_changes(
    namespace: Namespace, platform: Platform, enlarge: Callable[[], None]
) -> None:
    platform.keep_manifest()
    before = version_of(platform)
    before.on(platform).job.deploy(job_id=FIRST)
    assert manifest_remarks(platform, before) == []

    enlarge()
    after = version_of(platform)
    assert after.manifest != before.manifest
    assert manifest_remarks(platform, before) == [f"manifest: {CHANGE}"]
    platform.keep_manifest()
    after.on(platform).job.deploy(job_id=SECOND, restore_from=before.on(platform).job.stop())
    assert deployed(namespace)["taskManager"]["resource"]["memory"] == "8192m"

    before.on(platform).job.deploy(job_id=THIRD, restore_from=after.on(platform).job.stop())
    spec = deployed(namespace)
    assert spec["taskManager"]["resource"]["memory"] == "4096m"
    assert spec["flinkConfiguration"]["$internal.pipeline.job-id"] == THIRD
    settings = platform.settings
    folder = f"{settings.revision_dir}/manifests/"
    assert [Path(key).stem for key in list_keys(s3_client(settings), folder)] == sorted(
        [before.manifest, after.manifest]
    )


def test_a_manifest_that_is_gone_is_told_and_never_replaced_by_another(
    namespace: Namespace, platform: Platform, enlarge: Callable[[], None]
) -> None:
    lost = version_of(platform)
    enlarge()
    (remark,) = manifest_remarks(platform, lost)
    assert remark.startswith(f"what the manifest {lost.manifest} declared is not known: S3 could not read")
    with pytest.raises(S3Error, match=f"S3 could not read .*/manifests/{lost.manifest}.json"):
        lost.on(platform).job.deploy(job_id=FIRST)
    assert not namespace.admin.call("GET", namespace.path("flinkdeployments"))["items"]

"""What an overlay declares is known by its content, and does not change with what a version brings along."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ta_pipeline.errors import S3Error
from ta_pipeline.kubernetes import declarations, manifests
from ta_pipeline.kubernetes.declarations import Declaration, differences
from ta_pipeline.kubernetes.deployment import to_run
from ta_pipeline.kubernetes.manifests import DIRECTORY, render
from ta_pipeline.settings import Settings, load_settings

SETTINGS = load_settings(image="registry.example/ta:1", s3_endpoint="http://s3:9000")


@pytest.fixture
def overlays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `k8s/` that the overlays are taken from."""
    copied = tmp_path / "k8s"
    shutil.copytree(DIRECTORY, copied)
    monkeypatch.setattr(declarations, "render", lambda overlay: manifests.render(overlay, copied))
    return copied


def edited(file: Path, change: Any) -> None:
    documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    for document in documents:
        change(document)
    file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")


def larger(document: dict[str, Any]) -> None:
    document["spec"]["taskManager"]["resource"]["memory"] = "8192m"


def test_it_has_both_jobs_and_nothing_of_a_version() -> None:
    found = Declaration.of(SETTINGS)
    for name in ("torghut-ta", "torghut-ta-table"):
        spec = found.deployment(name)["spec"]
        assert "image" not in spec
        assert "execution.checkpointing.interval" not in spec["flinkConfiguration"]
        assert "fs.s3a.endpoint" not in spec["flinkConfiguration"]
        assert spec["flinkConfiguration"]["high-availability.type"] == "kubernetes"


def test_a_job_is_deployed_without_the_config_map_that_somebody_may_have_renamed_since() -> None:
    """Its name has a digest of its content, and another apply gives another one."""
    (config,) = (one for one in render("prod") if one["kind"] == "ConfigMap" and "TA_KAFKA_BOOTSTRAP" in one["data"])
    for name in ("torghut-ta", "torghut-ta-table"):
        applied = to_run(Declaration.of(SETTINGS).deployment(name), SETTINGS, "0" * 32)
        assert config["metadata"]["name"] not in str(applied)
        (main,) = applied["spec"]["podTemplate"]["spec"]["containers"]
        given = {one["name"] for one in main["env"]}
        # What the ConfigMap has beside the job's settings, only what is around the job reads.
        assert set(config["data"]) - given <= {"TA_PROBE_URL", "TA_REVISION_DIR", "TA_REPLAY_DIR"}


@pytest.mark.parametrize(
    "changed",
    [
        {"image": "registry.example/ta:2"},
        {"checkpoint_interval_ms": 5_000, "restart_strategy": "fixed-delay"},
        {"s3_endpoint": "http://elsewhere:9000", "savepoint_dir": "s3a://b/saved"},
    ],
)
def test_another_version_of_the_same_manifest_has_the_same_digest(changed: dict[str, Any]) -> None:
    other: Settings = load_settings(**{**SETTINGS.model_dump(), **changed})
    assert Declaration.of(other).digest == Declaration.of(SETTINGS).digest


def test_a_changed_setting_in_the_overlay_is_told_as_a_setting_only(overlays: Path) -> None:
    before = Declaration.of(SETTINGS).digest
    with (overlays / "overlays" / "prod" / "settings.env").open("a", encoding="utf-8") as file:
        file.write("TA_SESSION=regular\n")
    assert Declaration.of(SETTINGS).digest == before


def test_a_changed_manifest_is_told_with_its_place_and_both_values(overlays: Path) -> None:
    before = Declaration.of(SETTINGS)
    edited(overlays / "base" / "job.yaml", larger)
    after = Declaration.of(SETTINGS)
    assert after.digest != before.digest
    assert differences(before, after) == ["torghut-ta.spec.taskManager.resource.memory: 4096m -> 8192m"]
    assert differences(before, before) == []


def test_of_many_differences_the_first_are_told_and_how_many_more_there_are() -> None:
    before = Declaration.of(SETTINGS)
    changed = copy.deepcopy(list(before.objects))
    for one in changed:
        one["spec"]["flinkConfiguration"] |= {f"z.{number:02d}": "1" for number in range(10)}
    found = differences(before, Declaration(tuple(changed)))
    assert found[0] == "torghut-ta-table.spec.flinkConfiguration.z.00: not set -> 1"
    assert (len(found), found[-1]) == (13, "and 8 more")


def test_what_lies_under_a_digest_has_to_be_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Declaration.of(SETTINGS)
    monkeypatch.setattr(declarations, "read_object", lambda _client, _uri: kept._content)
    assert Declaration.read(SETTINGS, kept.digest) == kept
    with pytest.raises(S3Error, match=r"revisions/manifests/0{12}\.json holds another declaration"):
        Declaration.read(SETTINGS, "0" * 12)

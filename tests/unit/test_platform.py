"""Which runtime a deployment has, and what a release of it is."""

from __future__ import annotations

import pytest

from ta_pipeline.errors import SettingsError
from ta_pipeline.kubernetes.drills import KubernetesDrill
from ta_pipeline.kubernetes.manifests import flink_deployment, render
from ta_pipeline.kubernetes.runtime import KubernetesRuntime
from ta_pipeline.local.runtime import LocalRuntime
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.platform import Platform
from ta_pipeline.savepoints.tools import drill_tools, shadow_tools
from ta_pipeline.settings import load_settings
from tests.manifests import environment_of

OLD, NEW = "registry.example/ta:1", "registry.example/ta:2"


def on_kubernetes(**settings: object) -> Platform:
    return Platform.of(load_settings(runtime="kubernetes", **{"image": NEW, **settings}), load_local_settings())


def test_the_setting_chooses_the_runtime_of_each_job() -> None:
    local = Platform.of(load_settings(clickhouse_url="http://127.0.0.1:9"), load_local_settings())
    assert [type(runtime) for runtime in local.runtimes] == [LocalRuntime, LocalRuntime]
    there = on_kubernetes(clickhouse_url="http://127.0.0.1:9")
    assert [(type(one), one.name) for one in there.runtimes] == [
        (KubernetesRuntime, "torghut-ta"), (KubernetesRuntime, "torghut-ta-table"),
    ]  # fmt: skip


@pytest.mark.parametrize("image", ["", "registry.example/ta:latest"])
def test_on_kubernetes_an_image_that_is_no_release_is_refused(image: str) -> None:
    with pytest.raises(SettingsError, match="TA_IMAGE"):
        on_kubernetes(image=image)


def test_on_kubernetes_a_release_is_an_image() -> None:
    platform = on_kubernetes()
    assert (platform.release, platform.has_code) == (NEW, True)
    before = platform.at(platform.settings.public(), OLD, rebuild="s3a://b/rebuild")
    assert (before.release, before.settings.image, before.rebuild) == (OLD, OLD, "s3a://b/rebuild")
    assert not before.has_code, "what another image's job reads and writes is not to be known here"
    assert before.at(before.settings.public(), NEW).has_code


def test_on_kubernetes_drills_run_beside_the_job() -> None:
    platform = on_kubernetes()
    for tools in (drill_tools(platform), shadow_tools(platform)):
        assert isinstance(tools.runtime(load_settings(k8s_deployment="torghut-ta-drill")), KubernetesDrill)


def test_the_table_job_is_the_overlays_own_with_its_own_name_address_and_checkpoints() -> None:
    platform = on_kubernetes(clickhouse_url="http://127.0.0.1:9", checkpoint_dir="s3a://b/c", session="regular")
    runtime = platform.possible_table_job
    assert isinstance(runtime, KubernetesRuntime)
    applied = runtime._to_run("0" * 32, None, None)
    declared = flink_deployment(render("prod"), "torghut-ta-table")
    assert applied["metadata"]["name"] == "torghut-ta-table"
    spec = applied["spec"]
    assert spec["job"]["args"] == declared["spec"]["job"]["args"]
    assert spec["job"]["args"][-1].endswith("table_job.py")
    assert spec["flinkConfiguration"]["execution.checkpointing.dir"] == "s3a://b/c/table"
    for part in ("jobManager", "taskManager"):
        assert spec[part] == declared["spec"][part]
    assert spec["podTemplate"]["metadata"] == declared["spec"]["podTemplate"]["metadata"]
    variables = environment_of(spec["podTemplate"]["spec"]["containers"][0])
    assert variables["TA_CLICKHOUSE_PASSWORD"]["valueFrom"]
    # Its own are of its settings: the job's.
    assert variables["TA_K8S_DEPLOYMENT"]["value"] == "torghut-ta"
    assert (variables["TA_CHECKPOINT_DIR"]["value"], variables["TA_SESSION"]["value"]) == ("s3a://b/c", "regular")

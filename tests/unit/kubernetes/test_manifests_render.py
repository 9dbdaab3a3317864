"""What `ta manifests render` gives is what kustomize gives, and what it does not know it refuses."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ta_pipeline.cli import app
from ta_pipeline.errors import ManifestError
from ta_pipeline.kubernetes.config_maps import with_suffix
from ta_pipeline.kubernetes.kustomize import build
from ta_pipeline.kubernetes.manifests import DIRECTORY, flink_deployment, overlays, render, settings_of

KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
JOB = """\
apiVersion: flink.apache.org/v1beta1
kind: FlinkDeployment
metadata:
  name: job
spec:
  image: image
  flinkConfiguration: {a: "1", b: "2"}
  job:
    args: [one, two]
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: around
spec:
  template:
    spec:
      containers:
        - name: main
          image: registry:5000/image:1
          envFrom:
            - configMapRef: {name: settings}
"""


def folder_with(path: Path, kustomization: str, **files: str) -> Path:
    path.mkdir(exist_ok=True, parents=True)
    (path / "kustomization.yaml").write_text(KUSTOMIZATION + kustomization, encoding="utf-8")
    for name, text in files.items():
        (path / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return path


def by_name(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def name_of_settings(objects: list[dict[str, Any]]) -> str:
    return next(name for name in by_name(objects, "ConfigMap") if name.startswith("torghut-ta-settings-"))


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """What kustomize itself makes of a folder."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH: what is rendered is not compared with kustomize")
    command = ["kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return list(yaml.safe_load_all(done.stdout))


def test_there_are_three_overlays() -> None:
    assert overlays() == ("dagster", "dev", "prod")


@pytest.mark.parametrize("overlay", overlays())
def test_an_overlay_is_what_kustomize_makes_of_it_object_by_object_and_in_order(overlay: str) -> None:
    theirs = kustomized(DIRECTORY / "overlays" / overlay)
    assert len(theirs) >= 12
    assert render(overlay) == theirs


@pytest.mark.parametrize("overlay", overlays())
def test_the_command_prints_the_same_objects_as_yaml(overlay: str) -> None:
    printed = CliRunner().invoke(app, ["manifests", "render", "--overlay", overlay])
    assert printed.exit_code == 0
    assert list(yaml.safe_load_all(printed.output)) == render(overlay)


def test_an_overlay_that_is_not_there_is_refused_with_those_that_are() -> None:
    printed = CliRunner().invoke(app, ["manifests", "render", "--overlay", "live"])
    assert printed.exit_code == 1
    with pytest.raises(ManifestError, match=r"no overlay 'live' .*; there are: dagster, dev, prod"):
        render("live")


def test_a_folder_above_the_overlays_is_no_overlay() -> None:
    with pytest.raises(ManifestError, match=r"no overlay '\.\./base'"):
        render("../base")


def test_the_job_is_found_beside_the_table_job() -> None:
    assert flink_deployment(render("prod"))["metadata"]["name"] == "torghut-ta"
    assert flink_deployment(render("prod"), "torghut-ta-table")["metadata"]["name"] == "torghut-ta-table"


def test_dagster_deploys_the_jobs_so_they_are_not_in_its_overlay() -> None:
    with pytest.raises(ManifestError, match="one FlinkDeployment of the job was expected; there are: none"):
        flink_deployment(render("dagster"))


def test_but_for_the_jobs_the_overlay_of_dagster_has_all_of_production_as_it_is() -> None:
    without = [one for one in render("prod") if one["kind"] != "FlinkDeployment"]
    assert [one for one in without if one not in render("dagster")] == []
    assert settings_of(render("prod")) == settings_of(render("dagster"))


def test_a_changed_setting_gives_the_config_map_another_name_and_the_job_with_it(tmp_path: Path) -> None:
    shutil.copytree(DIRECTORY, tmp_path / "k8s")
    before = render("prod", tmp_path / "k8s")
    with (tmp_path / "k8s" / "overlays" / "prod" / "settings.env").open("a", encoding="utf-8") as file:
        file.write("TA_SESSION=regular\n")
    after = render("prod", tmp_path / "k8s")

    names = [
        next(n for n in by_name(one, "ConfigMap") if n.startswith("torghut-ta-settings-")) for one in (before, after)
    ]
    assert names[0] != names[1]
    for objects, name in zip((before, after), names, strict=True):
        container = flink_deployment(objects)["spec"]["podTemplate"]["spec"]["containers"][0]
        assert container["envFrom"] == [{"configMapRef": {"name": name}}]


def test_the_suffix_of_a_config_map_is_the_one_that_kustomize_gives() -> None:
    # Seen of kubectl 1.32 (kustomize 5.5).
    data = {"A": "1", "B": "x<y&z"}
    assert with_suffix({"metadata": {"name": "x"}, "data": data}) == "x-mgk8mb4fgh"
    assert with_suffix({"metadata": {"name": "x"}, "data": {**data, "A": "2"}}) == "x-2tg6d7bk9g"


def test_each_part_that_is_known_does_what_kustomize_does(tmp_path: Path) -> None:
    base = folder_with(
        tmp_path / "base",
        "resources: [job.yaml, deployment.yaml, access.yaml]\n"
        "configMapGenerator:\n  - {name: settings, envs: [s.env], options: {immutable: true, labels: {a: b}}}\n"
        "  - {name: files, files: [s.env, other=s.env], options: {disableNameSuffixHash: true}}\n"
        "configurations: [places.yaml]\n",
        job_yaml=JOB,
        deployment_yaml=DEPLOYMENT,
        access_yaml=(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: who}\n---\n"
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: who}\n"
            "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: who}\n"
            "subjects: [{kind: ServiceAccount, name: who}, {kind: ServiceAccount, name: another, namespace: far}]\n"
        ),
        s_env="# a comment\n\nA=1\n  B=with spaces = and <signs>\nC=\n",
        places_yaml="images:\n  - {kind: FlinkDeployment, path: spec/image}\n",
    )
    overlay = folder_with(
        tmp_path / "overlay",
        f"namespace: there\nresources: [../{base.name}]\n"
        "configMapGenerator:\n  - {name: settings, behavior: merge, envs: [more.env]}\n"
        "patches:\n  - {path: merge.yaml, target: {kind: FlinkDeployment}}\n"
        "  - {path: steps.yaml, target: {kind: Deployment, name: aro.*}}\n"
        "labels:\n  - pairs: {c: d}\n"
        "images:\n  - {name: image, newName: far/image, newTag: '2'}\n"
        f"  - {{name: 'registry:5000/image', digest: 'sha256:{'0123456789abcdef' * 4}'}}\n",
        more_env="A=2\nD=4\n",
        merge_yaml=(
            "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: any}\n"
            "spec: {flinkConfiguration: {a: null, c: '3'}, job: {args: [three], more: {x: null, y: 1}}}\n"
        ),
        steps_yaml=(
            "- {op: test, path: /spec/template/spec/containers/0/name, value: main}\n"
            "- {op: add, path: /spec/template/spec/containers/0/envFrom/-, value: {configMapRef: {name: files}}}\n"
            "- {op: replace, path: /spec/template/spec/containers/0/name, value: other}\n"
            "- {op: add, path: /spec/replicas, value: 1}\n"
        ),
    )
    found = build(overlay)
    assert flink_deployment(found, "job")["spec"] == {
        "image": "far/image:2", "flinkConfiguration": {"b": "2", "c": "3"},
        "job": {"args": ["three"], "more": {"y": 1}},
    }  # fmt: skip
    assert found == kustomized(overlay)


def test_an_object_is_taken_away_by_a_patch(tmp_path: Path) -> None:
    deleted = "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: job}\n$patch: delete\n"
    folder = folder_with(
        tmp_path,
        "resources: [job.yaml, deployment.yaml]\npatches:\n  - path: delete.yaml\n",
        job_yaml=JOB, deployment_yaml=DEPLOYMENT, delete_yaml=deleted,
    )  # fmt: skip
    assert [one["kind"] for one in build(folder)] == ["Deployment"]
    assert build(folder) == kustomized(folder)


def patch(text: str, target: str = "{kind: FlinkDeployment}") -> dict[str, str]:
    listed = f"resources: [job.yaml, deployment.yaml]\npatches:\n  - path: patch.yaml\n    target: {target}\n"
    return {"kustomization": listed, "job_yaml": JOB, "deployment_yaml": DEPLOYMENT, "patch_yaml": text}


def generator(text: str, **files: str) -> dict[str, str]:
    return {"kustomization": f"configMapGenerator:\n  - {{name: x, {text}}}\n", **files}


def resource(text: str) -> dict[str, str]:
    return {"kustomization": "resources: [one.yaml]\n", "one_yaml": text}


def only(text: str) -> dict[str, str]:
    return {"kustomization": text}


LISTS = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: any}\nspec: {template: {spec: {containers: []}}}\n"
SECRETS = {"kustomization": "configurations: [c.yaml]\n", "c_yaml": "nameReference: [{kind: Secret, fieldSpecs: []}]\n"}
TWICE = {"kustomization": "resources: [job.yaml, job.yaml]\n", "job_yaml": JOB}
REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "a field of a kustomization": (only("namePrefix: x\n"), "namePrefix is not known here"),
    "an option of labels": (
        only("labels: [{pairs: {a: b}, includeSelectors: true}]\n"), "includeSelectors is not known here",
    ),
    "an option of a generator": (generator("literals: [a=b]"), "literals is not known here"),
    "an option of a config map": (generator("options: {other: 1}"), "option other"),
    "a replaced config map": (generator("behavior: replace"), "allowed are create, and merge"),
    "a merge into nothing": (generator("behavior: merge"), "merge of one that is there"),
    "an inline patch": (only("patches: [{patch: x}]\n"), "patch is not known here"),
    "a target by labels": (patch("[]", "{labelSelector: a=b}"), "labelSelector is not known here"),
    "a name of another kind that changes": (SECRETS, "only names of ConfigMaps"),
    "an object of no namespace": (
        resource("apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n"), "belongs to no namespace",
    ),
    "the same object twice": (TWICE, "there already"),
    "a file that is not there": (only("resources: [gone.yaml]\n"), "gone.yaml cannot be read"),
    "a folder in itself": (only("resources: [.]\n"), "includes itself"),
    "a key twice": (only("resources: []\nresources: []\n"), "resources is there twice"),
    "a file that is not YAML": (resource("a: [\n"), "is not YAML"),
    "an object without a name": (resource("apiVersion: v1\nkind: Service\n"), "a Service has no name"),
    "a variable without a value": (generator("envs: [s.env]", s_env="SECRET\n"), "NAME=VALUE is expected"),
    "a variable twice": (generator("envs: [s.env]", s_env="A=1\nA=2\n"), "A is there twice"),
    "a patch of nothing": (patch("[]", "{kind: FlinkDeployment, name: other}"), "no FlinkDeployment other to patch"),
    "a test that fails": (patch("[{op: test, path: /spec/image, value: x}]"), "does not fit FlinkDeployment job"),
    "a path that is not there": (patch("[{op: replace, path: /a/b, value: 1}]"), "does not fit FlinkDeployment job"),
    "an operation": (patch("[{op: move, path: /spec/image, from: /spec/job}]"), "move is not known here"),
    "a directive": (patch(JOB + "  mode:\n    $retainKeys: [a]\n"), r"\$retainKeys is not known here"),
    "a list of a kind with merge keys": (patch(LISTS, "{kind: Deployment}"), "is patched with JSON 6902"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_or_not_known_is_refused_and_named(name: str, tmp_path: Path) -> None:
    files, message = REFUSED[name]
    folder_with(tmp_path, **files)
    with pytest.raises(ManifestError, match=message) as raised:
        build(tmp_path)
    assert str(tmp_path) in str(raised.value)

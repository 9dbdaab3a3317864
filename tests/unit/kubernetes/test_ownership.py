from __future__ import annotations

from typing import Any

import pytest

from ta_pipeline.kubernetes.ownership import changed, gitops_owner, ours

NAMED = {
    "apiVersion": "flink.apache.org/v1beta1",
    "kind": "FlinkDeployment",
    "metadata": {"name": "torghut-ta", "namespace": "torghut", "uid": "u"},
}


def applied(fields: dict[str, Any], spec: dict[str, Any], manager: str = "ta-pipeline", **entry: Any) -> dict[str, Any]:
    managed = [{"manager": manager, "operation": "Apply", "fieldsV1": fields, **entry}]
    return {**NAMED, "metadata": {**NAMED["metadata"], "managedFields": managed, "generation": 3}, "spec": spec}


SPEC = {
    "image": "ta:1",
    "flinkConfiguration": {"a": "1", "b": "2"},
    "job": {"state": "running", "parallelism": 1},
    "podTemplate": {"spec": {"containers": [{"name": "main", "env": []}]}},
}


def test_what_is_ours_is_given_back_as_it_is_and_nothing_of_others() -> None:
    fields = {"f:spec": {
        "f:image": {}, "f:flinkConfiguration": {"f:a": {}}, "f:job": {"f:state": {}},
        "f:podTemplate": {"f:spec": {"f:containers": {}}},
    }}  # fmt: skip
    assert ours(applied(fields, SPEC)) == {
        **NAMED,
        "spec": {
            "image": "ta:1", "flinkConfiguration": {"a": "1"}, "job": {"state": "running"},
            "podTemplate": {"spec": {"containers": [{"name": "main", "env": []}]}},
        },
    }  # fmt: skip


def test_of_an_object_of_somebody_else_only_its_names_are_given_back() -> None:
    assert ours(applied({"f:spec": {"f:image": {}}}, SPEC, manager="argocd-controller")) == NAMED
    assert ours(applied({"f:spec": {"f:image": {}}}, SPEC, operation="Update")) == NAMED
    assert ours(applied({"f:status": {"f:x": {}}}, SPEC, subresource="status")) == NAMED


def test_a_map_that_is_ours_and_empty_takes_nothing_of_others_along() -> None:
    found = ours(applied({"f:spec": {"f:flinkConfiguration": {".": {}}}}, SPEC))
    assert found["spec"] == {"flinkConfiguration": {}}


def test_a_field_that_was_taken_away_meanwhile_is_not_ours_any_more() -> None:
    assert ours(applied({"f:spec": {"f:image": {}, "f:serviceAccount": {}}}, SPEC))["spec"] == {"image": "ta:1"}


def test_labels_that_are_ours_stay_ours() -> None:
    found = applied({"f:metadata": {"f:labels": {"f:mine": {}}}}, SPEC)
    found["metadata"]["labels"] = {"mine": "1", "other": "2"}
    assert ours(found)["metadata"] == {**NAMED["metadata"], "labels": {"mine": "1"}}


def test_a_change_of_the_job_leaves_the_rest_and_the_original() -> None:
    before = {**NAMED, "spec": {"image": "ta:1", "job": {"state": "running", "savepointTriggerNonce": 4}}}
    after = changed(before, {"state": "suspended", "upgradeMode": "savepoint", "savepointTriggerNonce": None})
    assert after["spec"] == {"image": "ta:1", "job": {"state": "suspended", "upgradeMode": "savepoint"}}
    assert before["spec"]["job"]["state"] == "running"
    assert changed(NAMED, {"state": "suspended"})["spec"] == {"job": {"state": "suspended"}}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, None),
        ({"labels": {"app.kubernetes.io/instance": "helm-release"}}, None),
        ({"managedFields": [{"manager": "kubectl"}, {"manager": "ta-pipeline"}]}, None),
        (
            {
                "annotations": {
                    "argocd.argoproj.io/tracking-id": "ta:flink.apache.org/FlinkDeployment:torghut/torghut-ta"
                }
            },
            "Argo CD (application ta)",
        ),
        ({"labels": {"argocd.argoproj.io/instance": "ta"}}, "Argo CD (application ta)"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux (application apps)"),
        ({"managedFields": [{"manager": "argocd-controller"}]}, "Argo CD"),
        ({"managedFields": [{"manager": "kustomize-controller"}]}, "Flux"),
    ],
)
def test_a_gitops_controller_is_known_by_its_marks_or_by_what_it_manages(
    metadata: dict[str, Any], expected: str | None
) -> None:
    assert gitops_owner({"metadata": metadata}) == expected

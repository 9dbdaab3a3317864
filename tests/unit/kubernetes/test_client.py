"""What the API server's answers are taken for. The server only answers; the client, official one included, is real."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client as official

from ta_pipeline.errors import (
    ForbiddenError,
    KubernetesError,
    KubernetesNoAnswerError,
    NoAnswerError,
    OwnedError,
    SettingsError,
)
from ta_pipeline.kubernetes.client import FLINK_DEPLOYMENT, FLINK_STATE_SNAPSHOT, POD, KubernetesApi
from ta_pipeline.settings import load_settings
from tests.answers import answering, answering_always

NAME = "torghut-ta"
OBJECT = {"metadata": {"name": NAME}}
Call = Callable[[KubernetesApi], Any]
CALLS: dict[str, Call] = {
    "get": lambda api: api.get(FLINK_DEPLOYMENT, NAME),
    "find": lambda api: api.find(POD),
    "apply": lambda api: api.apply(FLINK_DEPLOYMENT, OBJECT),
    "create": lambda api: api.create(FLINK_STATE_SNAPSHOT, OBJECT),
    "replace": lambda api: api.replace(FLINK_DEPLOYMENT, OBJECT),
    "delete": lambda api: api.delete(FLINK_DEPLOYMENT, NAME),
    "serves": lambda api: api.serves(FLINK_STATE_SNAPSHOT),
}


def answer(status: int, content: object) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
    return f"{head}\r\n\r\n".encode() + body


def refusal(reason: str, message: str, **details: Any) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "details": details}


def api_at(where: str, timeout_seconds: float = 5.0, refused_seconds: float = 0.0) -> KubernetesApi:
    configuration = official.Configuration(host=f"http://{where}")
    configuration.retries = False
    return KubernetesApi(official.ApiClient(configuration), "torghut", timeout_seconds, refused_seconds)


def told(status: int, content: object, call: Call) -> Any:
    with answering_always(answer(status, content)) as where:
        return call(api_at(where))


NOT_FOUND = refusal(
    "NotFound", f'flinkdeployments.flink.apache.org "{NAME}" not found', name=NAME, kind="flinkdeployments"
)


def test_an_object_that_is_not_there_is_none() -> None:
    assert told(404, NOT_FOUND, CALLS["get"]) is None
    assert told(404, NOT_FOUND, CALLS["delete"]) is None


@pytest.mark.parametrize("call", ["get", "find", "apply", "create", "replace", "delete"])
@pytest.mark.parametrize("content", [b"404 page not found\n", refusal("NotFound", "could not find the resource")])
def test_a_kind_that_is_not_installed_is_an_error_and_no_absence(call: str, content: object) -> None:
    with pytest.raises(KubernetesError, match="install the CRDs"):
        told(404, content, CALLS[call])


def test_a_namespace_that_is_not_there_is_named() -> None:
    missing = refusal("NotFound", 'namespaces "torghut" not found', name="torghut", kind="namespaces")
    with pytest.raises(KubernetesError, match='namespaces "torghut" not found'):
        told(404, missing, CALLS["apply"])


@pytest.mark.parametrize("call", CALLS)
def test_what_is_forbidden_is_not_known(call: str) -> None:
    message = 'flinkdeployments.flink.apache.org "torghut-ta" is forbidden: User "x" cannot get resource'
    with pytest.raises(ForbiddenError, match=r"is not known.*cannot get resource"):
        told(403, refusal("Forbidden", message, name=NAME, kind="flinkdeployments"), CALLS[call])


@pytest.mark.parametrize("call", CALLS)
def test_a_login_that_is_not_accepted_says_where_to_look(call: str) -> None:
    with pytest.raises(KubernetesError, match="TA_K8S_KUBECONFIG") as caught:
        told(401, refusal("Unauthorized", "Unauthorized"), CALLS[call])
    assert not isinstance(caught.value, NoAnswerError)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_has_not_read_its_rules_yet_is_asked_again(status: int) -> None:
    answers = iter([answer(status, refusal("X", "role not found")), answer(status, {}), answer(200, OBJECT)])
    with answering(lambda: next(answers)) as where:
        assert api_at(where, refused_seconds=5.0).get(FLINK_DEPLOYMENT, NAME) == OBJECT


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_is_not_ready_or_too_busy_has_not_answered(call: str, status: int) -> None:
    with pytest.raises(KubernetesNoAnswerError, match=str(status)):
        told(status, refusal("X", "etcdserver: leader changed"), CALLS[call])


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_is_not_there_has_not_answered(call: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(KubernetesNoAnswerError, match="Connection refused") as caught:
        CALLS[call](api_at(where))
    assert "0x" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_hangs_has_not_answered(call: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(KubernetesNoAnswerError):
        CALLS[call](api_at(f"127.0.0.1:{server.getsockname()[1]}", 0.3))


def test_tls_that_fails_is_no_server_that_may_be_back() -> None:
    with answering_always(answer(200, {})) as where:
        configuration = official.Configuration(host=f"https://{where}")
        configuration.retries = False
        with pytest.raises(KubernetesError, match="TLS") as caught:
            KubernetesApi(official.ApiClient(configuration), "torghut", 5.0).get(FLINK_DEPLOYMENT, NAME)
    assert not isinstance(caught.value, NoAnswerError)


def test_who_owns_a_field_is_named_and_nothing_is_forced() -> None:
    causes = [
        {"reason": "FieldManagerConflict", "field": ".spec.image",
         "message": 'conflict with "argocd-controller" using flink.apache.org/v1beta1'},
    ]  # fmt: skip
    content = refusal("Conflict", "Apply failed with 1 conflict", name=NAME, kind="flinkdeployments", causes=causes)
    with pytest.raises(OwnedError, match=r'spec\.image: conflict with "argocd-controller"'):
        told(409, content, CALLS["apply"])


def test_a_write_of_somebody_else_in_between_is_tried_again() -> None:
    content = refusal("Conflict", "the object has been modified", name=NAME, kind="flinkdeployments")
    with pytest.raises(KubernetesNoAnswerError, match="changed by somebody else meanwhile"):
        told(409, content, CALLS["apply"])


def test_what_exists_already_is_not_created_twice() -> None:
    content = refusal("AlreadyExists", "already exists", name=NAME, kind="flinkstatesnapshots")
    assert told(409, content, CALLS["create"]) is None
    assert told(201, OBJECT, CALLS["create"]) == OBJECT


def test_what_has_changed_since_it_was_read_or_is_gone_is_not_written_over() -> None:
    content = refusal("Conflict", "the object has been modified", name=NAME, kind="flinkdeployments")
    assert told(409, content, CALLS["replace"]) is None
    assert told(404, NOT_FOUND, CALLS["replace"]) is None
    assert told(200, OBJECT, CALLS["replace"]) == OBJECT


def test_what_is_not_valid_is_told_by_its_fields() -> None:
    causes = [
        {"reason": "FieldValueNotSupported", "field": "spec.flinkVersion", "message": 'Unsupported value: "v2_2"'}
    ]
    content = refusal("Invalid", "is invalid: ...", name=NAME, kind="FlinkDeployment", causes=causes)
    with pytest.raises(KubernetesError, match=r'spec\.flinkVersion: Unsupported value: "v2_2"'):
        told(422, content, CALLS["apply"])


def discovery(groups: object, resources: object) -> Callable[[], bytes]:
    """Answers to `/apis`, then to the group's version; each a status and a content."""
    answers = iter([groups, resources])
    return lambda: answer(*next(answers))  # type: ignore[misc]


def group_list(*versions: str) -> tuple[int, object]:
    groups = [{"name": one.partition("/")[0], "versions": [{"groupVersion": one}]} for one in versions]
    return 200, {"kind": "APIGroupList", "groups": groups}


def resource_list(*names: str) -> tuple[int, object]:
    return 200, {"kind": "APIResourceList", "resources": [{"name": one} for one in names]}


FLINK = FLINK_STATE_SNAPSHOT.api_version
PAGE = b"<html><body>404: no such site</body></html>"


@pytest.mark.parametrize(("groups", "resources", "expected"), [
    (group_list("apps/v1", FLINK), resource_list("flinkdeployments", "flinkstatesnapshots"), True),
    (group_list("apps/v1", FLINK), resource_list("flinkdeployments", "flinkdeployments/status"), False),
    (group_list("apps/v1"), None, False),
])  # fmt: skip
def test_whether_a_crd_is_installed_is_what_discovery_lists(groups: object, resources: object, expected: bool) -> None:
    with answering(discovery(groups, resources)) as where:
        assert api_at(where).serves(FLINK_STATE_SNAPSHOT) is expected


@pytest.mark.parametrize(("groups", "resources"), [
    ((404, PAGE), None),
    ((200, PAGE), None),
    ((404, refusal("NotFound", "the server could not find the requested resource")), None),
    ((200, {"kind": "Status"}), None),
    (group_list(FLINK), (404, PAGE)),
    (group_list(FLINK), (200, PAGE)),
])  # fmt: skip
def test_an_answer_that_is_not_discoverys_does_not_say_that_a_crd_is_missing(groups: object, resources: object) -> None:
    with answering(discovery(groups, resources)) as where, pytest.raises(KubernetesError, match=r"/apis"):
        api_at(where).serves(FLINK_STATE_SNAPSHOT)


def test_an_answer_is_the_object() -> None:
    assert told(200, {**OBJECT, "spec": {}}, CALLS["get"]) == {**OBJECT, "spec": {}}
    assert told(200, {"items": [OBJECT]}, CALLS["find"]) == [OBJECT]


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    nowhere = tmp_path / "config"
    with pytest.raises(SettingsError, match=f"TA_K8S_KUBECONFIG='{nowhere}'"):
        KubernetesApi.of(load_settings(k8s_kubeconfig=str(nowhere)))


def test_a_context_that_is_not_there_is_named_and_the_token_is_not(tmp_path: Path) -> None:
    file = tmp_path / "config"
    content = {
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "very-secret"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    file.write_text(json.dumps(content))
    assert KubernetesApi.of(load_settings(k8s_kubeconfig=str(file))).url == "http://127.0.0.1:1"
    with pytest.raises(SettingsError, match="TA_K8S_CONTEXT='other'") as caught:
        KubernetesApi.of(load_settings(k8s_kubeconfig=str(file), k8s_context="other"))
    assert "very-secret" not in str(caught.value)

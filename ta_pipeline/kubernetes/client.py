"""A client of the Kubernetes API: plain objects in and out, and errors that say what is known.

Below it is the official Python client, for addresses, TLS and logins (kubeconfig, or a pod's ServiceAccount). Its own
retries are off: what is asked again, and for how long, is for the caller to say.

What a status means (API concepts of Kubernetes' documentation):

    404 of the object     None: it is not there
    404 of its kind       KubernetesError: its CRD is not installed
    401, 403              ForbiddenError, when it lasts: nothing is known of the object
    409 of an apply       OwnedError: another manager owns a field
    422                   KubernetesError: the object is not valid
    500 of an apply       KubernetesError, when it says that the object does not fit the CRD; a 400 of everything else
    408, 429, 5xx         KubernetesNoAnswerError: ask again
    no connection         KubernetesNoAnswerError

An API server that has just started refuses what it allows: it has not read the roles yet (seen with 1.33, for about a
second after a restart). So a refusal is asked about again before it counts.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import urllib3
from kubernetes import client as official
from kubernetes import config as official_config

from ta_pipeline.errors import ForbiddenError, KubernetesError, KubernetesNoAnswerError, OwnedError, SettingsError
from ta_pipeline.settings import Settings

FIELD_MANAGER = "ta-pipeline"
TIMEOUT_SECONDS = 10.0
REFUSED_SECONDS = 1.0
_AGAIN_SECONDS = 0.3
_APPLY = "application/apply-patch+yaml"
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _INVALID = 401, 403, 404, 409, 422
_REFUSED = frozenset({_UNAUTHORIZED, _FORBIDDEN})
_PASSING = frozenset({408, 429})
_FAILED = 500
_FIELD_CONFLICT = "FieldManagerConflict"
_DOES_NOT_FIT = "failed to create typed patch object"
_IN_POD = "KUBERNETES_SERVICE_HOST"


@dataclass(frozen=True)
class Kind:
    """One kind of object as its URL has it."""

    name: str
    plural: str
    api_version: str

    @property
    def prefix(self) -> str:
        """Of the URL, up to the namespace."""
        return f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"


FLINK_DEPLOYMENT = Kind("FlinkDeployment", "flinkdeployments", "flink.apache.org/v1beta1")
FLINK_STATE_SNAPSHOT = Kind("FlinkStateSnapshot", "flinkstatesnapshots", "flink.apache.org/v1beta1")
POD = Kind("Pod", "pods", "v1")
EVENT = Kind("Event", "events", "v1")


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes


class KubernetesApi:
    """The objects of one namespace. Every method raises `KubernetesError`.

    Args:
        client: of the official library.
        namespace: of every object.
        timeout_seconds: of one request.
        refused_seconds: a refusal counts when it lasts so long.
    """

    def __init__(
        self,
        client: Any,
        namespace: str,
        timeout_seconds: float = TIMEOUT_SECONDS,
        refused_seconds: float = REFUSED_SECONDS,
    ) -> None:
        self._refused_seconds = refused_seconds
        self._client = client
        self.namespace = namespace
        self._timeout_seconds = timeout_seconds

    @classmethod
    def of(cls, settings: Settings, timeout_seconds: float = TIMEOUT_SECONDS) -> KubernetesApi:
        """The API that these settings name: a kubeconfig, or the one of the pod this runs in.

        Raises:
            SettingsError: there is no such configuration.
        """
        return cls(official.ApiClient(configuration_of(settings)), settings.k8s_namespace, timeout_seconds)

    @property
    def url(self) -> str:
        """Of the API server."""
        return str(self._client.configuration.host)

    def get(self, kind: Kind, name: str) -> dict[str, Any] | None:
        """One object; None when it is not there, which its kind is."""
        return self._call("GET", kind, name, absent=True)

    def find(self, kind: Kind, labels: str = "", fields: str = "") -> list[dict[str, Any]]:
        """Every object of a kind that selectors of labels and fields choose."""
        query = [(name, value) for name, value in (("labelSelector", labels), ("fieldSelector", fields)) if value]
        found = self._call("GET", kind, query=query)
        return list(found["items"]) if found else []

    def apply(self, kind: Kind, content: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Server-side apply as `FIELD_MANAGER`, never by force; returns the object as it is then.

        Args:
            kind: of the object.
            content: every field that is to be ours; what was and is not in it is given up.
            dry_run: change nothing, and say what would come of it.

        Raises:
            OwnedError: another manager owns one of the fields, with another value.
        """
        query = [("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]
        query += [("dryRun", "All")] if dry_run else []
        return self._call("PATCH", kind, content["metadata"]["name"], content, query) or {}

    def create(self, kind: Kind, content: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create an object, and return it; None when one of its name is there already."""
        query = [("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]
        return self._call("POST", kind, "", content, query, exists=True)

    def replace(self, kind: Kind, content: Mapping[str, Any]) -> dict[str, Any] | None:
        """Write an object over what was read of it, and return it; None when it has changed since, or is gone."""
        query = [("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]
        return self._call("PUT", kind, content["metadata"]["name"], content, query, absent=True, changed=True)

    def delete(self, kind: Kind, name: str) -> None:
        """Delete an object; one that is not there is fine."""
        self._call("DELETE", kind, name, absent=True)

    def serves(self, kind: Kind) -> bool:
        """Whether the API server knows a kind: whether its CRD is installed.

        What discovery lists decides, and nothing else: a 404 may come from a proxy before it, or be of another server.
        """
        groups = self._discovered("/apis", "APIGroupList", "groups")
        versions = [one["groupVersion"] for group in groups for one in group["versions"]]
        if kind.api_version not in versions:
            return False
        resources = self._discovered(f"/apis/{kind.api_version}", "APIResourceList", "resources")
        return any(one["name"] == kind.plural for one in resources)

    def _discovered(self, path: str, kind: str, lists: str) -> list[dict[str, Any]]:
        """What discovery lists under a path; another answer than discovery's is an error."""
        what = f"what the API server lists at {path}"
        answer = self._ask("GET", path, None, [], what)
        if not _is_fine(answer):
            self._refuse(answer, f"GET {path}", what)
        content = _content(answer)
        if content.get("kind") != kind:
            raise KubernetesError(
                f"{what} is not known: {self.url}{path} answers, but with no {kind}: is that the API server, or a "
                f"proxy before it? The answer begins with {answer.body[:80].decode(errors='replace')!r}"
            )
        return list(content[lists])

    def _call(
        self,
        method: str,
        kind: Kind,
        name: str = "",
        content: Mapping[str, Any] | None = None,
        query: Sequence[tuple[str, str]] = (),
        *,
        absent: bool = False,
        exists: bool = False,
        changed: bool = False,
    ) -> dict[str, Any] | None:
        """The answer; None: it is absent, exists, or has changed, and that is fine."""
        path = f"{kind.prefix}/namespaces/{self.namespace}/{kind.plural}" + (f"/{name}" if name else "")
        called = name or (content or {}).get("metadata", {}).get("name", "")
        what = f"{kind.name} {self.namespace}/{called}" if called else f"{kind.plural} of {self.namespace}"
        answer = self._ask(method, path, content, query, what)
        if _is_fine(answer):
            return _content(answer)
        status = _content(answer)
        if answer.status == _NOT_FOUND:
            if not _names_an_object(status):
                raise KubernetesError(
                    f"the API server at {self.url} knows no {kind.name} ({kind.api_version}): install the CRDs of the "
                    "Flink Kubernetes Operator"
                )
            if absent and status["details"].get("kind") == kind.plural:
                return None
        expected = {"AlreadyExists": exists, "Conflict": changed}
        if answer.status == _CONFLICT and expected.get(status.get("reason", ""), False):
            return None
        return self._refuse(answer, f"{method} {kind.plural}", what)

    def _ask(
        self, method: str, path: str, content: Mapping[str, Any] | None, query: Sequence[tuple[str, str]], what: str
    ) -> _Answer:
        """The response; a refusal is one that lasts."""
        deadline = time.monotonic() + self._refused_seconds
        while (answer := self._send(method, path, content, query, what)).status in _REFUSED:
            if time.monotonic() >= deadline:
                break
            time.sleep(_AGAIN_SECONDS)
        return answer

    def _send(
        self, method: str, path: str, content: Mapping[str, Any] | None, query: Sequence[tuple[str, str]], what: str
    ) -> _Answer:
        """The response, whatever its status."""
        headers = {
            **self._client.default_headers,
            "Accept": "application/json",
            "Content-Type": _APPLY if method == "PATCH" else "application/json",
        }
        self._client.update_params_for_auth(headers, [], ["BearerToken"])
        try:
            # One floor below `call_api`, which cannot tell of a TLS failure: it decodes a body that is not there.
            response = self._client.rest_client.request(
                method, self.url + path, query_params=list(query), headers=headers, body=content,
                _request_timeout=self._timeout_seconds,
            )  # fmt: skip
        except official.ApiException as error:
            if error.status:
                return _Answer(error.status, error.body or b"")
            raise KubernetesError(f"{what}: TLS to the API server at {self.url} failed: {error.reason}") from None
        except urllib3.exceptions.HTTPError as error:
            raise KubernetesNoAnswerError(
                f"{what} is not known: the API server at {self.url} does not answer ({_reason(error)})"
            ) from None
        return _Answer(response.status, response.data)

    def _refuse(self, answer: _Answer, call: str, what: str) -> NoReturn:
        said = _content(answer)
        text = str(said.get("message") or answer.body[:300].decode(errors="replace") or "it gives no reason")
        if answer.status == _FAILED and text.startswith(_DOES_NOT_FIT):
            raise KubernetesError(
                f"{what}: the CRD on the cluster does not take it: {text}; install the CRDs of an operator that runs "
                "this job (docs/kubernetes.md lists them)"
            )
        if answer.status in _PASSING or answer.status >= _FAILED:
            raise KubernetesNoAnswerError(
                f"{what} is not known: the API server at {self.url} answers {call} with {answer.status}: {text}"
            )
        if answer.status == _UNAUTHORIZED:
            raise ForbiddenError(
                f"{what} is not known: the API server at {self.url} does not accept the login: look at "
                "TA_K8S_KUBECONFIG, or at the ServiceAccount of the pod"
            )
        if answer.status == _FORBIDDEN:
            raise ForbiddenError(
                f"{what} is not known: {text}; docs/kubernetes-rollouts.md lists the verbs that are needed"
            )
        causes = said.get("details", {}).get("causes", [])
        if answer.status == _CONFLICT:
            owned = [one for one in causes if one.get("reason") == _FIELD_CONFLICT]
            if owned:
                fields = "; ".join(f"{one['field'].lstrip('.')}: {one['message']}" for one in owned)
                raise OwnedError(f"{what} is left as it is, because others own what was to be changed: {fields}")
            # Somebody wrote it between a read and a write of the server's own.
            raise KubernetesNoAnswerError(f"{what} was changed by somebody else meanwhile: {text}")
        if answer.status == _INVALID and causes:
            text = "; ".join(f"{one.get('field', '?')}: {one.get('message', '?')}" for one in causes)
        raise KubernetesError(f"{what}: the API server refused it (status {answer.status}): {text}")


def is_in_pod(settings: Settings) -> bool:
    """Whether this runs in a pod of the cluster, and asks its API server as the pod's ServiceAccount."""
    return not settings.k8s_kubeconfig and _IN_POD in os.environ


def configuration_of(settings: Settings) -> Any:
    """The official client's configuration.

    Raises:
        SettingsError: there is none, or it cannot be read.
    """
    found = official.Configuration()
    try:
        if not is_in_pod(settings):
            official_config.load_kube_config(
                settings.k8s_kubeconfig or None, settings.k8s_context or None, client_configuration=found
            )
        else:
            official_config.load_incluster_config(client_configuration=found)
    except official_config.ConfigException as error:
        raise SettingsError(
            f"TA_K8S_KUBECONFIG={settings.k8s_kubeconfig!r}, TA_K8S_CONTEXT={settings.k8s_context!r}: no API server "
            f"can be found by them: {error}. They are: a kubeconfig file and one of its contexts; both empty: "
            "~/.kube/config or $KUBECONFIG, and in a pod its ServiceAccount"
        ) from None
    found.retries = False
    return found


def _is_fine(answer: _Answer) -> bool:
    return answer.status < 300


def _names_an_object(status: Mapping[str, Any]) -> bool:
    """Of a kind that is not served, a 404 names none."""
    return bool(status.get("details", {}).get("name"))


def _content(answer: _Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reason(error: Exception) -> str:
    """Without the connection's address in memory."""
    text = str(error)
    return text.rpartition(": ")[2] if " object at 0x" in text else text

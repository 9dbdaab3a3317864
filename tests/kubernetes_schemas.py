"""Objects of Kubernetes against their schemas, strictly and without a cluster: what is not known is wrong.

kinds of Kubernetes     kubernetes-validate, the strict schemas
flink.apache.org        the CRDs in the operator's API jar; in it, the podTemplate is a Pod
monitoring.coreos.com   the schema in fabric8's model of it
the rest                no registry has a schema: the fields that are used here, listed below by hand
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from ta_pipeline.local.jars import ensure_resolved
from ta_pipeline.local.settings import load_local_settings

POM = Path(__file__).parent / "unit" / "kubernetes" / "schemas" / "pom.xml"
NEWEST = "1.33"
"""The Kubernetes whose schemas are used where a test does not say otherwise."""

_META = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("name", "namespace")},
        **{name: {"type": "object", "additionalProperties": {"type": "string"}} for name in ("labels", "annotations")},
        "finalizers": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name"],
}
_TEXT = {"type": "string"}
_BY_HAND: dict[tuple[str, str], dict[str, Any]] = {
    # Strimzi, "KafkaUser schema reference"; v1, which came with 0.49, and all that 1.0 knows.
    ("kafka.strimzi.io/v1", "KafkaUser"): {
        "type": "object",
        "required": ["authentication", "authorization"],
        "properties": {
            "authentication": {
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"enum": ["scram-sha-512", "tls", "tls-external"]}},
            },
            "authorization": {
                "type": "object",
                "required": ["type", "acls"],
                "properties": {
                    "type": {"enum": ["simple"]},
                    "acls": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["resource", "operations"],
                            "properties": {
                                "resource": {
                                    "type": "object",
                                    "required": ["type"],
                                    "properties": {
                                        "type": {"enum": ["topic", "group", "transactionalId", "cluster"]},
                                        "name": _TEXT,
                                        "patternType": {"enum": ["literal", "prefix"]},
                                    },
                                },
                                "operations": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {
                                        "enum": [
                                            "Read", "Write", "Create", "Delete", "Alter", "Describe", "ClusterAction",
                                            "AlterConfigs", "DescribeConfigs", "IdempotentWrite", "All",
                                        ],
                                    },
                                },
                                "host": _TEXT,
                                "type": {"enum": ["allow", "deny"]},
                            },
                        },
                    },
                },
            },
        },
    },
    # Argo CD, "Application specification".
    ("argoproj.io/v1alpha1", "Application"): {
        "type": "object",
        "required": ["project", "source", "destination"],
        "properties": {
            "project": _TEXT,
            "source": {
                "type": "object",
                "required": ["repoURL", "path", "targetRevision"],
                "properties": {"repoURL": _TEXT, "path": _TEXT, "targetRevision": _TEXT},
            },
            "destination": {
                "type": "object",
                "required": ["server", "namespace"],
                "properties": {"server": _TEXT, "namespace": _TEXT},
            },
            "syncPolicy": {
                "type": "object",
                "properties": {
                    "automated": {
                        "type": "object",
                        "properties": {"prune": {"type": "boolean"}, "selfHeal": {"type": "boolean"}},
                    },
                    "syncOptions": {"type": "array", "items": _TEXT},
                },
            },
            "ignoreDifferences": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["kind"],
                    "properties": {
                        "group": _TEXT,
                        "kind": _TEXT,
                        "name": _TEXT,
                        "jsonPointers": {"type": "array", "items": _TEXT},
                    },
                },
            },
        },
    },
}  # fmt: skip


def problems(one: Mapping[str, Any], kubernetes: str = NEWEST) -> list[str]:
    """What is wrong with an object, as `field: why`, sorted; empty when nothing is.

    Args:
        one: the object.
        kubernetes: the version whose schemas of Kubernetes' own kinds are used.
    """
    group = one["apiVersion"].rpartition("/")[0]
    if group == "flink.apache.org":
        found = [*_against(_crd(one["kind"]), one), *_pod_problems(one, kubernetes)]
    elif group == "monitoring.coreos.com":
        found = _against(_monitoring(one["kind"]), one)
    elif (by_hand := _BY_HAND.get((one["apiVersion"], one["kind"]))) is not None:
        found = _against(_strict(_whole(by_hand)), one)
    else:
        found = _own(one, kubernetes)
    return sorted(found)


def crd_of(kind: str) -> dict[str, Any]:
    """The CRD of a kind of Flink's operator, as its API jar has it."""
    folder = load_local_settings().jars_dir / "schemas"
    ensure_resolved(POM, folder, ("flink", "prometheus"))
    file = folder / "flink" / "META-INF" / "fabric8" / f"{kind.lower()}s.flink.apache.org-v1.yml"
    found: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return found


def _own(one: Mapping[str, Any], kubernetes: str) -> list[str]:
    try:
        kubernetes_validate.validate(dict(one), kubernetes, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [_text(error)]
    return []


def _pod_problems(one: Mapping[str, Any], kubernetes: str) -> Iterator[str]:
    """The CRD has what a Pod was when the operator was built: it is asked for by today's schema too."""
    spec = one["spec"]
    for place, holder in (("spec", spec), ("spec.jobManager", spec.get("jobManager", {})),
                          ("spec.taskManager", spec.get("taskManager", {}))):  # fmt: skip
        if "podTemplate" in holder:
            pod = {"apiVersion": "v1", "kind": "Pod", **holder["podTemplate"]}
            yield from (f"{place}.podTemplate.{problem}" for problem in _own(pod, kubernetes))


@cache
def _crd(kind: str) -> dict[str, Any]:
    (version,) = crd_of(kind)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    return _strict({**_whole(schema["properties"]["spec"]), "required": ["spec"]})


@cache
def _monitoring(kind: str) -> dict[str, Any]:
    crd_of("FlinkDeployment")
    file = load_local_settings().jars_dir / "schemas" / "prometheus" / "schema" / "validation-schema.json"
    schema = json.loads(file.read_text(encoding="utf-8"))
    definitions = {name: _strict(_of_fabric8(one)) for name, one in schema["definitions"].items()}
    # As it is in Java; as it is in an object, the operator's CRDs say.
    definitions["kubernetes_apimachinery_pkg_util_intstr_IntOrString"] = {"type": ["integer", "string"]}
    whole = _whole({"$ref": f"#/definitions/os_monitoring_v1_{kind}Spec"})
    return {**_strict(whole), "definitions": definitions}


def _of_fabric8(schema: Any) -> Any:
    """Its `required: true` is not JSON Schema's, and it lets unknown fields pass."""
    if isinstance(schema, list):
        return [_of_fabric8(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    left_out = {"required"} if isinstance(schema.get("required"), bool) else set()
    if schema.get("additionalProperties") is True and schema.get("properties"):
        left_out.add("additionalProperties")
    return {key: _of_fabric8(value) for key, value in schema.items() if key not in left_out}


def _whole(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"apiVersion": _TEXT, "kind": _TEXT, "metadata": _META, "spec": dict(spec)},
        "required": ["apiVersion", "kind", "metadata", "spec"],
    }


def _strict(schema: Any) -> Any:
    """The schema with unknown fields refused, wherever it lists the known ones."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        found["additionalProperties"] = False
    return found


def _against(schema: Mapping[str, Any], one: Mapping[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema)
    return [_text(error) for error in validator.iter_errors(one)]


def _text(error: jsonschema.ValidationError) -> str:
    return f"{'.'.join(str(part) for part in error.absolute_path)}: {error.message}"

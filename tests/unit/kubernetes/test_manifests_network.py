"""Who may reach whom: every rendered policy, evaluated on the labels of every pod, is what the table says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from ta_pipeline.kubernetes.manifests import overlays, render
from tests.manifests import every_pod, of_kind, pods_of, settings
from tests.network import ANY, PolicyError, Reach, ours, reaches

KAFKA = "kafka: strimzi.io/cluster=kafka"
S3 = "app=minio"
REGISTRY = "kafka: app.kubernetes.io/name=karapace"
CLICKHOUSE = "app.kubernetes.io/name=clickhouse"
DNS = "kube-system: k8s-app=kube-dns"
PROMETHEUS = "monitoring: app.kubernetes.io/name=prometheus"
OPERATOR = "flink-operator: app.kubernetes.io/name=flink-kubernetes-operator"
API_SERVICE, API_SERVER = "10.96.0.1/32", "192.0.2.10/32"
POSTGRESQL = "cnpg.io/cluster=torghut-dagster-db"
STORES = {(KAFKA, "TCP 9093"), (S3, "TCP 9000"), (REGISTRY, "TCP 8081"), (CLICKHOUSE, "TCP 8123")}
NAMES = {(DNS, "UDP 53"), (DNS, "TCP 53")}
API = {(API_SERVICE, "TCP 443"), (API_SERVER, "TCP 6443")}
FLINK = ("job", "table", "drill")
OF_DAGSTER = ("dagster-webserver", "dagster-daemon", "dagster-code", "dagster-run")
REST = {(one, "TCP 8081") for one in FLINK}
"""Flink's REST API."""


def flink(component: str) -> Reach:
    """Each job within itself, and not the others."""
    asks = {(one, "TCP 8081") for one in (OPERATOR, "dagster-code", "dagster-run", "rollout")}
    within = {(component, ANY)}
    return Reach(asks | {(PROMETHEUS, "TCP 9249")} | within, STORES | NAMES | API | within)


AROUND = Reach(
    {(one, "TCP 19251") for one in (PROMETHEUS, "dagster-code", "dagster-run")},
    {(KAFKA, "TCP 9093"), (REGISTRY, "TCP 8081")} | NAMES,
)
DAGSTER = Reach(
    {(one, "TCP 4000") for one in OF_DAGSTER},
    STORES | NAMES | API | REST | {("dagster-code", "TCP 4000"), ("probe", "TCP 19251"), (POSTGRESQL, "TCP 5432")},
)
NETWORK: dict[str, Reach] = {
    **{one: flink(one) for one in FLINK},
    "clock": AROUND, "probe": AROUND,
    **dict.fromkeys(OF_DAGSTER, DAGSTER),
    "rollout": Reach(set(), STORES - {(CLICKHOUSE, "TCP 8123")} | NAMES | API | REST),
}  # fmt: skip
"""By component: every peer with its port, of all NetworkPolicies together."""

Policies = dict[str, dict[str, Any]]
Change = Callable[[Policies], object]


def policies(overlay: str) -> list[dict[str, Any]]:
    return list(of_kind(render(overlay), "NetworkPolicy").values())


def wanted(overlay: str) -> dict[str, Reach]:
    """The table, as far as an overlay has it."""
    there = {
        name: of_it for name, of_it in NETWORK.items() if overlay == "dagster" or name in {*FLINK, "clock", "probe"}
    }
    if overlay != "dev":
        return there
    plain = {(KAFKA, "TCP 9092")}
    return {name: Reach(one.ingress, one.egress - {(KAFKA, "TCP 9093")} | plain) for name, one in there.items()}


def hold(found: list[dict[str, Any]], overlay: str) -> None:
    """The policies are narrow, and allow what the table says and no more."""
    assert reaches(found, every_pod()) == wanted(overlay)


@pytest.mark.parametrize("overlay", overlays())
def test_each_pod_reaches_and_is_reached_by_the_peers_of_the_table_and_no_others(overlay: str) -> None:
    hold(policies(overlay), overlay)


@pytest.mark.parametrize("overlay", overlays())
def test_no_pod_is_without_a_network_policy(overlay: str) -> None:
    made = pods_of(render(overlay))
    assert made
    for pods in made:
        # Under the labels that the policies were evaluated on.
        assert pods.labels.items() <= every_pod()[pods.component].items()
        assert pods.component in reaches(policies(overlay), every_pod())


@pytest.mark.parametrize("overlay", overlays())
def test_the_addresses_in_the_settings_are_the_ones_that_may_be_reached(overlay: str) -> None:
    there = settings(render(overlay))
    addresses = {(KAFKA, there.kafka_bootstrap.split(",")[0]), (REGISTRY, there.schema_registry_url)}
    addresses |= {(S3, there.s3_endpoint)}
    addresses |= {(CLICKHOUSE, there.clickhouse_url)} if there.clickhouse_url else set()
    reached = reaches(policies(overlay), every_pod())["job"].egress
    for name, address in addresses:
        url = urlsplit(address if "//" in address else f"//{address}")
        assert (name, f"TCP {url.port}") in reached
        namespace = name.partition(": ")[0] if ": " in name else there.k8s_namespace
        assert (url.hostname or "").split(".")[1:] == [namespace, "svc"]


LABELS = "matchLabels"
COMPONENT = "app.kubernetes.io/component"


def rule(found: Policies, side: str, port: int, name: str = "torghut-ta-flink") -> dict[str, Any]:
    """The rule of a policy that is for a port."""
    (one,) = [one for one in found[name]["spec"][side] if port in [port["port"] for port in one.get("ports", ())]]
    return one


def add(found: Policies, name: str, **spec: Any) -> None:
    """One policy more, of the job's pods."""
    selector = {LABELS: {"app.kubernetes.io/part-of": "torghut-ta", COMPONENT: "job"}}
    whole = {"podSelector": selector, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": [], **spec}
    found[name] = {"metadata": {"name": name}, "spec": whole}


WIDER: dict[str, Change] = {
    "to nobody named": lambda found: rule(found, "egress", 9093).update(to=[]),
    "to left out": lambda found: rule(found, "egress", 9093).pop("to"),
    "from nobody named": lambda found: rule(found, "ingress", 9249).update({"from": []}),
    "from left out": lambda found: rule(found, "ingress", 9249).pop("from"),
    "a rule with nothing in it": lambda found: found["torghut-ta-around"]["spec"]["ingress"].append({}),
    "ports empty": lambda found: rule(found, "egress", 9000).update(ports=[]),
    "ports left out": lambda found: rule(found, "egress", 9000).pop("ports"),
    "a range of ports": lambda found: rule(found, "egress", 9000)["ports"][0].update(endPort=65_535),
    "a port without its protocol": lambda found: rule(found, "egress", 9000)["ports"][0].pop("protocol"),
    "a protocol without its port": lambda found: rule(found, "egress", 9000)["ports"][0].pop("port"),
    "a port by a name": lambda found: rule(found, "egress", 9000)["ports"][0].update(port="https"),
    "one port more": lambda found: rule(found, "egress", 9000)["ports"].append({"protocol": "TCP", "port": 22}),
    "minio of any namespace": lambda found: rule(found, "egress", 9000)["to"][0].update(namespaceSelector={}),
    "minio of another namespace": lambda found: rule(found, "egress", 9000)["to"][0].update(
        namespaceSelector={LABELS: {"kubernetes.io/metadata.name": "other"}}
    ),
    "minio of many namespaces": lambda found: rule(found, "egress", 9000)["to"][0].update(
        namespaceSelector={"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}
    ),
    "Kafka of any namespace": lambda found: rule(found, "egress", 9093)["to"][0].update(namespaceSelector={LABELS: {}}),
    "Kafka of this namespace": lambda found: rule(found, "egress", 9093)["to"][0].pop("namespaceSelector"),
    "every pod of a namespace": lambda found: rule(found, "egress", 9093)["to"][0].pop("podSelector"),
    "every pod of a namespace, in words": lambda found: rule(found, "egress", 9093)["to"][0].update(podSelector={}),
    "every pod of this namespace": lambda found: rule(found, "egress", 9000)["to"][0].update(podSelector={}),
    "every pod of this namespace, in words": lambda found: rule(found, "egress", 9000)["to"][0].update(
        podSelector={LABELS: {}}
    ),
    "every pod without a label": lambda found: rule(found, "egress", 9000)["to"][0].update(
        podSelector={"matchExpressions": [{"key": "nobody", "operator": "DoesNotExist"}]}
    ),
    "every pod of ours": lambda found: rule(found, "egress", 9000)["to"][0].update(
        podSelector={LABELS: {"app.kubernetes.io/part-of": "torghut-ta"}}
    ),
    "every pod of ours but one": lambda found: rule(found, "ingress", 8081)["from"][1]["podSelector"][
        "matchExpressions"
    ][0].update(operator="NotIn"),
    "any pod of Flink": lambda found: rule(found, "egress", 9000)["to"][0].update(
        podSelector={LABELS: {"type": "flink-native-kubernetes"}}
    ),
    "one peer more": lambda found: rule(found, "egress", 9000)["to"].append(
        {"podSelector": {LABELS: {"app": "other"}}}
    ),
    "any address": lambda found: rule(found, "egress", 443)["to"][0]["ipBlock"].update(cidr="0.0.0.0/0"),
    "any address but one": lambda found: rule(found, "egress", 443)["to"][0].update(
        ipBlock={"cidr": "10.96.0.1/32", "except": []}
    ),
    "any address, too": lambda found: rule(found, "egress", 443)["to"].append({"ipBlock": {"cidr": "::/0"}}),
    "a policy for one direction": lambda found: found["torghut-ta-flink"]["spec"].update(policyTypes=["Ingress"]),
    "a policy that forgets one": lambda found: found["torghut-ta-around"]["spec"].pop("egress"),
    "a policy of every pod": lambda found: found["torghut-ta-flink"]["spec"].update(podSelector={}),
    "another policy that allows all": lambda found: add(found, "open", ingress=[{}], egress=[{}]),
    "another policy that allows one more": lambda found: add(
        found, "more", egress=[{**rule(found, "egress", 443), "ports": [{"protocol": "TCP", "port": 22}]}]
    ),
    "the table job by the job": lambda found: found["torghut-ta-job"]["spec"]["egress"][0]["to"][0]["podSelector"][
        LABELS
    ].update({COMPONENT: "table"}),
    "jobs among each other": lambda found: found["torghut-ta-job"]["spec"]["podSelector"].update(
        {LABELS: {"app.kubernetes.io/part-of": "torghut-ta"},
         "matchExpressions": [{"key": COMPONENT, "operator": "In", "values": ["job", "table"]}]}
    ),
}  # fmt: skip
"""Changes after which a pod reaches, or is reached by, more than the table says."""
NOBODY: dict[str, Change] = {
    "a policy of nobody": lambda found: found["torghut-ta-job"]["spec"]["podSelector"][LABELS].update(
        {COMPONENT: "jobs"}
    ),
    "a policy without one of its pods": lambda found: found["torghut-ta-flink"]["spec"]["podSelector"][
        "matchExpressions"
    ][0].update(values=["job", "table"]),
    "a policy of pods that there are not": lambda found: found["torghut-ta-flink"]["spec"]["podSelector"][
        "matchExpressions"
    ][0]["values"].append("jobs"),
    "a peer of ours that is nobody": lambda found: rule(found, "egress", 19251, "torghut-ta-dagster")["to"][0][
        "podSelector"
    ][LABELS].update({COMPONENT: "prob"}),
    "a peer that is none of ours": lambda found: rule(found, "egress", 19251, "torghut-ta-dagster")["to"][0][
        "podSelector"
    ][LABELS].update({"app.kubernetes.io/part-of": "torghut"}),
    "somebody else by another label": lambda found: rule(found, "egress", 9000)["to"][0].update(
        podSelector={LABELS: {"app": "mini"}}
    ),
}  # fmt: skip
"""Changes after which somebody is left out."""


@pytest.mark.parametrize("change", [*WIDER.values(), *NOBODY.values()], ids=[*WIDER, *NOBODY])
def test_what_is_wider_or_selects_nobody_is_seen(change: Change) -> None:
    found = copy.deepcopy(of_kind(render("dagster"), "NetworkPolicy"))
    before = copy.deepcopy(found)
    change(found)
    assert found != before
    with pytest.raises(AssertionError):
        hold(list(found.values()), "dagster")


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        ({}, "is empty"),
        ({LABELS: {}}, "has a part that is empty"),
        ({LABELS: {COMPONENT: "job"}}, "is not of our own pods only"),
        ({LABELS: {"app.kubernetes.io/part-of": "torghut-ta", COMPONENT: "jobs"}}, "no pod has .*component: jobs"),
        ({LABELS: {"app.kubernetes.io/part-of": "torghut-ta", COMPONENT: "job", "app": "torghut-ta-table"}}, "no pod"),
    ],
)
def test_a_selector_of_ours_selects_somebody_and_nobody_elses(selector: dict[str, Any], why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        ours(selector, every_pod())

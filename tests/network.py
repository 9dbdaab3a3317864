"""What NetworkPolicies allow, evaluated pod by pod. Whatever allows more than named peers on named ports is an error.

A policy is read as Kubernetes reads it (networking/v1): a selector is evaluated against labels, what several policies
allow one pod is added up, and a pod of no policy is open. What is stricter here: each rule names its peers, each peer
what it selects in one namespace, each port its protocol, and each selector selects somebody.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PART_OF, COMPONENT = "app.kubernetes.io/part-of", "app.kubernetes.io/component"
NAMESPACE = "kubernetes.io/metadata.name"
ANY = "any port"

Pods = Mapping[str, Mapping[str, str]]
"""The labels of pods by component."""
Peers = set[tuple[str, str]]
"""Whom, and on which port: a component of ours, or somebody else in words."""


class PolicyError(AssertionError):
    """A policy that allows more than it names, or names nobody."""


@dataclass
class Reach:
    """Whom one pod is reached by, and whom it reaches."""

    ingress: Peers
    egress: Peers


def reaches(policies: Iterable[Mapping[str, Any]], pods: Pods) -> dict[str, Reach]:
    """What the policies allow each pod that one of them selects.

    Args:
        policies: NetworkPolicies of one namespace.
        pods: all of ours that may be in it.

    Raises:
        PolicyError: a policy is not as narrow as it has to be.
    """
    found: dict[str, Reach] = {}
    for policy in policies:
        name, spec = policy["metadata"]["name"], policy["spec"]
        _expect(set(spec) == {"podSelector", "policyTypes", "ingress", "egress"}, f"{name} has {sorted(spec)}")
        _expect(spec["policyTypes"] == ["Ingress", "Egress"], f"{name} is for {spec['policyTypes']}")
        ingress = {one for rule in spec["ingress"] for one in _allowed(rule, "from", pods)}
        egress = {one for rule in spec["egress"] for one in _allowed(rule, "to", pods)}
        for component in ours(spec["podSelector"], pods):
            there = found.setdefault(component, Reach(set(), set()))
            there.ingress |= ingress
            there.egress |= egress
    return found


def ours(selector: Mapping[str, Any], pods: Pods) -> set[str]:
    """The components of our pods that a selector of ours selects; each that it lists is there.

    Raises:
        PolicyError: it selects more than ours, or nobody.
    """
    part_of = {"key": PART_OF, "operator": "In", "values": ["torghut-ta"]}
    _expect(part_of in _requirements(selector), f"{selector} is not of our own pods only")
    for one in _requirements(selector):
        _expect(one["operator"] == "In", f"{one} in {selector} says whom it does not select")
        for value in one["values"]:
            _expect(
                any(labels.get(one["key"]) == value for labels in pods.values()), f"no pod has {one['key']}: {value}"
            )
    found = {component for component, labels in pods.items() if selects(selector, labels)}
    _expect(bool(found), f"{selector} selects no pod")
    return found


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a pod with these labels is selected (apimachinery, LabelSelector)."""
    return all(_holds(one, labels) for one in _requirements(selector))


def _requirements(selector: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All that a selector asks for; one that asks for nothing selects everything."""
    _expect(bool(selector), "a selector is empty")
    _expect(set(selector) <= {"matchLabels", "matchExpressions"}, f"{selector} is no selector")
    _expect(all(selector.values()), f"{selector} has a part that is empty")
    equal = [
        {"key": key, "operator": "In", "values": [value]} for key, value in selector.get("matchLabels", {}).items()
    ]
    return [*equal, *selector.get("matchExpressions", ())]


def _holds(one: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    there = labels.get(one["key"])
    match one["operator"]:
        case "In":
            return there in one["values"]
        case "NotIn":
            return there not in one["values"]
        case "Exists":
            return there is not None
        case "DoesNotExist":
            return there is None
    raise PolicyError(f"{one['operator']} is no operator of a selector")


def _allowed(rule: Mapping[str, Any], side: str, pods: Pods) -> Peers:
    _expect(set(rule) <= {side, "ports"}, f"a rule has {sorted(rule)}")
    _expect(bool(rule.get(side)), f"a rule without `{side}`, or with an empty one, is for everybody")
    return {(peer, port) for one in rule[side] for peer in _peers(one, pods) for port in _ports(rule)}


def _ports(rule: Mapping[str, Any]) -> list[str]:
    if "ports" not in rule:
        return [ANY]
    _expect(bool(rule["ports"]), "a rule with empty `ports` is for every port")
    for one in rule["ports"]:
        _expect(set(one) == {"protocol", "port"}, f"a port has {sorted(one)}")
        _expect(one["protocol"] in {"TCP", "UDP"} and type(one["port"]) is int, f"{one} is not a protocol and a number")
    return [f"{one['protocol']} {one['port']}" for one in rule["ports"]]


def _peers(one: Mapping[str, Any], pods: Pods) -> set[str]:
    match sorted(one):
        case ["ipBlock"]:
            _expect(set(one["ipBlock"]) == {"cidr"}, f"an ipBlock has {sorted(one['ipBlock'])}")
            cidr = str(one["ipBlock"]["cidr"])
            _expect(ipaddress.ip_network(cidr).num_addresses == 1, f"{cidr} is more than one address")
            return {cidr}
        case ["podSelector"]:
            selector = one["podSelector"]
            if any(selects(selector, labels) for labels in pods.values()) or PART_OF in str(selector):
                return ours(selector, pods)
            return {_words(selector)}
        case ["namespaceSelector", "podSelector"]:
            namespace = one["namespaceSelector"]
            names = namespace.get("matchLabels", {})
            is_one = set(namespace) == {"matchLabels"} and set(names) == {NAMESPACE}
            _expect(is_one, f"{namespace} is not one namespace")
            return {f"{names[NAMESPACE]}: {_words(one['podSelector'])}"}
        case keys:
            raise PolicyError(f"a peer has {keys}")


def _words(selector: Mapping[str, Any]) -> str:
    """Somebody else's pods: their labels are not known here, so they are named by labels alone."""
    _requirements(selector)
    _expect(set(selector) == {"matchLabels"}, f"{selector} names pods otherwise than by their labels")
    return ", ".join(f"{key}={value}" for key, value in selector["matchLabels"].items())


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise PolicyError(otherwise)

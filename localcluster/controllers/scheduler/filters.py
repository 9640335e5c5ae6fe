"""Which nodes a pod may run on, and if none, the message that says why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localcluster import quantity
from localcluster.controllers import conditions, labels, pod_resources, taints

JSON = dict[str, Any]

NO_NODES = "no nodes available to schedule pods"


@dataclass
class NodeState:
    """A node and what is on it."""

    node: JSON
    pods: list[JSON] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])

    @property
    def labels(self) -> dict[str, str]:
        return self.node["metadata"].get("labels") or {}

    def requested(self) -> pod_resources.Amounts:
        total: pod_resources.Amounts = {}
        for pod in self.pods:
            pod_resources.add(total, pod_resources.of_pod(pod, "requests"))
        return total

    def allocatable(self) -> pod_resources.Amounts:
        status = self.node.get("status", {})
        amounts = status.get("allocatable") or status.get("capacity") or {}
        return {name: quantity.parse(value) for name, value in amounts.items()}


@dataclass(frozen=True)
class Refusal:
    """Why a node does not fit; `helps` says whether taking other pods away could change that."""

    reasons: tuple[str, ...]
    helps: bool = False


def refusal(pod: JSON, state: NodeState, everywhere: Sequence[NodeState]) -> Refusal | None:
    """The first filter's objections, in the order of the real scheduler's; None if the node fits."""
    spec, node = pod["spec"], state.node
    tolerations = spec.get("tolerations") or []
    if node["spec"].get("unschedulable") and not any(
        taints.tolerates(t, {"key": taints.UNSCHEDULABLE, "effect": "NoSchedule"}) for t in tolerations
    ):
        return Refusal(("node(s) were unschedulable",))
    if taints.untolerated(_taints(node), tolerations, ("NoSchedule", "NoExecute")) is not None:
        return Refusal(("node(s) had untolerated taint(s)",))
    if not matches_selectors(pod, state):
        return Refusal(("node(s) didn't match Pod's node affinity/selector",))
    if _host_ports(pod) & {port for other in state.pods for port in _host_ports(other)}:
        return Refusal(("node(s) didn't have free ports for the requested pod ports",), helps=True)
    return _resources(pod, state) or _neighbours(pod, state, everywhere)


def _taints(node: JSON) -> list[JSON]:
    """Those of a node that never said it is ready are not yet written down."""
    found = list(node["spec"].get("taints") or ())
    if not conditions.find(node.get("status", {}).get("conditions"), "Ready"):
        found.append({"key": taints.NOT_READY, "effect": "NoSchedule"})
    return found


def matches_selectors(pod: JSON, state: NodeState) -> bool:
    """nodeSelector and the required node affinity."""
    spec = pod["spec"]
    if not labels.selects_map(spec.get("nodeSelector") or {}, state.labels):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(matches_term(term, state) for term in required.get("nodeSelectorTerms") or ())


def matches_term(term: JSON, state: NodeState) -> bool:
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    named = {"metadata.name": state.name}
    return all(labels.requirement_holds(e, state.labels) for e in expressions) and all(
        labels.requirement_holds(e, named) for e in fields
    )


def _host_ports(pod: JSON) -> set[tuple[int, str]]:
    return {
        (port["hostPort"], port.get("protocol", "TCP"))
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
        if port.get("hostPort")
    }


def _resources(pod: JSON, state: NodeState) -> Refusal | None:
    allocatable, requested = state.allocatable(), state.requested()
    reasons: list[str] = []
    never = False
    most_pods = allocatable.get("pods")
    if most_pods is not None and len(state.pods) + 1 > most_pods.value:
        reasons.append("Too many pods")
    zero = quantity.Quantity(0)
    for name, wanted in pod_resources.of_pod(pod, "requests").items():
        if not wanted:
            continue
        room = allocatable.get(name, zero)
        if wanted > room - requested.get(name, zero):
            reasons.append(f"Insufficient {name}")
            never = never or wanted > room
    return Refusal(tuple(reasons), helps=not never) if reasons else None


def _neighbours(pod: JSON, state: NodeState, everywhere: Sequence[NodeState]) -> Refusal | None:
    """Required pod affinity and anti-affinity, of the pod and of those that are there."""
    affinity = pod["spec"].get("affinity") or {}
    key = "requiredDuringSchedulingIgnoredDuringExecution"
    for other_state in everywhere:
        for other in other_state.pods:
            terms = ((other["spec"].get("affinity") or {}).get("podAntiAffinity") or {}).get(key) or ()
            for term in terms:
                if _same_place(term, state, other_state) and _selects(term, other, pod):
                    return Refusal(("node(s) didn't satisfy existing pods anti-affinity rules",), helps=True)
    for term in (affinity.get("podAffinity") or {}).get(key) or ():
        found = [s for s in everywhere for other in s.pods if _selects(term, pod, other)]
        if not any(_same_place(term, state, s) for s in found) and (found or not _selects(term, pod, pod)):
            return Refusal(("node(s) didn't match pod affinity rules",))
    for term in (affinity.get("podAntiAffinity") or {}).get(key) or ():
        for s in everywhere:
            if _same_place(term, state, s) and any(_selects(term, pod, other) for other in s.pods):
                return Refusal(("node(s) didn't match pod anti-affinity rules",), helps=True)
    return None


def _same_place(term: JSON, one: NodeState, other: NodeState) -> bool:
    value = one.labels.get(term["topologyKey"])
    return value is not None and value == other.labels.get(term["topologyKey"])


def _selects(term: JSON, pod: JSON, other: JSON) -> bool:
    """Whether a term of `pod` means `other`."""
    namespaces = term.get("namespaces") or ([] if "namespaceSelector" in term else [pod["metadata"]["namespace"]])
    if namespaces and other["metadata"]["namespace"] not in namespaces:
        return False
    return labels.matches(term.get("labelSelector"), other["metadata"].get("labels"))


def message(refusals: Iterable[Refusal]) -> str:
    """As the scheduler words it, preemption included."""
    found = list(refusals)
    count = len(found)
    if not count:
        return NO_NODES
    reasons = Counter(reason for refused in found for reason in refused.reasons)
    listed = ", ".join(sorted(f"{number} {reason}" for reason, number in reasons.items()))
    preemption = Counter(
        "No preemption victims found for incoming pod" if refused.helps else "Preemption is not helpful for scheduling"
        for refused in found
    )
    victims = ", ".join(sorted(f"{number} {reason}" for reason, number in preemption.items()))
    head = f"0/{count} nodes are available"
    return f"{head}: {listed}. no new claims to deallocate, preemption: {head}: {victims}."


def score(pod: JSON, state: NodeState) -> tuple[float, int]:
    """The higher the better: preferred affinity first, then the node with most left."""
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    weight = sum(entry["weight"] for entry in preferred if matches_term(entry["preference"], state))
    return float(weight) - _load(state), -len(state.pods)


def _load(state: NodeState) -> float:
    """Between 0 and 1."""
    allocatable, requested = state.allocatable(), state.requested()
    shares = [
        float(requested[n]) / float(allocatable[n]) for n in ("cpu", "memory") if n in requested and allocatable.get(n)
    ]
    return min(1.0, sum(shares) / len(shares)) if shares else 0.0


def states(nodes: Iterable[JSON], placed: Mapping[str, Sequence[JSON]]) -> list[NodeState]:
    """Nodes with the pods on them, by name."""
    ordered = sorted(nodes, key=lambda node: node["metadata"]["name"])
    return [NodeState(node, list(placed.get(node["metadata"]["name"], ()))) for node in ordered]

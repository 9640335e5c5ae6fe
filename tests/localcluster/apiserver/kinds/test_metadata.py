"""Rules of ObjectMeta and of label selectors."""

from typing import Any

from localcluster.apiserver.kinds import metadata


def errors(namespaced: bool = True, **meta: Any) -> list[str]:
    whole = {"name": "a", "namespace": "n", **meta}
    return [str(error) for error in metadata.validate({"metadata": whole}, namespaced, None)]


def test_the_least_that_is_accepted() -> None:
    assert errors() == []
    assert errors(namespaced=False, namespace=None) == []


def test_names() -> None:
    assert errors(name="") == ["metadata.name: Required value: name or generateName is required"]
    assert errors(generateName="a-") == []
    assert errors(generateName="Bad-")[0].startswith('metadata.generateName: Invalid value: "Bad-": a lowercase RFC')


def test_namespaces() -> None:
    assert errors(namespace="") == ["metadata.namespace: Required value"]
    assert errors(namespaced=False) == ["metadata.namespace: Forbidden: not allowed on this type"]


def test_annotations_may_have_upper_case_prefixes_but_not_be_endless() -> None:
    assert errors(annotations={"UP.example/K": "any text"}) == []
    assert errors(annotations={"a": "x" * 262144}) == [
        "metadata.annotations: Too long: may not be more than 262144 bytes"
    ]


def test_one_controller() -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": True}
    assert errors(ownerReferences=[owner]) == []
    (error,) = errors(ownerReferences=[owner, {**owner, "name": "q"}])
    assert error.endswith('Found "true" in references for Pod/p and Pod/q')


def test_events_own_nothing() -> None:
    owner = {"apiVersion": "v1", "kind": "Event", "name": "p", "uid": "u"}
    (error,) = errors(ownerReferences=[owner])
    assert error.endswith("/v1, Kind=Event is disallowed from being an owner")


def test_finalizers() -> None:
    assert errors(finalizers=["e.example/x", "orphan"]) == []
    assert errors(finalizers=["bare"])[0].startswith('metadata.finalizers[0]: Invalid value: "bare"')
    assert errors(finalizers=["orphan", "foregroundDeletion"])[0].endswith("cannot be both set")
    custom = metadata.validate(
        {"metadata": {"name": "a", "namespace": "n", "finalizers": ["bare"]}}, True, builtin=False
    )
    assert custom == []


def test_a_change_is_checked_twice() -> None:
    old = {"metadata": {"name": "a", "uid": "1", "finalizers": ["x.example/a"], "deletionTimestamp": "t"}}
    new = {"metadata": {**old["metadata"], "uid": "2", "finalizers": ["x.example/b"]}}
    found = [str(error) for error in metadata.validate_update(new, old)]
    assert len(found) == 4
    assert found[:2] == found[2:]
    assert found[0] == (
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
        'found new finalizers []string{"x.example/b"}'
    )
    assert found[1] == 'metadata.uid: Invalid value: "2": field is immutable'


def test_selectors() -> None:
    def found(*expressions: dict[str, Any]) -> list[str]:
        return [str(e) for e in metadata.validate_label_selector({"matchExpressions": list(expressions)}, "s")]

    assert found({"key": "a", "operator": "In", "values": ["b"]}, {"key": "a", "operator": "Exists"}) == []
    assert found({"key": "a", "operator": "In"})[0].startswith("s.matchExpressions[0].values: Required value")
    assert found({"key": "a", "operator": "Exists", "values": ["b"]})[0].startswith(
        "s.matchExpressions[0].values: Forbidden"
    )
    assert found({"key": "a", "operator": "Gt"}) == [
        's.matchExpressions[0].operator: Invalid value: "Gt": not a valid selector operator'
    ]

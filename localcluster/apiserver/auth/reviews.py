"""Access reviews: kubectl's ``auth can-i`` and ``auth whoami``, and what other API servers ask before they serve.

reviews = Reviews(authorizer, tokens)
answer = reviews.create(group, plural, namespace, body, user, now)    # the object of the 201
"""

from __future__ import annotations

from collections.abc import Callable

from localcluster.apiserver.auth.attributes import Attributes
from localcluster.apiserver.auth.rbac import Authorizer, aggregate
from localcluster.apiserver.auth.tokens import Tokens, user_info
from localcluster.apiserver.errors import APIError, FieldError, bad_request, invalid, invalid_value
from localcluster.apiserver.kinds.base import JSON, User

_AUTHORIZATION = "authorization.k8s.io"
_AUTHENTICATION = "authentication.k8s.io"


class Reviews:
    """Answers every kind of review; none of them is stored."""

    def __init__(self, authorizer: Authorizer, tokens: Tokens) -> None:
        self._authorizer = authorizer
        self._tokens = tokens
        self._answers: dict[tuple[str, str], Callable[[JSON, User, str], JSON]] = {
            (_AUTHORIZATION, "selfsubjectaccessreviews"): self._self_access,
            (_AUTHORIZATION, "subjectaccessreviews"): self._access,
            (_AUTHORIZATION, "localsubjectaccessreviews"): self._local_access,
            (_AUTHORIZATION, "selfsubjectrulesreviews"): self._self_rules,
            (_AUTHENTICATION, "tokenreviews"): lambda body, user, namespace: self._tokens.review(body),
        }

    def handles(self, group: str, plural: str) -> bool:
        return (group, plural) in self._answers or (group, plural) == (_AUTHENTICATION, "selfsubjectreviews")

    def create(self, group: str, plural: str, namespace: str, body: JSON, user: User, now: str) -> JSON:
        """The review with its status.

        Args:
            body: decoded and of the right kind.
            user: who asks.
            now: RFC 3339.

        Raises:
            APIError: 400 or 422, worded as the real server's.
        """
        if plural == "selfsubjectreviews":
            return {
                "kind": "SelfSubjectReview",
                "apiVersion": f"{_AUTHENTICATION}/v1",
                "metadata": {"creationTimestamp": now},
                "status": {"userInfo": user_info(user)},
            }
        return self._answers[group, plural](body, user, namespace)

    def _self_access(self, body: JSON, user: User, namespace: str) -> JSON:
        spec = body.get("spec") or {}
        _refuse(_attribute_errors(spec) + _metadata_errors(body))
        return _answer("SelfSubjectAccessReview", body, spec, self._decide(user, spec))

    def _access(self, body: JSON, user: User, namespace: str) -> JSON:
        spec = body.get("spec") or {}
        _refuse(_attribute_errors(spec) + _subject_errors(spec) + _metadata_errors(body))
        return _answer("SubjectAccessReview", body, spec, self._decide(_subject(spec), spec))

    def _local_access(self, body: JSON, user: User, namespace: str) -> JSON:
        spec = body.get("spec") or {}
        given = (body.get("metadata") or {}).get("namespace", "")
        errors = _attribute_errors(spec) + _subject_errors(spec) + _metadata_errors(body, but="namespace")
        attributes = spec.get("resourceAttributes")
        if attributes is not None and attributes.get("namespace", "") != given:
            path = "spec.resourceAttributes.namespace"
            errors.append(invalid_value(path, attributes.get("namespace", ""), "must match metadata.namespace"))
        if spec.get("nonResourceAttributes") is not None:
            path = "spec.nonResourceAttributes"
            detail = "disallowed on this kind of request"
            errors.append(invalid_value(path, spec["nonResourceAttributes"], detail))
        _refuse(errors)
        if given != namespace:
            raise bad_request(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
        return _answer("LocalSubjectAccessReview", body, spec, self._decide(_subject(spec), spec))

    def _self_rules(self, body: JSON, user: User, namespace: str) -> JSON:
        spec = body.get("spec") or {}
        asked = spec.get("namespace")
        if not asked:
            raise bad_request("no namespace on request")
        rules, errors = self._authorizer.rules_for(user, asked)
        resources, paths = [], []
        for rule in rules:
            if rule.get("resources"):
                keys = ("verbs", "apiGroups", "resources", "resourceNames")
                resources.append({key: rule[key] for key in keys if rule.get(key)})
            if rule.get("nonResourceURLs"):
                paths.append({"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]})
        status: JSON = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": bool(errors)}
        if errors:
            status["evaluationError"] = aggregate(errors)
        return _answer("SelfSubjectRulesReview", body, spec, status)

    def _decide(self, user: User, spec: JSON) -> JSON:
        allowed, reason = self._authorizer.allowed(user, _attributes(spec))
        return {"allowed": allowed, **({"reason": reason} if reason else {})}


def _attributes(spec: JSON) -> Attributes:
    of_path = spec.get("nonResourceAttributes")
    if of_path is not None:
        return Attributes(of_path.get("verb", ""), path=of_path.get("path", ""))
    given = spec["resourceAttributes"]
    keys = ("verb", "group", "version", "resource", "subresource", "namespace", "name")
    return Attributes(*(given.get(key, "") for key in keys))


def _subject(spec: JSON) -> User:
    extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), extra)


def _answer(kind: str, body: JSON, spec: JSON, status: JSON) -> JSON:
    metadata = body.get("metadata") or {}
    return {
        "kind": kind,
        "apiVersion": f"{_AUTHORIZATION}/v1",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


def _attribute_errors(spec: JSON) -> list[FieldError]:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        return [invalid_value("spec.nonResourceAttributes", path, detail)]
    if resource is None and path is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return [invalid_value("spec.resourceAttributes", None, detail)]
    return []


def _subject_errors(spec: JSON) -> list[FieldError]:
    if spec.get("user") or spec.get("groups"):
        return []
    return [invalid_value("spec.user", spec.get("user", ""), "at least one of user or group must be specified")]


def _metadata_errors(body: JSON, but: str = "") -> list[FieldError]:
    metadata = body.get("metadata") or {}
    if all(key in (but, "managedFields") for key in metadata):
        return []
    detail = f"must be empty except for {but}" if but else "must be empty"
    return [invalid_value("metadata", metadata, detail)]


def _refuse(errors: list[FieldError]) -> None:
    if errors:
        error: APIError = invalid(_AUTHORIZATION, "", "", errors)
        (error.details or {}).pop("kind", None)
        raise error

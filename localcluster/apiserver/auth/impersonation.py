"""Acting as somebody else: the Impersonate-… headers and the rights that they need.

    user = impersonate(user, headers, attributes, authorizer.allowed)

Two ways allow it (https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/): the verb
``impersonate`` on users, groups, uids and userextras, and since 1.36 constrained impersonation, where
``impersonate:<mode>`` allows the person and ``impersonate-on:<mode>:<verb>`` what is done as them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import unquote

from multidict import MultiMapping

from localcluster.apiserver.auth.attributes import Attributes, forbidden
from localcluster.apiserver.auth.authentication import ANONYMOUS, with_authenticated
from localcluster.apiserver.auth.tokens import service_account_user
from localcluster.apiserver.errors import APIError, bad_request
from localcluster.apiserver.kinds.base import User

Allowed = Callable[[User, Attributes], tuple[bool, str]]

_EXTRA_PREFIX = "impersonate-extra-"
_ACCOUNT_PREFIX = "system:serviceaccount:"
_NODE_PREFIX = "system:node:"
_GROUP = "authentication.k8s.io"


def impersonate(user: User, headers: MultiMapping[str], attributes: Attributes, allowed: Allowed) -> User:
    """Whom the request is to be answered as: `user`, or whom the headers name.

    Raises:
        APIError: 403 where `user` may not impersonate that person, 400 where no name is given.
    """
    wanted = _wanted(headers)
    if wanted is None:
        return user
    first_error: APIError | None = None
    for mode in _modes(user, wanted):
        error = _check(user, wanted, attributes, mode, allowed)
        if error is None:
            return _complete(wanted, node=mode.endswith("-node"))
        first_error = first_error or error
    raise first_error or APIError(500, "", "all impersonation modes failed")


def _wanted(headers: MultiMapping[str]) -> User | None:
    name = headers.get("Impersonate-User", "")
    uid = headers.get("Impersonate-Uid", "")
    groups = tuple(headers.getall("Impersonate-Group", []))
    extra: dict[str, tuple[str, ...]] = {}
    for header in headers:
        if header.lower().startswith(_EXTRA_PREFIX):
            extra[unquote(header.lower().removeprefix(_EXTRA_PREFIX))] = tuple(headers.getall(header))
    if name:
        return User(name, groups, uid, extra)
    if uid or groups or extra:
        raise bad_request(f"requested {_go_text(uid, groups, extra)} without impersonating a user name")
    return None


def _go_text(uid: str, groups: tuple[str, ...], extra: dict[str, tuple[str, ...]]) -> str:
    """The half-filled user as Go's ``%#v`` shows it, which is what the real server's message holds."""

    def strings(values: tuple[str, ...]) -> str:
        return "[]string{" + ", ".join(f'"{v}"' for v in values) + "}" if values else "[]string(nil)"

    items = ", ".join(f'"{key}":{strings(values)}' for key, values in sorted(extra.items()))
    extras = f"map[string][]string{{{items}}}" if extra else "map[string][]string(nil)"
    return f'&user.DefaultInfo{{Name:"", UID:"{uid}", Groups:{strings(groups)}, Extra:{extras}}}'


def _modes(user: User, wanted: User) -> Iterator[str]:
    """The modes that fit the wanted user, in the order in which the real server tries them; "" is the old one."""
    only_name = not (wanted.groups or wanted.uid or wanted.extra)
    if wanted.name.startswith(_NODE_PREFIX):
        if only_name:
            nodes = user.extra.get("authentication.kubernetes.io/node-name", ())
            if wanted.name.removeprefix(_NODE_PREFIX) in nodes:
                yield "associated-node"
            yield "arbitrary-node"
    elif _account(wanted.name) is not None:
        if only_name:
            yield "serviceaccount"
    else:
        yield "user-info"
    yield ""


def _check(user: User, wanted: User, attributes: Attributes, mode: str, allowed: Allowed) -> APIError | None:
    needed = list(_needed(wanted, mode))
    if mode:
        needed.insert(0, replace(attributes, verb=f"impersonate-on:{mode}:{attributes.verb}"))
    for attribute in needed:
        granted, reason = allowed(user, attribute)
        if not granted:
            return forbidden(user, attribute, reason)
    return None


def _needed(wanted: User, mode: str) -> Iterator[Attributes]:
    verb = f"impersonate:{mode}" if mode else "impersonate"
    group = _GROUP if mode else ""
    account = _account(wanted.name)
    if mode.endswith("-node"):
        name = "*" if mode == "associated-node" else wanted.name.removeprefix(_NODE_PREFIX)
        yield Attributes(verb, group, "v1", "nodes", name=name)
    elif account is not None:
        yield Attributes(verb, group, "v1", "serviceaccounts", namespace=account[0], name=account[1])
    else:
        yield Attributes(verb, group, "v1", "users", name=wanted.name)
    if wanted.uid:
        yield Attributes(verb, _GROUP, "v1", "uids", name=wanted.uid)
    for name in wanted.groups:
        yield Attributes(verb, group, "v1", "groups", name=name)
    for key, values in wanted.extra.items():
        for value in values:
            yield Attributes(verb, _GROUP, "v1", "userextras", key, name=value)


def _complete(wanted: User, node: bool) -> User:
    """The wanted user with the groups that such a user always has."""
    if wanted.name == ANONYMOUS.name:
        groups = wanted.groups if ANONYMOUS.groups[0] in wanted.groups else (*wanted.groups, *ANONYMOUS.groups)
        return replace(wanted, groups=groups)
    account = _account(wanted.name)
    if account is not None and not wanted.groups:
        return replace(service_account_user(*account), uid=wanted.uid, extra=wanted.extra)
    if node:
        wanted = replace(wanted, groups=("system:nodes",))
    return with_authenticated(wanted)


def _account(name: str) -> tuple[str, str] | None:
    """Namespace and name of a service account's user name."""
    if not name.startswith(_ACCOUNT_PREFIX):
        return None
    namespace, _, account = name.removeprefix(_ACCOUNT_PREFIX).partition(":")
    return (namespace, account) if namespace and account and ":" not in account else None

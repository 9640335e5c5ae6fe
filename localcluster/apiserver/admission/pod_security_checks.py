"""The Pod Security Standards: what the levels baseline and restricted forbid.

    violations(level, metadata, spec) -> [("host namespaces", "hostNetwork=true"), …]

https://kubernetes.io/docs/concepts/security/pod-security-standards/ as of Kubernetes 1.36; worded as
k8s.io/pod-security-admission does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

JSON = dict[str, Any]
Violation = tuple[str, str]
Check = Callable[[JSON, JSON], Violation | None]

_BASELINE_CAPABILITIES = {
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}  # fmt: skip
_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}  # fmt: skip
_SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
_APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
_KNOWN_SECCOMP = ("RuntimeDefault", "Localhost")


def violations(level: str, metadata: JSON, spec: JSON) -> list[Violation]:
    """Reason and detail of each rule of a level that a pod breaks, in the real server's order."""
    found = (check(metadata, spec) for check in _CHECKS.get(level, ()))
    return [v for v in found if v is not None]


# ---- parts


def _containers(spec: JSON) -> Iterator[JSON]:
    for key in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(key) or ()


def _context(owner: JSON) -> JSON:
    return owner.get("securityContext") or {}


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f'"{v}"' for v in values)


def _named(names: list[str]) -> str:
    return f"{'container' if len(names) == 1 else 'containers'} {_quoted(names)}"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _setters(spec: JSON, is_bad: Callable[[JSON], bool]) -> str:
    """Who sets something bad in a security context: ``pod and container "a"``; empty if nobody does."""
    setters = ["pod"] if is_bad(_context(spec)) else []
    names = [c["name"] for c in _containers(spec) if is_bad(_context(c))]
    return " and ".join([*setters, *([_named(names)] if names else [])])


# ---- baseline


def _app_armor(metadata: JSON, spec: JSON) -> Violation | None:
    values: set[str] = set()

    def is_bad(context: JSON) -> bool:
        kind = (context.get("appArmorProfile") or {}).get("type")
        if kind is None or kind in _KNOWN_SECCOMP:
            return False
        values.add(kind)
        return True

    setters = _setters(spec, is_bad)
    details = [f"{setters} must not set AppArmor profile type to {_quoted(sorted(values))}"] if setters else []
    bad_annotations = sorted(
        f'{key}="{value}"'
        for key, value in (metadata.get("annotations") or {}).items()
        if key.startswith(_APPARMOR_ANNOTATION)
        and value not in ("", "runtime/default")
        and not value.startswith("localhost/")
    )
    if not details and not bad_annotations:
        return None
    reason = _plural(len(values) + len(bad_annotations), "forbidden AppArmor profile")
    return reason, ", ".join([*details, *bad_annotations])


def _capabilities(container: JSON) -> JSON:
    return _context(container).get("capabilities") or {}


def _baseline_capabilities(metadata: JSON, spec: JSON) -> Violation | None:
    names, added = _adding(spec, _BASELINE_CAPABILITIES)
    if not names:
        return None
    detail = f"{_named(names)} must not include {_quoted(added)} in securityContext.capabilities.add"
    return "non-default capabilities", detail


def _adding(spec: JSON, allowed: set[str]) -> tuple[list[str], list[str]]:
    names, added = [], set()
    for container in _containers(spec):
        more = [c for c in _capabilities(container).get("add") or () if c not in allowed]
        if more:
            names.append(container["name"])
            added.update(more)
    return names, sorted(added)


def _host_namespaces(metadata: JSON, spec: JSON) -> Violation | None:
    used = [f"{key}=true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    return ("host namespaces", ", ".join(used)) if used else None


def _host_path(metadata: JSON, spec: JSON) -> Violation | None:
    names = [v["name"] for v in spec.get("volumes") or () if v.get("hostPath") is not None]
    return ("hostPath volumes", f"{_plural(len(names), 'volume')} {_quoted(names)}") if names else None


def _host_ports(metadata: JSON, spec: JSON) -> Violation | None:
    names, ports = [], set()
    for container in _containers(spec):
        found = [str(p["hostPort"]) for p in container.get("ports") or () if p.get("hostPort")]
        if found:
            names.append(container["name"])
            ports.update(found)
    if not names:
        return None
    verb = "uses" if len(names) == 1 else "use"
    return "hostPort", f"{_named(names)} {verb} {_plural(len(ports), 'hostPort')} {', '.join(sorted(ports))}"


def _probe_hosts(metadata: JSON, spec: JSON) -> Violation | None:
    names, hosts = set(), set()
    for container in _containers(spec):
        lifecycle = container.get("lifecycle") or {}
        handlers = [container.get(f"{kind}Probe") for kind in ("liveness", "readiness", "startup")]
        for handler in (*handlers, lifecycle.get("postStart"), lifecycle.get("preStop")):
            for action in ("httpGet", "tcpSocket"):
                host = ((handler or {}).get(action) or {}).get("host")
                if host:
                    names.add(container["name"])
                    hosts.add(host)
    if not names:
        return None
    verb = "uses" if len(names) == 1 else "use"
    what = _plural(len(hosts), "probe or lifecycle host")
    return "probe or lifecycle host", f"{_named(sorted(names))} {verb} {what} {_quoted(sorted(hosts))}"


def _privileged(metadata: JSON, spec: JSON) -> Violation | None:
    names = [c["name"] for c in _containers(spec) if _context(c).get("privileged")]
    return ("privileged", f"{_named(names)} must not set securityContext.privileged=true") if names else None


def _proc_mount(metadata: JSON, spec: JSON) -> Violation | None:
    if spec.get("hostUsers") is False:
        return None
    names, values = [], set()
    for container in _containers(spec):
        value = _context(container).get("procMount")
        if value not in (None, "", "Default"):
            names.append(container["name"])
            values.add(value)
    if not names:
        return None
    return "procMount", f"{_named(names)} must not set securityContext.procMount to {_quoted(sorted(values))}"


def _selinux(metadata: JSON, spec: JSON) -> Violation | None:
    types: set[str] = set()
    given: set[str] = set()

    def is_bad(context: JSON) -> bool:
        options = context.get("seLinuxOptions") or {}
        bad = False
        if options.get("type", "") not in _SELINUX_TYPES:
            types.add(options["type"])
            bad = True
        for key in ("user", "role"):
            if options.get(key):
                given.add(key)
                bad = True
        return bad

    setters = _setters(spec, is_bad)
    if not setters:
        return None
    data = [f"{_plural(len(types), 'type')} {_quoted(sorted(types))}"] if types else []
    data += [f"{key} may not be set" for key in ("user", "role") if key in given]
    return "seLinuxOptions", f"{setters} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}"


def _baseline_seccomp(metadata: JSON, spec: JSON) -> Violation | None:
    values: set[str] = set()

    def is_bad(context: JSON) -> bool:
        profile = context.get("seccompProfile")
        if profile is None or profile.get("type") in _KNOWN_SECCOMP:
            return False
        values.add(profile.get("type", ""))
        return True

    setters = _setters(spec, is_bad)
    if not setters:
        return None
    detail = f"{setters} must not set securityContext.seccompProfile.type to {_quoted(sorted(values))}"
    return "seccompProfile", detail


def _sysctls(metadata: JSON, spec: JSON) -> Violation | None:
    names = [s["name"] for s in _context(spec).get("sysctls") or () if s.get("name") not in _SYSCTLS]
    return ("forbidden sysctls", ", ".join(names)) if names else None


def _host_process(metadata: JSON, spec: JSON) -> Violation | None:
    def is_bad(context: JSON) -> bool:
        return bool((context.get("windowsOptions") or {}).get("hostProcess"))

    setters = _setters(spec, is_bad)
    if not setters:
        return None
    return "hostProcess", f"{setters} must not set securityContext.windowsOptions.hostProcess=true"


# ---- restricted


def _is_windows(spec: JSON) -> bool:
    return (spec.get("os") or {}).get("name") == "windows"


def _privilege_escalation(metadata: JSON, spec: JSON) -> Violation | None:
    if _is_windows(spec):
        return None
    names = [c["name"] for c in _containers(spec) if _context(c).get("allowPrivilegeEscalation") is not False]
    if not names:
        return None
    return (
        "allowPrivilegeEscalation != false",
        f"{_named(names)} must set securityContext.allowPrivilegeEscalation=false",
    )


def _restricted_capabilities(metadata: JSON, spec: JSON) -> Violation | None:
    if _is_windows(spec):
        return None
    keeping = [c["name"] for c in _containers(spec) if "ALL" not in (_capabilities(c).get("drop") or ())]
    adding, added = _adding(spec, {"NET_BIND_SERVICE"})
    details = [f'{_named(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        details.append(f"{_named(adding)} must not include {_quoted(added)} in securityContext.capabilities.add")
    return ("unrestricted capabilities", "; ".join(details)) if details else None


def _restricted_volumes(metadata: JSON, spec: JSON) -> Violation | None:
    names, kinds = [], set()
    for volume in spec.get("volumes") or ():
        if any(volume.get(kind) is not None for kind in _RESTRICTED_VOLUMES):
            continue
        names.append(volume["name"])
        kinds.add(next((key for key in volume if key != "name"), "unknown"))
    if not names:
        return None
    verb = "uses" if len(names) == 1 else "use"
    what = _plural(len(kinds), "restricted volume type")
    detail = f"{_plural(len(names), 'volume')} {_quoted(names)} {verb} {what} {_quoted(sorted(kinds))}"
    return "restricted volume types", detail


def _non_root(metadata: JSON, spec: JSON) -> Violation | None:
    if spec.get("hostUsers") is False:
        return None
    reason = "runAsNonRoot != true"
    setters = _setters(spec, lambda context: context.get("runAsNonRoot") is False)
    if setters:
        return reason, f"{setters} must not set securityContext.runAsNonRoot=false"
    if _context(spec).get("runAsNonRoot"):
        return None
    names = [c["name"] for c in _containers(spec) if _context(c).get("runAsNonRoot") is None]
    return (reason, f"pod or {_named(names)} must set securityContext.runAsNonRoot=true") if names else None


def _run_as_user(metadata: JSON, spec: JSON) -> Violation | None:
    if spec.get("hostUsers") is False:
        return None
    setters = _setters(spec, lambda context: context.get("runAsUser") == 0)
    return ("runAsUser=0", f"{setters} must not set runAsUser=0") if setters else None


def _restricted_seccomp(metadata: JSON, spec: JSON) -> Violation | None:
    if _is_windows(spec):
        return None
    bad = _baseline_seccomp(metadata, spec)
    if bad is not None:
        return bad
    if _context(spec).get("seccompProfile") is not None:
        return None
    names = [c["name"] for c in _containers(spec) if _context(c).get("seccompProfile") is None]
    if not names:
        return None
    what = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return "seccompProfile", f"pod or {_named(names)} {what}"


_CHECKS: dict[str, tuple[Check, ...]] = {
    "baseline": (
        _app_armor, _baseline_capabilities, _host_namespaces, _host_path, _host_ports, _probe_hosts, _privileged,
        _proc_mount, _selinux, _baseline_seccomp, _sysctls, _host_process,
    ),
    # Where restricted has a stricter rule for the same fields, that of baseline is left out.
    "restricted": (
        _app_armor, _host_namespaces, _host_ports, _probe_hosts, _privileged, _proc_mount, _selinux, _sysctls,
        _host_process, _privilege_escalation, _restricted_capabilities, _restricted_volumes, _non_root, _run_as_user,
        _restricted_seccomp,
    ),
}  # fmt: skip

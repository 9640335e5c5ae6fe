"""APIServices: defaults and rules."""

from __future__ import annotations

import base64

from localcluster.apiserver.errors import FieldError, invalid_value, required
from localcluster.apiserver.kinds import formats
from localcluster.apiserver.kinds.base import JSON, Context, Kind
from localcluster.apiserver.kinds.with_status import KindWithStatus


class APIService(KindWithStatus):
    unconditional_update = False
    name_rule = staticmethod(formats.path_segment)
    omitted_of_spec = ("insecureSkipTLSVerify", "group", "version", "caBundle")
    omitted_of_status = ("conditions",)

    def default(self, obj: JSON) -> None:
        super().default(obj)
        spec = obj["spec"]
        for name in ("groupPriorityMinimum", "versionPriority"):
            spec.setdefault(name, 0)
        if spec.get("service") is not None:
            spec["service"].setdefault("port", 443)

    def validate_create(self, new: JSON, context: Context) -> list[FieldError]:
        spec, name = new["spec"], new["metadata"].get("name", "")
        group, version = spec.get("group", ""), spec.get("version", "")
        found: list[FieldError] = []
        needed = f"{version}.{group}"
        if name != needed:
            detail = f'must be `spec.version+"."+spec.group`: "{needed}"'
            found.append(invalid_value("metadata.name", name, detail))
        if not group and version != "v1":
            detail = "only v1 may have an empty group and it better be legacy kube"
            found.append(required("spec.group", detail))
        if group:
            found += formats.check("spec.group", group, formats.dns1123_subdomain(group))
        found += formats.check("spec.version", version, formats.dns1035_label(version))
        for field_name, limit in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
            value = spec[field_name]
            if value <= 0 or value > limit:
                detail = f"must be positive and less than {limit}"
                found.append(invalid_value(f"spec.{field_name}", value, detail))
        return found + self._validate_service(spec)

    @staticmethod
    def _validate_service(spec: JSON) -> list[FieldError]:
        found: list[FieldError] = []
        service, bundle = spec.get("service"), spec.get("caBundle")
        unverified = bool(spec.get("insecureSkipTLSVerify"))
        if service is None:
            if bundle:
                size = f"{len(base64.b64decode(bundle))} bytes"
                found.append(invalid_value("spec.caBundle", size, "local APIServices may not have a caBundle"))
            if unverified:
                detail = "local APIServices may not have insecureSkipTLSVerify"
                found.append(invalid_value("spec.insecureSkipTLSVerify", True, detail))
            return found
        for name in ("namespace", "name"):
            if not service.get(name):
                found.append(required(f"spec.service.{name}"))
        problems = formats.port_number(service["port"])
        if problems:
            detail = f"port is not valid: {', '.join(problems)}"
            found.append(invalid_value("spec.service.port", service["port"], detail))
        if unverified and bundle:
            detail = "may not be true if caBundle is present"
            found.append(invalid_value("spec.insecureSkipTLSVerify", True, detail))
        return found

    def validate_status(self, new: JSON, old: JSON, context: Context) -> list[FieldError]:
        found: list[FieldError] = []
        for i, condition in enumerate(new["status"].get("conditions") or ()):
            status = condition.get("status", "")
            if status not in ("True", "False", "Unknown"):
                path = f"status.conditions[{i}].status"
                found.append(formats.unsupported(path, status, "True", "False", "Unknown"))
        return found


KINDS: dict[str, type[Kind]] = {"APIService": APIService}

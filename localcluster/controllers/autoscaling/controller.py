"""Reconciles HorizontalPodAutoscalers every 15 seconds: reads metrics, decides, scales, reports."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from localcluster.client import ApiStatusError, ClientError, Unreachable
from localcluster.controllers import conditions, labels
from localcluster.controllers.autoscaling.behavior import History, Word, decide
from localcluster.controllers.autoscaling.evaluation import Evaluator, MetricFailed, Target
from localcluster.controllers.autoscaling.metrics import Metrics
from localcluster.controllers.manager import Controller, Manager
from localcluster.controllers.scales import NoSuchKind, Scales
from localcluster.controllers.times import format_time, now
from localcluster.informer import Key, key_of
from localcluster.resource_types import HORIZONTAL_POD_AUTOSCALERS, PODS

JSON = dict[str, Any]

SYNC_SECONDS = 15.0


@dataclass
class _Outcome:
    """What one look at the metrics came to."""

    proposed: int = -1
    metric: str = ""
    statuses: list[JSON] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    error: str = ""


class HorizontalPodAutoscalerController(Controller):
    name = "horizontal-pod-autoscaler"
    workers = 2

    def __init__(self, manager: Manager) -> None:
        self.autoscalers = manager.informer(HORIZONTAL_POD_AUTOSCALERS)
        self.pods = manager.informer(PODS, {"namespace": lambda pod: (pod["metadata"]["namespace"],)})
        super().__init__(manager, [self.autoscalers, self.pods])
        self.scales = Scales(manager.client)
        self.evaluator = Evaluator(Metrics(manager.client), self.scales)
        self._histories: dict[str, History] = {}
        self.cancel_with(self.autoscalers)
        self.autoscalers.add_handler(self._changed)

    def _changed(self, old: JSON | None, new: JSON | None) -> None:
        if new is None:
            if old is not None:
                self._histories.pop(old["metadata"]["uid"], None)
        elif old is None or old["spec"] != new["spec"]:
            self.queue.add(key_of(new))

    async def reconcile(self, key: Key) -> None:
        autoscaler = self.autoscalers.get(*key)
        if autoscaler is None or autoscaler["metadata"].get("deletionTimestamp"):
            return
        # The next round comes whatever this one leads to.
        self.queue.add_after(key, SYNC_SECONDS)
        await _Round(self, autoscaler).run()

    def history(self, autoscaler: JSON, replicas: int) -> History:
        """After a restart the present size counts as recommended, so that nothing shrinks at once."""
        uid = autoscaler["metadata"]["uid"]
        if uid not in self._histories:
            self._histories[uid] = History([(asyncio.get_running_loop().time(), replicas)])
        return self._histories[uid]


class _Round:
    """One reconciliation of one autoscaler."""

    def __init__(self, controller: HorizontalPodAutoscalerController, autoscaler: JSON) -> None:
        self.controller = controller
        self.autoscaler = autoscaler
        self.namespace = autoscaler["metadata"]["namespace"]
        self.reference = autoscaler["spec"]["scaleTargetRef"]
        self.conditions: list[JSON] = list(autoscaler.get("status", {}).get("conditions") or ())

    def say(self, type: str, status: str, reason: str, message: str) -> None:
        self.conditions = conditions.with_condition(self.conditions, type, status, reason, message, now())

    async def run(self) -> None:
        controller, autoscaler = self.controller, self.autoscaler
        try:
            scale = await controller.scales.get(self.namespace, self.reference)
        except Unreachable:
            raise
        except (ClientError, NoSuchKind) as error:
            controller.warning(autoscaler, "FailedGetScale", str(error))
            message = f"the HPA controller was unable to get the target's current scale: {error}"
            self.say("AbleToScale", "False", "FailedGetScale", message)
            status = autoscaler.get("status") or {}
            await self._write(status.get("currentReplicas", 0), status.get("desiredReplicas", 0), None, False)
            return
        message = "the HPA controller was able to get the target's current scale"
        self.say("AbleToScale", "True", "SucceededGetScale", message)
        current = int((scale.get("spec") or {}).get("replicas", 0))
        minimum, maximum = int(autoscaler["spec"].get("minReplicas", 1)), int(autoscaler["spec"]["maxReplicas"])
        statuses: list[JSON] | None = None
        reason = ""
        if current == 0 and minimum != 0:
            desired = 0
            message = "scaling is disabled since the replica count of the target is zero"
            self.say("ScalingActive", "False", "ScalingDisabled", message)
        elif current > maximum:
            desired, reason = maximum, "Current number of replicas above Spec.MaxReplicas"
        elif current < minimum:
            desired, reason = minimum, "Current number of replicas below Spec.MinReplicas"
        else:
            outcome = await self._evaluate(scale, current)
            if outcome.proposed < 0:
                before = (autoscaler.get("status") or {}).get("desiredReplicas", 0)
                await self._write(current, before, outcome.statuses, False)
                controller.warning(autoscaler, "FailedComputeMetricsReplicas", outcome.error)
                return
            statuses = outcome.statuses
            if outcome.proposed > current:
                reason = f"{outcome.metric} above target"
            elif outcome.proposed < current:
                reason = "All metrics below target"
            history = controller.history(autoscaler, current)
            desired, words = decide(autoscaler, history, current, outcome.proposed, asyncio.get_running_loop().time())
            for word in words:
                self.say(*word)
        if desired == current:
            await self._write(current, current, statuses, False)
            return
        await self._rescale(scale, current, desired, reason, statuses)

    async def _rescale(self, scale: JSON, current: int, desired: int, reason: str, statuses: list[JSON] | None) -> None:
        controller, autoscaler = self.controller, self.autoscaler
        try:
            await controller.scales.set(self.namespace, self.reference, scale, desired)
        except Unreachable:
            raise
        except (ClientError, NoSuchKind) as error:
            text = f"New size: {desired}; reason: {reason}; error: {error}"
            controller.warning(autoscaler, "FailedRescale", text)
            message = f"the HPA controller was unable to update the target scale: {error}"
            self.say("AbleToScale", "False", "FailedUpdateScale", message)
            await self._write(current, (autoscaler.get("status") or {}).get("desiredReplicas", 0), statuses, False)
            raise
        message = f"the HPA controller was able to update the target scale to {desired}"
        self.say("AbleToScale", "True", "SucceededRescale", message)
        controller.normal(autoscaler, "SuccessfulRescale", f"New size: {desired}; reason: {reason}")
        history = controller.history(autoscaler, current)
        history.note_scale(asyncio.get_running_loop().time(), current, desired)
        await self._write(current, desired, statuses, True)

    # ---- metrics

    async def _evaluate(self, scale: JSON, current: int) -> _Outcome:
        outcome = _Outcome()
        autoscaler = self.autoscaler
        text = (scale.get("status") or {}).get("selector") or ""
        try:
            selector = labels.parse(text) if text else None
        except ValueError as error:
            selector = None
            message = f"couldn't convert selector into a corresponding internal selector object: {error}"
        else:
            message = "selector is required"
        if selector is None:
            event = "SelectorRequired" if not text else "InvalidSelector"
            self.controller.warning(autoscaler, event, message)
            said = "the HPA target's scale is missing a selector" if not text else message
            self.say("ScalingActive", "False", "InvalidSelector", said)
            outcome.error = message
            return outcome
        members = [
            pod
            for pod in self.controller.pods.by_index("namespace", self.namespace)
            if labels.matches(selector, pod["metadata"].get("labels"))
        ]
        status_replicas = int((scale.get("status") or {}).get("replicas", 0))
        target = Target(self.namespace, text, members, current, status_replicas)
        specs = autoscaler["spec"].get("metrics") or []
        failures: list[MetricFailed] = []
        for spec in specs:
            try:
                found = await self.controller.evaluator.evaluate(autoscaler, spec, target, now())
            except MetricFailed as error:
                failures.append(error)
                self.controller.warning(autoscaler, error.reason, error.message)
                continue
            outcome.statuses.append(found.status)
            if found.replicas > outcome.proposed:
                outcome.proposed, outcome.metric = found.replicas, found.name
        # With a metric missing it may grow by the others, but not shrink.
        if failures and (len(failures) == len(specs) or outcome.proposed < current):
            first = failures[0]
            message = f"the HPA was unable to compute the replica count: {first.message}"
            self.say("ScalingActive", "False", first.reason, message)
            outcome.proposed = -1
            outcome.error = (
                f"invalid metrics ({len(failures)} invalid out of {len(specs)}), first error is: {first.summary}"
            )
            return outcome
        message = f"the HPA was able to successfully calculate a replica count from {outcome.metric}"
        self.say("ScalingActive", "True", "ValidMetricFound", message)
        return outcome

    async def _write(self, current: int, desired: int, statuses: list[JSON] | None, rescaled: bool) -> None:
        before = self.autoscaler.get("status") or {}
        status: JSON = {"currentReplicas": current, "desiredReplicas": desired, "conditions": self.conditions}
        status["currentMetrics"] = statuses if statuses is not None else before.get("currentMetrics")
        if rescaled:
            status["lastScaleTime"] = format_time(now())
        elif before.get("lastScaleTime"):
            status["lastScaleTime"] = before["lastScaleTime"]
        if _shown(status) == _shown(before):
            return
        try:
            await self.controller.autoscalers.update_status({**self.autoscaler, "status": status})
        except ApiStatusError as error:
            # The next round sees what came between.
            if error.code not in (404, 409):
                raise


def _shown(status: JSON) -> JSON:
    return {key: value for key, value in status.items() if value}

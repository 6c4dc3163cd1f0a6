"""``holoscan.conditions``."""

from __future__ import annotations

import enum
from typing import Any

import penstock as ps

from .core import Condition, IOSpec, SchedulingStatusType

AsynchronousEventState = enum.Enum("AsynchronousEventState", "READY WAIT EVENT_WAITING EVENT_DONE EVENT_NEVER")
PeriodicConditionPolicy = enum.Enum(
    "PeriodicConditionPolicy", "CATCH_UP_MISSED_TICKS MIN_TIME_BETWEEN_TICKS NO_CATCH_UP_MISSED_TICKS"
)


def _milliseconds(time: Any) -> float:
    return float(time.total_seconds() * 1e3 if hasattr(time, "total_seconds") else time / 1e6)


class CountCondition(Condition):
    """So many times, then the operator ends."""

    fields = {"count": 1}

    def apply(self, inputs: dict[str, IOSpec], words: dict[str, Any]) -> None:
        words["count"] = self.count


class PeriodicCondition(Condition):
    """Once in a period: nanoseconds, or a timedelta."""

    fields = {"recess_period": 0, "policy": PeriodicConditionPolicy.CATCH_UP_MISSED_TICKS}

    def apply(self, inputs: dict[str, IOSpec], words: dict[str, Any]) -> None:
        words["every_ms"] = _milliseconds(self.recess_period)


class BooleanCondition(Condition):
    """The operator ends when it is disabled."""

    fields = {"is_enabled": True}

    def __init__(self, *args: Any, **words: Any) -> None:
        enabled = {"is_enabled": words.pop("enable_tick")} if "enable_tick" in words else {}
        super().__init__(*args, **enabled, **words)

    def enable_tick(self) -> None:
        self.is_enabled = True

    def disable_tick(self) -> None:
        self.is_enabled = False

    def check_tick_enabled(self) -> bool:
        return self.is_enabled

    def check(self, timestamp: int) -> Any:
        return SchedulingStatusType.READY if self.is_enabled else SchedulingStatusType.NEVER, None


class AsynchronousCondition(Condition):
    """When another thread says so: ``event_state``."""

    event_state = AsynchronousEventState.READY

    def check(self, timestamp: int) -> Any:
        states = {AsynchronousEventState.READY: "READY", AsynchronousEventState.EVENT_DONE: "READY"}
        states[AsynchronousEventState.EVENT_NEVER] = "NEVER"
        return SchedulingStatusType[states.get(self.event_state, "WAIT_EVENT")], None


class MessageAvailableCondition(Condition):
    """When ``min_size`` messages are there."""

    fields = {"min_size": 1, "front_stage_max_size": 1, "receiver": None}

    def apply(self, inputs: dict[str, IOSpec], words: dict[str, Any]) -> None:
        for port in _ports(self, inputs, self.receiver):
            port.condition(None, min_size=self.min_size)


class DownstreamMessageAffordableCondition(Condition):
    """When there is room, which Penstock's operators wait for in any case."""

    fields = {"min_size": 1, "transmitter": None}


class ExpiringMessageAvailableCondition(Condition):
    """When ``max_batch_size`` messages are there, or the first is ``max_delay_ns`` old."""

    fields = {"max_batch_size": 1, "max_delay_ns": 0, "clock": None, "receiver": None}

    def apply(self, inputs: dict[str, IOSpec], words: dict[str, Any]) -> None:
        words |= {"batch": self.max_batch_size, "max_delay_ms": _milliseconds(self.max_delay_ns)}


class CudaStreamCondition(Condition):
    """When the work behind the messages is complete."""

    fields = {"receiver": None, "receivers": None, "check_all_messages": True}

    def apply(self, inputs: dict[str, IOSpec], words: dict[str, Any]) -> None:
        if (self.receiver is None) == (self.receivers is None):
            raise ps.GraphError(f"{self.name}: one of receiver= and receivers= is needed, not both")
        for port in _ports(self, inputs, self.receiver or self.receivers):
            port.words["host"] = True


def _ports(condition: Condition, inputs: dict[str, IOSpec], names: Any) -> list[IOSpec]:
    names = list(inputs) if names is None and len(inputs) == 1 else [names] if isinstance(names, str) else names or ()
    if not names or not inputs.keys() >= set(names):
        raise ps.GraphError(f"{condition.name}: no input {names!r}; there are {', '.join(inputs) or 'none'}")
    return [inputs[name] for name in names]

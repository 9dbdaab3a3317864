"""When a person is told: once when something is wrong, again while it still is, once when it is over. Pure.

An incident opens when a verdict calls for as many ticks in a row as it asks for, and is over when it has been well for
two. One that comes back within `FLAP_MS` has to be well for longer each time: what flaps is told twice, not all night.
An alert stays in the outbox until a channel has taken it: see `ta_pipeline.monitoring.channels`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from ta_pipeline.instants import rfc3339
from ta_pipeline.monitoring.verdicts import Verdict

REMINDER_MS = 30 * 60_000
CALM_TICKS, MOST_CALM_TICKS = 2, 16
FLAP_MS = 15 * 60_000
HELP = "docs/alerts.md"
"""What each alert means and what to do: a section for each, under its name."""
MOST_ALERTS = 100
"""Waiting for a channel that does not take them; the oldest are let go."""

Kind = Literal["opened", "reminder", "resolved"]


@dataclass(frozen=True)
class Alert:
    """What a person is told. Times are epoch milliseconds; `id` is the same for all alerts of one incident."""

    kind: Kind
    name: str
    state: str
    message: str
    since_ms: int
    at_ms: int
    times: int = 1
    """How often it has come back, this time included, shortly after it was over."""

    @property
    def id(self) -> str:
        """Of the incident."""
        return f"{self.name}-{self.since_ms}"

    @property
    def text(self) -> str:
        """One line."""
        minutes = (self.at_ms - self.since_ms) / 60_000
        again = f" (time {self.times} in a short while)" if self.times > 1 else ""
        match self.kind:
            case "opened":
                return f"{self.name} is {self.state}{again}: {self.message}"
            case "reminder":
                return f"{self.name} is still {self.state}, for {minutes:.0f} min now: {self.message}"
            case _:
                return f"{self.name} is well again after {minutes:.0f} min: {self.message}"

    def to_dict(self, deployment: str) -> dict[str, Any]:
        """What is posted; `text` is what chat services show."""
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "message": self.message,
            "since": rfc3339(self.since_ms / 1_000),
            "at": rfc3339(self.at_ms / 1_000),
            "deployment": deployment,
            "text": f"[{deployment}] {self.text}",
            "help": f"{HELP}#{self.name}",
        }


@dataclass(frozen=True)
class Incident:
    """One that is open, or was lately (`over_ms`)."""

    since_ms: int
    told_ms: int
    """When a person was last told."""
    calm: int = 0
    """Ticks in a row in which it was well."""
    times: int = 1
    over_ms: int | None = None

    @property
    def calm_needed(self) -> int:
        """Ticks it has to be well for, to be over."""
        return int(min(CALM_TICKS * 2 ** (self.times - 1), MOST_CALM_TICKS))


@dataclass(frozen=True)
class IncidentState:
    """What is remembered from one tick to the next."""

    troubled: Mapping[str, int] = field(default_factory=dict)
    """Ticks in a row in which a verdict called, by its name."""
    incidents: Mapping[str, Incident] = field(default_factory=dict)
    outbox: tuple[Alert, ...] = ()

    @property
    def open(self) -> dict[str, Incident]:
        """Those that are not over."""
        return {name: incident for name, incident in self.incidents.items() if incident.over_ms is None}

    def without(self, delivered: Iterable[Alert]) -> IncidentState:
        """After these have been delivered."""
        gone = set(delivered)
        return dataclasses.replace(self, outbox=tuple(alert for alert in self.outbox if alert not in gone))

    def to_json(self) -> dict[str, Any]:
        """For a cursor."""
        return {
            "troubled": dict(self.troubled),
            "incidents": {name: dataclasses.astuple(incident) for name, incident in self.incidents.items()},
            "outbox": [dataclasses.astuple(alert) for alert in self.outbox],
        }

    @classmethod
    def from_json(cls, found: Any) -> Self:
        """From `to_json`.

        Raises:
            ValueError: it is something else.
        """
        try:
            return cls(
                {str(name): int(ticks) for name, ticks in found["troubled"].items()},
                {str(name): Incident(*fields) for name, fields in found["incidents"].items()},
                tuple(Alert(*fields) for fields in found["outbox"]),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not the state of incidents: {error!r}") from None


def advance(
    state: IncidentState, verdicts: Iterable[Verdict], now_ms: int, reminder_ms: int = REMINDER_MS
) -> tuple[IncidentState, list[Alert]]:
    """The next state, and what a person is told now; these are in the outbox of the state too.

    Args:
        state: of the tick before.
        verdicts: of this tick. One that is not among them any more ends its incident.
        now_ms: epoch milliseconds.
        reminder_ms: an incident that is still open is told again after this.
    """
    troubled: dict[str, int] = {}
    incidents: dict[str, Incident] = {}
    alerts: list[Alert] = []
    known = set()
    for verdict in verdicts:
        name = verdict.name
        known.add(name)
        before = _recent(state.incidents.get(name), now_ms)
        ticks = state.troubled.get(name, 0)
        if verdict.calls:
            ticks += 1
        elif not verdict.caused_by:
            ticks = 0
        if ticks:
            troubled[name] = ticks
        incident, alert = _step(verdict, before, ticks, now_ms, reminder_ms)
        if incident is not None:
            incidents[name] = incident
        if alert is not None:
            alerts.append(alert)
    for name, incident in state.open.items():
        if name not in known:
            alerts.append(Alert("resolved", name, "unknown", "it is not watched any more", incident.since_ms, now_ms))
    outbox = (*state.outbox, *alerts)[-MOST_ALERTS:]
    return IncidentState(troubled, incidents, outbox), alerts


def _step(
    verdict: Verdict, incident: Incident | None, ticks: int, now_ms: int, reminder_ms: int
) -> tuple[Incident | None, Alert | None]:
    """One verdict's incident after this tick, and what is told of it."""
    kind: Kind | None = None
    if incident is None or incident.over_ms is not None:
        if verdict.calls and ticks >= verdict.ticks:
            kind = "opened"
            incident = Incident(now_ms, now_ms, times=incident.times + 1 if incident else 1)
    elif verdict.calls:
        incident = dataclasses.replace(incident, calm=0)
        if now_ms - incident.told_ms >= reminder_ms:
            kind = "reminder"
            incident = dataclasses.replace(incident, told_ms=now_ms)
    elif not verdict.caused_by:  # else nobody knows: neither is it over, nor is there news
        incident = dataclasses.replace(incident, calm=incident.calm + 1)
        if incident.calm >= incident.calm_needed:
            kind = "resolved"
            incident = dataclasses.replace(incident, over_ms=now_ms)
    if incident is None or kind is None:
        return incident, None
    alert = Alert(kind, verdict.name, verdict.state, verdict.message, incident.since_ms, now_ms, incident.times)
    return incident, alert


def _recent(incident: Incident | None, now_ms: int) -> Incident | None:
    """The incident, unless it has been over for long."""
    if incident is not None and incident.over_ms is not None and now_ms - incident.over_ms > FLAP_MS:
        return None
    return incident

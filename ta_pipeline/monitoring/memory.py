"""What a sensor remembers from one tick to the next: history, incidents, and what it has told its catalog. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import orjson

from ta_pipeline.monitoring.history import History
from ta_pipeline.monitoring.incidents import IncidentState
from ta_pipeline.monitoring.verdicts import Verdict

VERSION = 2
AGAIN_MS = 60_000
"""The numbers of a verdict that is not well, and of everything together, are told once a minute."""
WELL_AGAIN_MS = 600_000
"""A verdict that is well and stays so: told this often, so that the catalog shows that it is still judged. Once a
minute would be 30,000 events a day, for some twenty verdicts."""


@dataclass(frozen=True)
class Memory:
    """It fits into a sensor's cursor.

    Attributes:
        history: counters of the last minutes.
        incidents: what is open, and what waits to be delivered.
        told: by verdict, the state that was told last, and when.
        observed_ms: when all numbers together were told last.
        revision: of the job, when they were told.
    """

    history: History = field(default_factory=History)
    incidents: IncidentState = field(default_factory=IncidentState)
    told: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    observed_ms: int = 0
    revision: int | None = None

    def of_revision(self, number: int | None) -> Self:
        """For a revision of the job; of another one nothing has been told: its materialization outdates what was."""
        return self if number == self.revision else dataclasses.replace(self, told={}, revision=number)

    def to_text(self) -> str:
        """For a cursor."""
        return orjson.dumps(
            {
                "version": VERSION,
                "history": self.history.to_json(),
                "incidents": self.incidents.to_json(),
                "told": dict(self.told),
                "observed_ms": self.observed_ms,
                "revision": self.revision,
            }
        ).decode()

    @classmethod
    def of_text(cls, text: str | None) -> Self:
        """From a cursor; None or an empty one is a fresh memory.

        Raises:
            ValueError: it is not of this version, or no memory at all.
        """
        if not text:
            return cls()
        found = orjson.loads(text)
        if not isinstance(found, dict) or found.get("version") != VERSION:
            raise ValueError(f"not a memory of version {VERSION}: {text[:60]!r}")
        try:
            return cls(
                History.from_json(found["history"]),
                IncidentState.from_json(found["incidents"]),
                {str(name): (str(state), int(at_ms)) for name, (state, at_ms) in found["told"].items()},
                int(found["observed_ms"]),
                found.get("revision"),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a memory: {error!r}") from None

    def to_tell(self, verdicts: Iterable[Verdict], now_ms: int) -> list[Verdict]:
        """Those whose state has changed, or was told too long ago."""
        return [verdict for verdict in verdicts if self._is_due(verdict, now_ms)]

    def _is_due(self, verdict: Verdict, now_ms: int) -> bool:
        state, at_ms = self.told.get(verdict.name, ("", 0))
        after_ms = WELL_AGAIN_MS if verdict.is_well else AGAIN_MS
        return state != verdict.state or now_ms - at_ms >= after_ms

    def observes(self, told: Iterable[Verdict], now_ms: int) -> bool:
        """Whether all numbers together are to be told now: a verdict has changed, or a minute has passed."""
        changed = any(self.told.get(verdict.name, ("", 0))[0] != verdict.state for verdict in told)
        return changed or now_ms - self.observed_ms >= AGAIN_MS

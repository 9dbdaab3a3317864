"""From one step of a rollout to the next; pure but for the time."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, TypeVar

from ta_pipeline.errors import RolloutError
from ta_pipeline.rollout.journal import Rollout, Step

_T = TypeVar("_T")


def at(rollout: Rollout, step: Step, **changes: Any) -> Rollout:
    """The rollout at its next step, with what became known."""
    return dataclasses.replace(rollout, step=step, **changes)


def failed(rollout: Rollout, error: str) -> Rollout:
    """It ends here; `error` says why, and what runs now."""
    return at(rollout, "failed", error=error)


def returning(rollout: Rollout, error: str) -> Rollout:
    """The new version is given up."""
    return at(rollout, "returning", error=error, returning_since=time.time())


def noted(rollout: Rollout, value: _T | None) -> _T:
    """What the journal has by now.

    Raises:
        RolloutError: it has not: somebody else has written it.
    """
    if value is None:
        raise RolloutError(f"the journal of the {rollout.kind} {rollout.id} is {rollout.step} without what that needs")
    return value


def joined(*notes: str) -> str:
    """Notes in one line; empty ones are left out."""
    return " ".join(filter(None, notes))

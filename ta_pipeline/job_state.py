"""Whether a version of the job can take over a saved state without loss: both as values, and the reasons against it.

Flink finds an operator's state by the id it makes of the operator's uid, and within it a state by its name. State for
which the new job has no operator is refused, or dropped when that is allowed; a state of a name that the code does not
bind is kept unseen and lost to it; bytes of an unknown layout fail the job at the first row of a symbol. None of this
needs a cluster to be known: `ta_pipeline.state_reader` gets both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FUNCTION = "signals"
"""Uid of the operator whose states have versions of ours."""
WITHOUT = "or roll out without this state, with a declared warm-up"
_KEY_VALUE = frozenset({"value", "map", "list", "reducing", "aggregating"})
_NAMED = 4


@dataclass(frozen=True)
class StateVersion:
    """The layout version that a version of the job writes, and the older ones it reads too."""

    version: int
    loads: tuple[int, ...] = ()

    def reads(self, version: int) -> bool:
        """Whether bytes of that version can be taken over."""
        return version == self.version or version in self.loads


@dataclass(frozen=True)
class JobManifest:
    """What one version of the job is, as far as saved state goes (flink/manifest.py writes it).

    Attributes:
        name: of the job on its cluster.
        parallelism: of the job.
        max_parallelism: the number of key groups.
        operators: uid to operator id, 32 hex digits.
        max_parallelisms: uid to max parallelism, where it is not the job's: such operators never scale.
        states: `uid/state`, or `uid/state/part`, to its version.
    """

    name: str
    parallelism: int
    max_parallelism: int
    operators: Mapping[str, str]
    max_parallelisms: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, StateVersion] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> JobManifest:
        """From the manifest's JSON."""
        states = {name: StateVersion(one["version"], tuple(one["loads"])) for name, one in values["states"].items()}
        return cls(**{**values, "states": states})

    @property
    def versions(self) -> dict[str, int]:
        """What the record of a rollout keeps: every state's version."""
        return {name: state.version for name, state in self.states.items()}


@dataclass(frozen=True)
class KeyedState:
    """One keyed state of an operator: its kind (value, map, priority_queue, ...) and its serializer's snapshot."""

    kind: str
    serializer: str


@dataclass(frozen=True)
class OperatorState:
    """What a saved state has of one operator.

    Attributes:
        id: 32 hex digits.
        uid: as the job set it; None when the metadata does not say it.
        name: of the operator; None when the metadata does not say it.
        parallelism: it ran with.
        max_parallelism: its number of key groups.
        has_state: a job without this operator is refused by Flink.
        bytes: of all its state.
        keyed_states: by name, timers among them.
        operator_states: names.
        unreadable: why names of keyed states may be missing; empty: none is.
    """

    id: str
    uid: str | None
    name: str | None
    parallelism: int
    max_parallelism: int
    has_state: bool
    bytes: int
    keyed_states: Mapping[str, KeyedState] = field(default_factory=dict)
    operator_states: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> OperatorState:
        """From the reader's JSON."""
        keyed = {name: KeyedState(**one) for name, one in values["keyed_states"].items()}
        lists = {name: tuple(values[name]) for name in ("operator_states", "unreadable")}
        return cls(**{**values, **lists, "keyed_states": keyed})

    @property
    def label(self) -> str:
        """How to call it: the uid if it is known, else the name or the id."""
        return self.uid or (f"{self.name} ({self.id})" if self.name else self.id)

    @property
    def names(self) -> list[str]:
        """The states that hold values of its own: timers and the like are not among them."""
        return sorted(name for name, state in self.keyed_states.items() if state.kind in _KEY_VALUE)


@dataclass(frozen=True)
class SavedState:
    """A savepoint or a retained checkpoint."""

    uri: str
    checkpoint_id: int
    operators: tuple[OperatorState, ...]

    @property
    def bytes(self) -> int:
        """Of the state of all operators."""
        return sum(operator.bytes for operator in self.operators)

    def operator(self, uid: str) -> OperatorState | None:
        """The operator of this uid; None when the metadata names none."""
        return next((operator for operator in self.operators if operator.uid == uid), None)


def incompatibilities(manifest: JobManifest, saved: SavedState, recorded: Mapping[str, int]) -> list[str]:
    """Every reason why the new job could not take over that state without loss; empty when it can. Pure.

    Args:
        manifest: of the new job.
        saved: what it would be restored from.
        recorded: versions of the states, from the record of the revision that took it; see `JobManifest.versions`.
    """
    return [
        *_dropped(manifest, saved),
        *_key_groups(manifest, saved),
        *_names(manifest, saved),
        *_versions(manifest, saved, recorded),
    ]


def notes(manifest: JobManifest, saved: SavedState, recorded: Mapping[str, int]) -> list[str]:
    """What is worth knowing about restoring that state, and no reason against it. Pure."""
    said = []
    known = {operator.id for operator in saved.operators}
    if new := sorted(uid for uid, one in manifest.operators.items() if one not in known):
        said.append(f"{_listed(new)}: not in {saved.uri}; what of it has state starts empty")
    function = _function(manifest, saved)
    if function:
        bound = {_state(name) for name in manifest.states}
        if empty := sorted(bound - set(function.names) - {""}):
            said.append(f"{FUNCTION}: {_listed(empty)} not in {saved.uri}; it starts empty")
        if unknown := [name for name in function.names if f"{FUNCTION}/{name}" not in recorded]:
            said.append(f"{FUNCTION}: no version is recorded for {_listed(unknown)} in {saved.uri}; taken as readable")
    return said


def _dropped(manifest: JobManifest, saved: SavedState) -> list[str]:
    wanted = set(manifest.operators.values())
    return [
        f"{operator.label}: {_contents(operator)} in {saved.uri}, and no operator of {manifest.name} has its id "
        f"{operator.id}: the state would be dropped; give the operator its old uid back, {WITHOUT}"
        for operator in saved.operators
        if operator.has_state and operator.id not in wanted
    ]


def _key_groups(manifest: JobManifest, saved: SavedState) -> list[str]:
    uids = {one: uid for uid, one in manifest.operators.items()}
    differing: dict[tuple[int, int], list[str]] = {}
    too_few: dict[int, list[str]] = {}
    for operator in saved.operators:
        uid = uids.get(operator.id)
        if uid is None:
            continue
        wanted = manifest.max_parallelisms.get(uid, manifest.max_parallelism)
        if operator.max_parallelism != wanted:
            differing.setdefault((operator.max_parallelism, wanted), []).append(uid)
        if uid not in manifest.max_parallelisms and manifest.parallelism > operator.max_parallelism:
            too_few.setdefault(operator.max_parallelism, []).append(uid)
    return [
        f"max parallelism is {before} in {saved.uri} and {after} in {manifest.name} ({_listed(found)}): Flink refuses "
        f"the state; set TA_MAX_PARALLELISM={before}, {WITHOUT}"
        for (before, after), found in differing.items()
    ] + [
        f"parallelism {manifest.parallelism} of {manifest.name} is above the max parallelism {most} of {saved.uri} "
        f"({_listed(found)}): set TA_PARALLELISM to {most} or less"
        for most, found in too_few.items()
    ]


def _names(manifest: JobManifest, saved: SavedState) -> list[str]:
    function = _function(manifest, saved)
    if function is None:
        return []
    lost = [
        f"{FUNCTION}: state {name!r} is in {saved.uri}, and {manifest.name} does not declare it: it would never be "
        f"read again; declare it in ta_pipeline/signals/states.py, {WITHOUT}"
        for name in function.names
        if f"{FUNCTION}/{name}" not in manifest.states
    ]
    return lost + [
        f"{FUNCTION}: which states {saved.uri} has cannot be told ({reason}): restore it in a drill first"
        for reason in function.unreadable
    ]


def _versions(manifest: JobManifest, saved: SavedState, recorded: Mapping[str, int]) -> list[str]:
    function = _function(manifest, saved)
    present = function.names if function else []
    unread = {
        name: (version, manifest.states[name])
        for name, version in sorted(recorded.items())
        if name in manifest.states and _state(name) in present and not manifest.states[name].reads(version)
    }
    return [
        f"{name} has version {version} in {saved.uri}; {manifest.name} writes version {state.version} and reads "
        f"{', '.join(map(str, sorted({state.version, *state.loads})))}: the job would fail at the first row of a "
        f"symbol; roll out code that reads version {version}, {WITHOUT}"
        for name, (version, state) in unread.items()
        if name.rsplit("/", 1)[0] not in unread
    ]


def _function(manifest: JobManifest, saved: SavedState) -> OperatorState | None:
    wanted = manifest.operators.get(FUNCTION)
    return next((operator for operator in saved.operators if operator.id == wanted), None)


def _state(name: str) -> str:
    """The state's own name of `signals/state` or `signals/state/part`; empty for another operator's."""
    uid, _, rest = name.partition("/")
    return rest.split("/")[0] if uid == FUNCTION else ""


def _contents(operator: OperatorState) -> str:
    names = [*operator.names, *operator.operator_states]
    held = f" ({_listed(names)})" if names else ""
    return f"{operator.bytes:,} bytes of state{held}"


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")

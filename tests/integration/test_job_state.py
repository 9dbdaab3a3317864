"""What a saved state holds and whether a job fits it, with savepoints and checkpoints of the real job."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from ta_pipeline.errors import StateError
from ta_pipeline.job_state import JobManifest, SavedState, incompatibilities, notes
from ta_pipeline.local.runtime import LocalRuntime, drill_runtime
from ta_pipeline.s3 import list_keys, read_object, s3_client, split_uri, write_object
from ta_pipeline.settings import Settings
from ta_pipeline.state_reader import METADATA, describe_job, read_state
from tests.jobs import Message, committed, running_job, send, without_ingest
from tests.messages import trade
from tests.stack import Record, RunningStack, variables_of

SYMBOLS = 4_000
"""So many that their state is a file of its own, and not within the metadata."""
NEW = f"S{SYMBOLS:05d}"
"""The first symbol that is traded after the savepoint."""
STATES = ["held", "indicators_1m", "indicators_1s", "seconds", "symbol"]


@dataclass(frozen=True)
class Running:
    """The job, and what was saved of it while it runs on."""

    settings: Settings
    runtime: LocalRuntime
    manifest: JobManifest
    savepoint: SavedState

    @property
    def recorded(self) -> dict[str, int]:
        """As the record of its rollout has it."""
        return self.manifest.versions


@pytest.fixture(scope="module")
def running(stack: RunningStack) -> Iterator[Running]:
    settings = stack.own_settings(startup_mode="earliest", checkpoint_interval_ms=5_000)
    send(stack, settings, _trades(SYMBOLS))
    with ThreadPoolExecutor() as pool:
        manifest = pool.submit(describe_job, settings, stack.local)
        with running_job(stack, settings) as runtime:
            committed(stack, settings, settings.bars_topic, lambda found: len(found) >= SYMBOLS)
            savepoint = read_state(settings, runtime.savepoint(), stack.local)
            yield Running(settings, runtime, manifest.result(), savepoint)


def test_every_operator_of_a_savepoint_is_in_the_manifest_under_its_uid_and_id(running: Running) -> None:
    stateful = [operator for operator in running.savepoint.operators if operator.has_state]
    assert {"signals", "trades_log.source", "trades_log.deduplicate", "final.window", "bars_sink.sink"} <= {
        operator.uid for operator in stateful
    }
    for operator in running.savepoint.operators:
        assert operator.uid is not None
        assert running.manifest.operators[operator.uid] == operator.id
        assert operator.max_parallelism == running.manifest.max_parallelisms.get(operator.uid, 128)


def test_the_functions_states_are_in_the_savepoint_by_the_names_that_the_code_declares(running: Running) -> None:
    signals = running.savepoint.operator("signals")
    assert signals is not None
    assert signals.names == STATES
    assert {signals.keyed_states[name].kind for name in STATES} == {"value", "map"}
    assert signals.bytes > 1 << 20
    assert [operator.unreadable for operator in running.savepoint.operators if operator.unreadable] == []


def test_a_job_fits_its_own_savepoint_and_its_newest_checkpoint(stack: RunningStack, running: Running) -> None:
    (status,) = running.runtime.status()
    assert status.checkpoint_path is not None
    checkpoint = read_state(running.settings, status.checkpoint_path, stack.local)
    assert {operator.id for operator in checkpoint.operators} == {one.id for one in running.savepoint.operators}
    for saved in (running.savepoint, checkpoint):
        assert incompatibilities(running.manifest, saved, running.recorded) == []
        assert notes(running.manifest, saved, running.recorded) == []


def test_a_job_that_lost_a_uid_a_state_or_its_key_groups_does_not_fit_and_is_told_why(running: Running) -> None:
    manifest, uri = running.manifest, running.savepoint.uri

    def reasons(**changes: object) -> list[str]:
        return incompatibilities(replace(manifest, **changes), running.savepoint, running.recorded)  # type: ignore[arg-type]

    (reason,) = reasons(operators={u: i for u, i in manifest.operators.items() if u != "trades_log.deduplicate"})
    assert reason.startswith("trades_log.deduplicate: ")
    assert f"bytes of state (numbers) in {uri}, and no operator of {manifest.name} has its id" in reason
    (reason,) = reasons(max_parallelism=64)
    assert reason.startswith(f"max parallelism is 128 in {uri} and 64 in {manifest.name} (")
    (reason,) = reasons(states={name: one for name, one in manifest.states.items() if name != "signals/held"})
    assert reason.startswith(f"signals: state 'held' is in {uri}, and {manifest.name} does not declare it")


def test_a_state_that_is_not_there_not_whole_or_damaged_is_an_error_that_names_it(
    stack: RunningStack, running: Running
) -> None:
    settings, uri = running.settings, running.savepoint.uri
    client, base = s3_client(settings), f"{running.settings.savepoint_dir}/damaged"
    bucket, prefix = split_uri(uri)
    metadata = read_object(client, f"{uri}/{METADATA}")
    (file,) = [key for key in list_keys(client, f"{uri}/") if not key.endswith(METADATA)]
    content = read_object(client, f"s3a://{bucket}/{file}")
    name = file.removeprefix(f"{prefix}/")

    def damaged(to: str, **files: bytes) -> str:
        for path, data in files.items():
            write_object(client, f"{base}/{to}/{path}", data)
        return f"{base}/{to}"

    def read(at: str) -> SavedState:
        return read_state(settings, at, stack.local)

    with pytest.raises(StateError, match=f"no savepoint or checkpoint at {base}/nothing"):
        read(f"{base}/nothing")
    with pytest.raises(StateError, match=f"{base}/cut cannot be read, .*{METADATA}"):
        read(damaged("cut", **{METADATA: metadata[: len(metadata) // 2], name: content}))
    with pytest.raises(StateError, match=f"{base}/lacking is not whole: {name}"):
        read(damaged("lacking", **{METADATA: metadata}))
    with pytest.raises(StateError, match=f"{base}/short is not whole: {name}"):
        read(damaged("short", **{METADATA: metadata, name: content[:-1]}))
    assert replace(read(damaged("copied", **{METADATA: metadata, name: content})), uri=uri) == running.savepoint


def test_a_drill_goes_on_from_the_savepoint_of_a_running_job_and_leaves_its_transactions_alone(
    stack: RunningStack, running: Running
) -> None:
    inputs = {name: getattr(running.settings, name) for name in type(running.settings).model_fields}
    inputs = {name: inputs[name] for name in inputs if inputs[name] in running.settings.input_topics}
    settings = stack.own_settings(**inputs, checkpoint_interval_ms=1_000)
    runtime = drill_runtime(settings, variables_of(settings), stack.local)
    try:
        runtime.deploy(restore_from=running.savepoint.uri, allow_non_restored=True)
        send(stack, running.settings, _trades(20, first=SYMBOLS))
        drilled = committed(stack, settings, settings.bars_topic, lambda found: len(found) >= 20)
        produced = committed(stack, running.settings, running.settings.bars_topic, lambda found: _new(found) >= 20)
    finally:
        runtime.cancel()
    # The drill has the state of the savepoint: it emits nothing of before again.
    assert without_ingest(drilled) == without_ingest(bar for bar in produced if bar["symbol"] >= NEW)
    (status,) = running.runtime.status()
    assert (status.state, status.restarts) == ("RUNNING", 0)


def _new(records: Sequence[Record]) -> int:
    return sum(record.key is not None and record.key >= NEW for record in records)


def _trades(symbols: int, first: int = 0) -> list[Message]:
    now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return [trade(number, 0, 10.0, t=now, S=f"S{number:05d}") for number in range(first, first + symbols)]

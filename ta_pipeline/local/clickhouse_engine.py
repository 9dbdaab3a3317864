"""The ClickHouse engine of chdb, asked by many clients: sessions, settings, and errors with their codes."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chdb.session import Session

from ta_pipeline.local.clickhouse_statement import Statement, output_format

_CODE = re.compile(r"Code: (\d+)\.")
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_.]*$")
UNKNOWN_EXCEPTION = 1002
UNKNOWN_SETTING = 115
SESSION_NOT_FOUND = 372


class EngineError(Exception):
    """The engine refused a statement; `code` is ClickHouse's."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True)
class Answer:
    """Result of one statement."""

    data: bytes
    format: str
    rows_read: int
    bytes_read: int
    rows_written: int
    bytes_written: int
    elapsed_seconds: float


@dataclass(frozen=True)
class Request:
    """One statement and the context it runs in."""

    statement: Statement
    database: str = ""
    default_format: str = "TabSeparated"
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    session_id: str = ""
    session_timeout_seconds: float = 60.0
    session_must_exist: bool = False


@dataclass
class _Held:
    session: Session
    expires: float
    lock: threading.Lock = field(default_factory=threading.Lock)


class Engine:
    """The engine over one data directory; of one process only, safe to use from many threads."""

    def __init__(self, data: Path, clock: Callable[[], float] = time.monotonic) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._path = str(data)
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}
        # The engine lives as long as one session does.
        self._root = Session(self._path)

    def run(self, request: Request) -> Answer:
        """Run one statement.

        Raises:
            EngineError: the engine refused it.
        """
        with self._session(request) as session:
            try:
                return _run(session, request)
            except RuntimeError as error:
                raise _engine_error(error) from None

    def close(self) -> None:
        """Close all sessions; the data is on disk."""
        with self._lock:
            for held in self._held.values():
                held.session.close()
            self._held.clear()
            self._root.close()

    @contextlib.contextmanager
    def _session(self, request: Request) -> Iterator[Session]:
        if not request.session_id:
            session = Session(self._path)
            try:
                yield session
            finally:
                session.close()
            return
        held = self._hold(request)
        with held.lock:
            yield held.session

    def _hold(self, request: Request) -> _Held:
        now = self._clock()
        with self._lock:
            for name, held in list(self._held.items()):
                if held.expires < now and not held.lock.locked():
                    held.session.close()
                    del self._held[name]
            held_now = self._held.get(request.session_id)
            if held_now is None:
                if request.session_must_exist:
                    raise EngineError(SESSION_NOT_FOUND, f"Code: {SESSION_NOT_FOUND}. DB::Exception: Session not found")
                held_now = self._held[request.session_id] = _Held(Session(self._path), now)
            held_now.expires = now + request.session_timeout_seconds
            return held_now


def _run(session: Session, request: Request) -> Answer:
    if request.database:
        session.query(f"USE {_quote_name(request.database)}")
    with _settings(session, request.settings):
        statement = request.statement
        if statement.data is not None:
            return _insert(session, statement)
        format_name = output_format(statement.sql, request.default_format)
        # The engine knows TabSeparated where HTTP clients may leave the format out.
        result = session.query(statement.sql, format_name, params=dict(request.parameters) or None)
        return Answer(
            data=result.bytes(),
            format=format_name,
            rows_read=result.rows_read(),
            bytes_read=result.bytes_read(),
            rows_written=result.rows_written(),
            bytes_written=result.bytes_written(),
            elapsed_seconds=result.elapsed(),
        )


def _insert(session: Session, statement: Statement) -> Answer:
    with session.send_insert(statement.sql, statement.data_format) as inserter:
        inserter.append(statement.data)
        result = inserter.finish()
    return Answer(b"", "TabSeparated", 0, 0, result.rows_written, result.bytes_written, result.elapsed)


@contextlib.contextmanager
def _settings(session: Session, settings: Mapping[str, str]) -> Iterator[None]:
    """Settings of one request: in a kept session the ones before it come back."""
    if not settings:
        yield
        return
    for name in settings:
        if not _NAME.match(name):
            raise EngineError(UNKNOWN_SETTING, f"Code: {UNKNOWN_SETTING}. DB::Exception: Unknown setting {name!r}")
    before = {name: _setting(session, name) for name in settings}
    session.query("SET " + ", ".join(f"{name} = {_quote(value)}" for name, value in settings.items()))
    try:
        yield
    finally:
        session.query("SET " + ", ".join(f"{name} = {_quote(value)}" for name, value in before.items()))


def _setting(session: Session, name: str) -> str:
    answer: Any = session.query(f"SELECT toString(getSetting({_quote(name)}))", "TSVRaw")
    return str(answer.bytes().decode().removesuffix("\n"))


def _quote(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quote_name(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _engine_error(error: RuntimeError) -> EngineError:
    # Streaming inserts put a sentence of their own in front.
    text = str(error)
    match = _CODE.search(text)
    return EngineError(int(match[1]), text[match.start() :]) if match else EngineError(UNKNOWN_EXCEPTION, text)

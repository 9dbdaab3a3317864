"""The probe that runs all the time: what a reader of the output topics sees now, over HTTP.

    GET  /metrics     for Prometheus (ta_pipeline.probe_metrics)
    GET  /report      everything, as JSON (ta_pipeline.probe_window)
    POST /heartbeat   Dagster says that it runs, and what its verdicts are; /metrics tells both

It commits nothing and writes nothing. A broker that goes away is waited for; where reading cannot go on, and when a
topic has got more partitions, it begins anew at the end of the topics, with counts of zero. Run as
`python -m ta_pipeline.probe_server [HOST:PORT]`.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from ta_pipeline.decode import OutputDecoder
from ta_pipeline.errors import BadRecordError, SettingsError, TaError
from ta_pipeline.logs.output import log_to
from ta_pipeline.probe_around import Lookout, Tick, parse_tick
from ta_pipeline.probe_metrics import CONTENT_TYPE, Surroundings, metrics_text
from ta_pipeline.probe_window import ProbeWindow, WindowReport
from ta_pipeline.readers import Arrival, Arrivals, OutputReader
from ta_pipeline.settings import Settings, load_settings

LISTEN = "127.0.0.1:19251"
RETRY_SECONDS = 5.0
CONNECT_SECONDS = 5.0
_TAKE_SECONDS = 0.25
_REPORT_MS = 5_000
_LOOK_MS = 60_000
"""Between two looks for new partitions."""
_CLIENT_SECONDS = 5.0
"""A client that says nothing for this long is let go."""
_BODY_BYTES = 65_536
_log = logging.getLogger("ta.probe")


class ProbeServer:
    """Reads the output topics, and answers at `listen` (`host:port`).

    Raises:
        SettingsError: `listen` is not of that form, or the port is taken.
    """

    def __init__(self, settings: Settings, listen: str = LISTEN) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._window: ProbeWindow | None = None
        self._trouble: str | None = "not connected yet"
        self._alive_ms = _now_ms()
        self._tick: Tick | None = None
        self._lookout = Lookout(settings)
        host, _, port = listen.rpartition(":")
        if not host or not port.isdigit():
            raise SettingsError(f"the probe listens at HOST:PORT, like {LISTEN}, not at {listen!r}")
        try:
            self._http = ThreadingHTTPServer((host, int(port)), _handler(self))
        except (OSError, OverflowError) as error:
            raise SettingsError(f"the probe cannot listen at {listen}: {error}; choose another port") from None
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self._http.server_address[0]!s}:{self._http.server_port}"

    def run(self, stop: threading.Event) -> None:
        """Read and answer until `stop` is set."""
        threading.Thread(target=self._http.serve_forever, name="ta-probe-http", daemon=True).start()
        threading.Thread(target=self._lookout.run, args=(stop,), name="ta-probe-around", daemon=True).start()
        try:
            while not stop.is_set():
                self._go_round()
                try:
                    self._read(stop)
                except TaError as error:
                    self._lose(str(error))
                    stop.wait(RETRY_SECONDS)
        finally:
            self._http.shutdown()
            self._http.server_close()

    def beat(self, body: bytes = b"") -> None:
        """Dagster runs; `body` is what it says beside that (`ta_pipeline.probe_around.parse_tick`)."""
        try:
            told = orjson.loads(body) if body else None
        except orjson.JSONDecodeError:
            told = None
        tick = parse_tick(told, _now_ms())
        with self._lock:
            self._tick = tick.after(self._tick)

    def metrics(self) -> str:
        """What `/metrics` answers."""
        with self._lock:
            around = Surroundings(self._settings, self._lookout.around, self._tick, _now_ms())
            return metrics_text(self._report(), self._alive_ms, self._tick.at_ms if self._tick else None, around)

    def report(self) -> dict[str, Any]:
        """What `/report` answers."""
        with self._lock:
            seen = self._report()
            return {
                "reading": seen is not None,
                "trouble": self._trouble,
                "alive_ms": self._alive_ms,
                "dagster_heartbeat_ms": self._tick.at_ms if self._tick else None,
                "seen": seen.to_dict() if seen else None,
            }

    def _report(self) -> WindowReport | None:
        return self._window.report(_now_ms()) if self._window else None

    def _read(self, stop: threading.Event) -> None:
        settings = self._settings
        live = [settings.live_topic, *([settings.status_topic] if settings.status_topic else [])]
        readers = []
        # Final first: whatever is seen live from here on has its final record still to come.
        for topics, committed in (([settings.bars_topic, settings.signals_topic], True), (live, False)):
            readers.append(OutputReader(settings, topics, committed=committed, timeout_seconds=CONNECT_SECONDS))
        with OutputDecoder(settings) as decoder, Arrivals(readers) as arrivals:
            with self._lock:
                self._window, self._trouble = ProbeWindow(settings, _now_ms()), None
            _log.info("reading %s", ", ".join([settings.bars_topic, settings.signals_topic, *live]))
            reported_ms, looked_ms = 0, _now_ms()
            while not stop.is_set():
                batch = arrivals.take(_TAKE_SECONDS)
                with self._lock:
                    self._take(decoder, batch)
                    self._alive_ms, self._trouble = _now_ms(), arrivals.trouble
                    if self._alive_ms - reported_ms >= _REPORT_MS:
                        self._report()
                        reported_ms = self._alive_ms
                if _now_ms() - looked_ms >= _LOOK_MS:
                    looked_ms = _now_ms()
                    if any(reader.has_grown() for reader in readers):
                        _log.info("the topics have more partitions: beginning anew")
                        return

    def _take(self, decoder: OutputDecoder, batch: list[Arrival]) -> None:
        assert self._window is not None  # noqa: S101 - made before the first batch
        for arrival in batch:
            try:
                self._window.take(*decoder.decode(arrival.topic, arrival.value), arrival.now_ms)
            except BadRecordError as error:
                self._window.undecodable(error.reason)

    def _go_round(self) -> None:
        """One that waits for the broker is there, too."""
        with self._lock:
            self._alive_ms = _now_ms()

    def _lose(self, trouble: str) -> None:
        with self._lock:
            said, self._window, self._trouble = self._trouble, None, trouble
        if said != trouble:
            _log.warning("not reading: %s", trouble)


def _handler(server: ProbeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _CLIENT_SECONDS

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, server.metrics().encode(), CONTENT_TYPE)
            elif self.path == "/report":
                self._answer(200, orjson.dumps(server.report()), "application/json")
            else:
                self._answer(404, b"there are /metrics, /report and POST /heartbeat\n", "text/plain")

        def do_POST(self) -> None:
            if self.path == "/heartbeat":
                server.beat(self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _BODY_BYTES)))
                self._answer(204, b"", "text/plain")
            else:
                self._answer(404, b"there is POST /heartbeat\n", "text/plain")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has in the base class
            """Say nothing: it is asked every few seconds."""

        def _answer(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def serve(settings: Settings, listen: str = LISTEN) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: it cannot listen there.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    server = ProbeServer(settings, listen)
    _log.info("answering at %s/report and %s/metrics", server.url, server.url)
    server.run(stop)


def main() -> None:
    """Serve with the settings of the environment; the only argument is where to listen."""
    try:
        lines = log_to("probe")
        settings = load_settings()
        lines.hide(settings.without_secrets)
        serve(settings, *sys.argv[1:2])
    except TaError as error:
        _log.error("%s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()

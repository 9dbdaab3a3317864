"""ClickHouse's HTTP interface over the engine inside chdb: `python -m ta_pipeline.local.clickhouse_front CONFIG`.

No ClickHouse server can be had from a package registry, but its engine can. This front speaks as much of the HTTP
interface as clickhouse-connect, the official Java client and `curl` use: statements and data in URL and body, users,
databases, sessions, settings and query parameters, content codings and ClickHouse's own compressed blocks, all
formats, error codes. It is one process with one user; there is no native port, no cluster, no query log.
Definition: ClickHouse documentation, "HTTP interface".
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ta_pipeline.local.clickhouse_codec import CodecError, decode, decode_blocks, encode_blocks
from ta_pipeline.local.clickhouse_engine import Answer, Engine, EngineError, Request
from ta_pipeline.local.clickhouse_statement import split
from ta_pipeline.logs.output import log_to

log = logging.getLogger(__name__)

AUTHENTICATION_FAILED = 516
CANNOT_DECOMPRESS = 271
BAD_REQUEST_PARAMETER = 36
# Parameters of the protocol; every other parameter of the URL is a setting.
_PROTOCOL = {
    "query", "database", "user", "password", "default_format", "query_id", "session_id", "session_timeout",
    "session_check", "compress", "decompress", "client_protocol_version", "quota_key", "role", "buffer_size",
    "wait_end_of_query", "stacktrace", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
    "enable_http_compression", "http_response_headers",
}  # fmt: skip
# ClickHouse maps error codes to HTTP statuses (exceptionCodeToHTTPStatus); 500 for the rest.
_STATUS = {
    AUTHENTICATION_FAILED: 403, 192: 403, 193: 403, 497: 403,
    60: 404, 81: 404, 46: 404, 83: 404, 372: 404,
    62: 400, 36: 400, 27: 400, 33: 400, 26: 400, 47: 404, 53: 400, 70: 400, 72: 400, 115: 400, CANNOT_DECOMPRESS: 400,
}  # fmt: skip
_CONTENT_TYPES = {"JSON": "application/json; charset=UTF-8", "CSV": "text/csv; charset=UTF-8"}


@dataclass(frozen=True)
class Config:
    """What the front is told: where to listen, where the data is, who may ask."""

    host: str
    port: int
    data: Path
    user: str
    password: str


def application(config: Config) -> Starlette:
    """The HTTP application; opens the engine when it starts and closes it when it stops."""
    state: dict[str, Engine] = {}

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        state["engine"] = await run_in_threadpool(Engine, config.data)
        yield
        await run_in_threadpool(state["engine"].close)

    async def ping(_request: HttpRequest) -> Response:
        return PlainTextResponse("Ok.\n")

    async def statement(request: HttpRequest) -> Response:
        return await _serve(config, state["engine"], request)

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/ping", ping, methods=["GET", "HEAD"]),
            Route("/replicas_status", ping, methods=["GET", "HEAD"]),
            Route("/", statement, methods=["GET", "POST", "HEAD"]),
        ],
    )


async def _serve(config: Config, engine: Engine, request: HttpRequest) -> Response:
    query = dict(request.query_params)
    headers = {
        "X-ClickHouse-Query-Id": query.get("query_id") or str(uuid.uuid4()),
        "X-ClickHouse-Server-Display-Name": "chdb",
        "X-ClickHouse-Timezone": "UTC",
    }
    try:
        _authenticate(config, request.headers, query)
        body = await request.body()
        if request.method != "POST" and not query.get("query"):
            return PlainTextResponse("Ok.\n", headers=headers)
        asked = await run_in_threadpool(_parse, request.headers, query, body)
        answer = await run_in_threadpool(engine.run, asked)
        content = answer.data
        if query.get("compress") == "1":
            content = await run_in_threadpool(encode_blocks, content)
    except EngineError as error:
        return _failure(error, headers)
    headers["X-ClickHouse-Format"] = answer.format
    headers["X-ClickHouse-Summary"] = _summary(answer)
    return Response(content, headers=headers, media_type=_content_type(answer.format))


def _authenticate(config: Config, headers: Mapping[str, str], query: Mapping[str, str]) -> None:
    user, password = _credentials(headers, query)
    right_user = hmac.compare_digest(user.encode(), config.user.encode())
    right_password = hmac.compare_digest(password.encode(), config.password.encode())
    if not (right_user and right_password):
        raise EngineError(
            AUTHENTICATION_FAILED,
            f"Code: {AUTHENTICATION_FAILED}. DB::Exception: {user}: Authentication failed: password is incorrect, or "
            "there is no user with such name. (AUTHENTICATION_FAILED)",
        )


def _credentials(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str, str]:
    if "x-clickhouse-user" in headers:
        return headers["x-clickhouse-user"], headers.get("x-clickhouse-key", "")
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password
    return query.get("user", "default"), query.get("password", "")


def _parse(headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> Request:
    try:
        plain = decode(body, headers.get("content-encoding", ""))
        if query.get("decompress") == "1":
            plain = decode_blocks(plain)
    except CodecError as error:
        raise EngineError(CANNOT_DECOMPRESS, f"Code: {CANNOT_DECOMPRESS}. DB::Exception: {error}") from None
    default_format = query.get("default_format") or headers.get("x-clickhouse-format", "")
    try:
        statement = split(query.get("query", "").encode(), plain, default_format)
        timeout = float(query.get("session_timeout", "60"))
    except ValueError as error:
        raise EngineError(BAD_REQUEST_PARAMETER, f"Code: {BAD_REQUEST_PARAMETER}. DB::Exception: {error}") from None
    return Request(
        statement=statement,
        database=query.get("database") or headers.get("x-clickhouse-database", ""),
        default_format=default_format or "TabSeparated",
        settings={k: v for k, v in query.items() if k not in _PROTOCOL and not k.startswith("param_")},
        parameters={k.removeprefix("param_"): v for k, v in query.items() if k.startswith("param_")},
        session_id=query.get("session_id", ""),
        session_timeout_seconds=timeout,
        session_must_exist=query.get("session_check") == "1",
    )


def _failure(error: EngineError, headers: dict[str, str]) -> Response:
    log.warning("%s", str(error).splitlines()[0][:500])
    headers["X-ClickHouse-Exception-Code"] = str(error.code)
    return PlainTextResponse(f"{error}\n", status_code=_STATUS.get(error.code, 500), headers=headers)


def _summary(answer: Answer) -> str:
    numbers = {
        "read_rows": answer.rows_read,
        "read_bytes": answer.bytes_read,
        "written_rows": answer.rows_written,
        "written_bytes": answer.bytes_written,
        "total_rows_to_read": answer.rows_read,
        "result_rows": answer.rows_written,
        "result_bytes": answer.bytes_written or len(answer.data),
        "elapsed_ns": int(answer.elapsed_seconds * 1e9),
    }
    return json.dumps({name: str(value) for name, value in numbers.items()})


def _content_type(format_name: str) -> str:
    if format_name.startswith("JSON"):
        return _CONTENT_TYPES["JSON"]
    if format_name.startswith("CSV"):
        return _CONTENT_TYPES["CSV"]
    if format_name.startswith(("TabSeparated", "TSV", "Pretty", "Vertical")):
        return "text/tab-separated-values; charset=UTF-8"
    return "application/octet-stream"


def main() -> None:
    """Serve until SIGTERM; the only argument is the configuration file."""
    raw = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    config = Config(raw["host"], int(raw["port"]), Path(raw["data"]), raw["user"], raw["password"])
    log_to("clickhouse").hide(lambda text: text.replace(config.password, "**********") if config.password else text)
    uvicorn.run(
        application(config),
        host=config.host,
        port=config.port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=10,
        # clickhouse-connect keeps its connections for longer than uvicorn's five seconds and retries a POST on none.
        timeout_keep_alive=120,
    )


if __name__ == "__main__":
    main()

"""Broken records: good messages with one thing wrong, and what the contract says of each.

A fuzzer that knows the answer: every record is made by one named change of a good message, and the change says with
which reasons it may be rejected, and whether it may be accepted (`ACCEPTED`: it is used, or late, or a duplicate). That
comes from docs/market-semantics.md and from how the change was made; nothing here asks the job or its code. Changes of
bytes at random say `ANYTHING`: of those only the count is known.

What is accepted must not touch the results of good records: it has symbols of its own (`SYMBOLS`), and times that are
not newer than the good ones around it.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from ta_pipeline.envelope import Kind, wrap
from ta_pipeline.errors import BadRecordError
from tests.messages import bar_1m, cancel, correction, quote, status, trade

Message = dict[str, Any]
Encode = Callable[[Kind, Message], bytes]

ACCEPTED = "accepted"
REASONS = frozenset({
    "too_large", "malformed", "missing_payload", "missing_type", "unknown_type", "missing_symbol", "bad_symbol",
    "missing_timestamp", "bad_timestamp", "future_timestamp", "missing_price", "missing_size", "bad_price", "bad_size",
    "missing_id", "bad_exchange", "missing_status", "bad_status",
})  # fmt: skip
ANYTHING = REASONS | {ACCEPTED}
SYMBOLS = tuple(f"ZZ{number}" for number in range(40))
KINDS: tuple[Kind, ...] = ("trades", "trades", "trades", "trades", "quotes", "quotes", "bars_1m", "status")
MIB = 1 << 20
DEEP = 10_000

_LONG_AGO = datetime(1999, 9, 9, 9, 9, 9, tzinfo=UTC).timestamp()
"""For records whose bytes are changed at random: another digit is never a time around now."""


@dataclass(frozen=True, slots=True)
class Broken:
    """One record, where it goes, and what may become of it."""

    kind: Kind
    key: bytes | None
    value: bytes | None
    change: str
    outcome: frozenset[str]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that can be wrong with a message.

    Attributes:
        name: for whoever reads why a test failed.
        outcome: the reasons it may be rejected with, or `ACCEPTED`.
        make: changes the envelope in place, or gives another value in its stead.
        kinds: the topics it makes sense on.
        types: values of `T` it makes sense for; empty: all.
    """

    name: str
    outcome: frozenset[str]
    make: Callable[[Message, random.Random], Any]
    kinds: frozenset[str] = frozenset(KINDS)
    types: frozenset[str] = frozenset()


def good_message(kind: Kind, number: int, at: float, chosen: random.Random) -> Message:
    """A good message of a symbol of our own at `at` (epoch seconds)."""
    symbol, t = chosen.choice(SYMBOLS), text_of(at)
    price = round(chosen.uniform(5, 500), 2)
    match kind:
        case "trades":
            match chosen.randrange(8):
                case 0:
                    return cancel(chosen.randrange(1, number + 2), 0, S=symbol, t=t)
                case 1:
                    return correction(chosen.randrange(1, number + 2), number, 0, price, 5, S=symbol, t=t)
                case _:
                    return trade(number, 0, price, chosen.randrange(1, 500), S=symbol, t=t)
        case "quotes":
            return quote(0, price, price + 0.02, S=symbol, t=t)
        case "bars_1m":
            return bar_1m(0, price, chosen.choice("bu"), S=symbol, t=text_of(at // 60 * 60))
        case "status":
            return status(0, chosen.choice("HTQ"), S=symbol, t=t)


def text_of(epoch: float) -> str:
    """RFC 3339, milliseconds, UTC."""
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class BrokenRecords:
    """A seeded source of broken records; the same seed and times give the same records."""

    def __init__(self, seed: int, encode: Encode, *, avro: bool = False, huge: float = 0.001) -> None:
        """Make a source.

        Args:
            seed: of the random choices.
            encode: an envelope of a kind as the value of a record; raises `BadRecordError` for what does not fit.
            avro: values are Avro: bytes are broken in its way, and only what its schema can hold is changed in fields.
            huge: part of the records that are a MiB, or nested ten thousand times.
        """
        self._random = random.Random(seed)
        self._encode = encode
        self._avro = avro
        self._huge = huge
        self._number = 0
        self._bytes = _AVRO_BYTES if avro else _JSON_BYTES

    def take(self, count: int, at: float) -> Iterator[Broken]:
        """`count` records, none of a usable time after `at` (epoch seconds)."""
        made = 0
        while made < count:
            record = self._one(at)
            if record is not None:
                made += 1
                yield record

    def _one(self, at: float) -> Broken | None:
        chosen = self._random
        self._number += 1
        kind = chosen.choice(KINDS)
        key = chosen.choice([b"ZZ1", b"ZZ1", b"ZZ1", None, b"", b"\xff\x00", "💥".encode()])
        how = chosen.random()
        if how < self._huge:
            name, value, outcome = self._huge_one(kind, at)
            return Broken(kind, key, value, name, outcome)
        if how < 0.4:
            name, change, outcome = chosen.choice(self._bytes)
            message = good_message(kind, self._number, _LONG_AGO, chosen)
            value = self._encode(kind, wrap(message, seq=self._number, ingest_ts=message["t"]))
            return Broken(kind, key, change(value, chosen), name, outcome)
        message = good_message(kind, self._number, at, chosen)
        change = chosen.choice([c for c in CHANGES if kind in c.kinds and (not c.types or message["T"] in c.types)])
        envelope = wrap(dict(message), seq=self._number, ingest_ts=message["t"])
        instead = change.make(envelope, chosen)
        try:
            value = self._encode(kind, envelope) if instead is None else instead
        except BadRecordError:
            return None  # Avro has no way to say it
        if instead is not None and self._avro:
            return None
        return Broken(kind, key, value, change.name, change.outcome)

    def _huge_one(self, kind: Kind, at: float) -> tuple[str, bytes, frozenset[str]]:
        message = good_message(kind, self._number, at, self._random)
        envelope = wrap(message, seq=self._number, ingest_ts=message["t"])
        room = MIB - 1_000
        match self._random.randrange(5):
            case 0:
                envelope["feed"] = "x" * room
                return "a feed of a MiB", self._encode(kind, envelope), frozenset({"too_large"})
            case 1:
                envelope["symbol"] = "S" * room
                return "a symbol of a MiB", self._encode(kind, envelope), frozenset({"too_large"})
            case 2:
                return "a MiB of zero bytes", bytes(room), frozenset({"too_large"})
            case 3:
                return "a MiB of bytes that are no text", b"\xff" * room, frozenset({"too_large"})
            case _:
                return "half a MiB of brackets", b"[" * (room // 2), frozenset({"too_large"})


# ---- changes of fields: what both formats can say, and what only JSON can


def _set(path: str, value: Any) -> Callable[[Message, random.Random], None]:
    """Set `name` of the envelope, or `payload.name`; `...` takes the field out."""
    name = path.removeprefix("payload.")

    def make(envelope: Message, _chosen: random.Random) -> None:
        holder = envelope["payload"] if path.startswith("payload.") else envelope
        if value is ...:
            holder.pop(name, None)
        else:
            holder[name] = value

    return make


def _instead(value: Any) -> Callable[[Message, random.Random], Any]:
    return lambda _envelope, _chosen: value


def _raw(path: str, token: bytes) -> Callable[[Message, random.Random], bytes]:
    """The envelope as JSON with a token that no JSON library would write in the field's place."""
    mark = "\N{REPLACEMENT CHARACTER}raw"

    def make(envelope: Message, chosen: random.Random) -> bytes:
        _set(path, mark)(envelope, chosen)
        return orjson.dumps(envelope).replace(orjson.dumps(mark), token)

    return make


def _of(name: str, outcome: str | frozenset[str], make: Any, kinds: str = "", types: str = "") -> Change:
    outcomes = outcome if isinstance(outcome, frozenset) else frozenset(outcome.split())
    return Change(name, outcomes, make, frozenset(kinds.split() or KINDS), frozenset(types))


def _nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def _prices() -> Iterator[Change]:
    fields = {"p": ("trades", "t"), "cp": ("trades", "c"), "bp": ("quotes", "q"), "ap": ("quotes", "q")}
    fields |= dict.fromkeys(("o", "h", "l", "c"), ("bars_1m", "bu"))
    for field, (kind, types) in fields.items():
        path = f"payload.{field}"
        yield _of(f"{field} is not there", "missing_price", _set(path, ...), kind, types)
        yield _of(f"{field} is null", "missing_price", _set(path, None), kind, types)
        for value in (-1.0, -1e-9, 1e13, 1.7e308, float("inf"), float("-inf"), float("nan")):
            # Of JSON's own, an infinity and a NaN are null.
            reasons = frozenset({"bad_price", "missing_price"})
            yield _of(f"{field} is {value}", reasons, _set(path, value), kind, types)
        if kind != "quotes":
            for value in (0.0, -0.0, 0, 5e-324, 1e-13):
                yield _of(f"{field} is {value}", "bad_price", _set(path, value), kind, types)
        else:
            for value in (0.0, -0.0, 0, 5e-324):
                yield _of(f"{field} is {value}", ACCEPTED, _set(path, value), kind, types)
        for value in ("ten", "", "1,5", {"usd": 1}, [1.0], "0x"):
            yield _of(f"{field} is {value!r}", "malformed", _set(path, value), kind, types)
        yield _of(f"{field} is true", "malformed bad_price", _set(path, True), kind, types)
        for token in (b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"01", b"+1", b"1.", b"0x10", b"--1"):
            outcome = "malformed bad_price" + (f" {ACCEPTED}" if token in {b"01", b"+1", b"1."} else "")
            yield _of(f"{field} is the token {token!r}", outcome, _raw(path, token), kind, types)
        yield _of(f"{field} is the text NaN", "malformed bad_price", _set(path, "NaN"), kind, types)
        huge = b"9" * 2_000
        yield _of(f"{field} has 2,000 digits", "malformed bad_price", _raw(path, huge), kind, types)


def _sizes() -> Iterator[Change]:
    fields = {"s": ("trades", "t"), "cs": ("trades", "c"), "bs": ("quotes", "q"), "as": ("quotes", "q")}
    fields["v"] = ("bars_1m", "bu")
    for field, (kind, types) in fields.items():
        path = f"payload.{field}"
        yield _of(f"{field} is not there", "missing_size", _set(path, ...), kind, types)
        yield _of(f"{field} is null", "missing_size", _set(path, None), kind, types)
        for value in (-1.0, -1, 1e19, 1.7e308, float("inf"), float("nan")):
            yield _of(f"{field} is {value}", "bad_size missing_size", _set(path, value), kind, types)
        for value in (0.0, 0, 5e-324):
            outcome = "bad_size" if kind == "trades" else ACCEPTED
            yield _of(f"{field} is {value}", outcome, _set(path, value), kind, types)
        for value in ("many", {"shares": 3}, []):
            yield _of(f"{field} is {value!r}", "malformed", _set(path, value), kind, types)


_BAD_TIMES = (
    "", "yesterday", "2026-07-21", "2026-07-21T14:30:00", "2026-07-21T14:30:00.000", "2026-02-30T00:00:00Z",
    "2026-13-01T00:00:00Z", "2026-07-21T24:00:00Z", "2026-07-21T14:60:00Z", "2026-07-21T14:30:61Z",
    "2026-07-21T14:30:00.Z", "2026-07-21T14:30:00.1234567890Z", "2026-07-21T14:30:00+25:00", "20260721T143000Z",
    "0000-01-01T00:00:00Z", "0000-00-00T00:00:00Z", "0001-01-01T00:00:00Z", "-001-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000999Z", "1900-01-01T00:00:00Z",
    "1970-01-01T01:00:00+01:00",
    "\u0662\u0660\u0662\u0666-07-21T00:00:00Z", "2026-07-21T14:30:00Z ", " 2026-07-21T14:30:00Z",
    "2026-07-21T14:30:00Z\x00", "1784644200", "1784644200000000000", "Z" * 5_000, "9" * 5_000,
)  # fmt: skip
_FUTURE_TIMES = (
    "2200-01-01T00:00:00Z", "9999-12-31T23:59:00.000000000Z", "2999-12-31T00:00:00-23:59", "2262-04-12T00:00:00Z",
)  # fmt: skip
_USABLE_TIMES = (
    "1970-01-01T00:00:01Z", "1970-01-01T00:00:00.001Z", "1999-12-31T23:59:60Z", "2000-02-29t12:00:00.123456789z",
    "2001-09-09 01:46:40+00:00", "2016-12-31T23:59:60.999999999Z", "2020-01-01T00:00:00-05:00",
)  # fmt: skip
_BAD_SYMBOLS = (
    " ", "A A", "A\x00B", "\x00", "A\nB", "A\tB", "\u202eAAPL", "💥", "ÄÖÜ", "茅台", "'; DROP TABLE x; --", '"', "\\",
    "A|B", "A;B", "A,B", "a" * 33, "S" * 1_000, "S" * 60_000, "A\u200bB", "\ufeffA", "{}", "<b>",
)  # fmt: skip
_ODD_SYMBOLS = ("ZZ/USD", "ZZ.B", "ZZ-A", "ZZ^D", "zz", "ZZ240119C00100000", "ZZ:X_1", "ZZ+", "ZZ=", "ZZ" + "Z" * 30)
_ODD_TEXTS = ("", "\x00", "💥", "\u202e", "a\nb", "'\"\\", "x" * 5_000)


def _times() -> Iterator[Change]:
    yield _of("t is not there", "missing_timestamp", _set("payload.t", ...))
    yield _of("t is null", "missing_timestamp", _set("payload.t", None))
    for text in _BAD_TIMES:
        yield _of(f"t is {text[:40]!r}", "bad_timestamp", _set("payload.t", text))
    for number in (0, 1784644200, 1784644200000000000, 1.5, -1, 10**30):
        yield _of(f"t is {number}", "bad_timestamp malformed", _raw("payload.t", str(number).encode()))
    for value in (True, {"s": 1}, [1], []):
        yield _of(f"t is {value!r}", "bad_timestamp malformed", _set("payload.t", value))
    for text in _FUTURE_TIMES:
        yield _of(f"t is {text!r}", "future_timestamp", _set("payload.t", text))
    for text in _USABLE_TIMES:
        yield _of(f"t is {text!r}", ACCEPTED, _set("payload.t", text), "trades quotes status")
    yield _of(
        "a minute that begins at 30.5 s", "bad_timestamp", _set("payload.t", "2020-01-01T00:00:30.500Z"), "bars_1m"
    )


def _symbols() -> Iterator[Change]:
    for value in (..., None, ""):
        yield _of(f"symbol is {value!r}", "missing_symbol", _set("symbol", value))
    for symbol in _BAD_SYMBOLS:
        yield _of(f"symbol is {symbol[:20]!r}", "bad_symbol", _set("symbol", symbol))
    for symbol in _ODD_SYMBOLS:
        yield _of(f"symbol is {symbol!r}", ACCEPTED, _set("symbol", symbol))
    for token in (b'"\\ud800"', b'"A\\udc00"', b'{"s":"ZZ"}', b'["ZZ"]'):
        yield _of(f"symbol is the token {token!r}", "bad_symbol malformed", _raw("symbol", token))
    for token in (b"12", b"true", b"1.5"):
        yield _of(f"symbol is the token {token!r}", f"bad_symbol malformed {ACCEPTED}", _raw("symbol", token))
    yield _of("the payload's S is another", ACCEPTED, _set("payload.S", "ZZ0"))
    yield _of("the payload's S is odd", ACCEPTED, _set("payload.S", "💥\x00"))


def _types() -> Iterator[Change]:
    yield _of("T is not there", "missing_type", _set("payload.T", ...))
    yield _of("T is null", "missing_type", _set("payload.T", None))
    for value in ("zz", "", "T", "💥", "\x00", "trade", "success", "error", "t" * 1_000):
        yield _of(f"T is {value[:20]!r}", "unknown_type", _set("payload.T", value))
    for value in (1, True, ["t"], {"T": "t"}):
        yield _of(f"T is {value!r}", "unknown_type malformed", _set("payload.T", value))
    yield _of("a quote's T", "unknown_type", _set("payload.T", "q"), "trades bars_1m status")
    yield _of("a trade's T", "unknown_type", _set("payload.T", "t"), "quotes bars_1m status")


def _others() -> Iterator[Change]:
    for field in ("ingest_ts", "event_ts", "feed", "channel", "seq", "source", "version"):
        yield _of(f"{field} is not there", ACCEPTED, _set(field, ...))
        yield _of(f"{field} is null", ACCEPTED, _set(field, None))
        for text in _ODD_TEXTS:
            outcome = ACCEPTED
            yield _of(f"{field} is {text[:10]!r}", outcome, _set(field, text))
        yield _of(f"{field} is an object", f"{ACCEPTED} malformed", _set(field, {"a": [1]}))
    yield _of("a field nobody knows", ACCEPTED, _set("unheard", {"of": [None, 1, "2"]}))
    yield _of("a field of the payload nobody knows", ACCEPTED, _set("payload.unheard", [{"of": []}] * 20))
    yield _of("nested 50 times", ACCEPTED, _raw("payload.unheard", _nested(50)))
    yield _of(f"nested {DEEP} times", "malformed", _raw("payload.unheard", b"[" * DEEP + b"]" * DEEP))
    yield _of(f"objects nested {DEEP // 2} times", "malformed", _raw("unheard", _nested(DEEP // 2)))
    yield _of(f"a symbol nested {DEEP} times", "malformed", _raw("symbol", b"[" * DEEP + b"]" * DEEP))
    yield _of(
        f"conditions nested {DEEP} times", "malformed", _raw("payload.c", b"[" * DEEP + b"]" * DEEP), "trades", "t"
    )
    for value in (..., None):
        yield _of(f"payload is {value!r}", "missing_payload", _set("payload", value))
    for value in ("text", 1, True, [], [{"T": "t"}]):
        yield _of(f"payload is {value!r}", "malformed", _set("payload", value))
    yield _of("payload is {}", "missing_type", _set("payload", {}))
    yield _of("PAYLOAD", "missing_payload", lambda e, _: e.update(PAYLOAD=e.pop("payload")))
    yield _of("SYMBOL", "missing_symbol", lambda e, _: e.update(SYMBOL=e.pop("symbol")))
    yield _of("camelCase", ACCEPTED, lambda e, _: e.update(ingestTs=e.pop("ingest_ts"), eventTs=e.pop("event_ts")))
    for value in (b"null", b"1", b'"text"', b"true", b"[]", b"[1,2,3]", b"", b" ", b"\n", b"{", b"}", b"{}{", b"nul"):
        yield _of(f"the value is {value!r}", "malformed", _instead(value))
    yield _of("the value is {}", "missing_payload malformed", _instead(b"{}"))
    yield _of("a list of good ones", "malformed", lambda e, _: b"[" + orjson.dumps(e) + b"," + orjson.dumps(e) + b"]")


def _of_trades() -> Iterator[Change]:
    for value in ("V|1", "V;V|1|0|1.0|1.0", ";", "|", "||||", "X" * 33, "X" * 50_000, "\x00", "💥", "a\nb", "Ä"):
        yield _of(f"x is {value[:20]!r}", "bad_exchange", _set("payload.x", value), "trades")
    for value in (None, ..., "", "CBSE", "v"):
        yield _of(f"x is {value!r}", ACCEPTED, _set("payload.x", value), "trades")
    for value in (["@", "zz", "", "\x00", "💥", "|;"], [], ["T"] * 300, [None, "@"], ["@" * 5_000]):
        yield _of(f"conditions {str(value)[:30]}", ACCEPTED, _set("payload.c", value), "trades", "t")
        yield _of(f"conditions {str(value)[:30]}", ACCEPTED, _set("payload.cc", value), "trades", "c")
    for value in ([1, True], [["@"]], [{"c": "@"}]):
        yield _of(f"conditions {value!r}", f"{ACCEPTED} malformed", _set("payload.c", value), "trades", "t")
    for value in ("@", {"c": "@"}, 1):
        yield _of(f"conditions {value!r}", "malformed", _set("payload.c", value), "trades", "t")
    for value in _ODD_TEXTS:
        yield _of(f"z is {value[:10]!r}", ACCEPTED, _set("payload.z", value), "trades")
    for value in (-1, 0, 2**63 - 1, -(2**63) + 1):
        yield _of(f"i is {value}", ACCEPTED, _set("payload.i", value), "trades", "t")
    for token in (b"9223372036854775808", b"1e30", b'"one"', b"{}", b"[1]"):
        yield _of(f"i is {token!r}", "malformed", _raw("payload.i", token), "trades", "tx")
    yield _of("i is 1.5", f"malformed {ACCEPTED}", _set("payload.i", 1.5), "trades", "tx")
    for value in (None, ...):
        yield _of(f"i is {value!r}", ACCEPTED, _set("payload.i", value), "trades", "t")
        yield _of(f"i is {value!r}", "missing_id", _set("payload.i", value), "trades", "x")
        yield _of(f"oi is {value!r}", "missing_id", _set("payload.oi", value), "trades", "c")
        yield _of(f"ci is {value!r}", "missing_id", _set("payload.ci", value), "trades", "c")


def _of_bars_and_status() -> Iterator[Change]:
    yield _of("low above high", "bad_price", _set("payload.l", 1e6), "bars_1m")
    for value in (-1.0, 1.7e308):
        yield _of(f"vw is {value}", "bad_price", _set("payload.vw", value), "bars_1m")
    yield _of("vw is null", ACCEPTED, _set("payload.vw", None), "bars_1m")
    yield _of("n is -1", "bad_size", _set("payload.n", -1), "bars_1m")
    yield _of("n is null", ACCEPTED, _set("payload.n", None), "bars_1m")
    for value in (None, ...):
        yield _of(f"sc is {value!r}", "missing_status", _set("payload.sc", value), "status")
    for value in _ODD_TEXTS:
        yield _of(f"sc is {value[:10]!r}", "bad_status", _set("payload.sc", value), "status")
    yield _of("sc nobody knows", "bad_status", lambda e, c: _set("payload.sc", str(c.randrange(10**9)))(e, c), "status")


CHANGES: tuple[Change, ...] = (
    *_prices(), *_sizes(), *_times(), *_symbols(), *_types(), *_others(), *_of_trades(), *_of_bars_and_status(),
)  # fmt: skip


# ---- changes of bytes

_Bytes = Callable[[bytes, random.Random], bytes | None]


def _cut(value: bytes, chosen: random.Random) -> bytes:
    return value[: chosen.randrange(1, len(value))]


def _flip(value: bytes, chosen: random.Random) -> bytes:
    changed = bytearray(value)
    for _ in range(chosen.randrange(1, 4)):
        changed[chosen.randrange(len(changed))] ^= 1 << chosen.randrange(8)
    return bytes(changed)


def _insert(value: bytes, chosen: random.Random) -> bytes:
    at = chosen.randrange(len(value) + 1)
    return value[:at] + chosen.randbytes(chosen.randrange(1, 9)) + value[at:]


def _noise(_value: bytes, chosen: random.Random) -> bytes:
    return chosen.randbytes(chosen.randrange(1, 400))


_MALFORMED = frozenset({"malformed"})

_JSON_BYTES: list[tuple[str, _Bytes, frozenset[str]]] = [
    ("no value at all", lambda _v, _c: None, _MALFORMED),
    ("cut", _cut, _MALFORMED),
    ("cut by one byte", lambda v, _c: v[:-1], _MALFORMED),
    ("two in one", lambda v, _c: v + v, _MALFORMED),
    ("two in one, on lines of their own", lambda v, _c: v + b" \t" + v, _MALFORMED),
    ("a brace too many", lambda v, _c: v + b"}", _MALFORMED),
    ("garbage behind it", lambda v, c: v + c.choice([b"x", b"\x00", b",", b"null", b"1", b'"}"', b"\xff"]), _MALFORMED),
    ("garbage before it", lambda v, c: c.choice([b"x", b"\x00", b",", b"\xff", b"\x1f\x8b"]) + v, _MALFORMED),
    ("space around it", lambda v, _c: b" \t " + v + b"  \t", frozenset({ACCEPTED})),
    ("a byte order mark", lambda v, _c: b"\xef\xbb\xbf" + v, frozenset({ACCEPTED, "malformed"})),
    ("UTF-16", lambda v, _c: v.decode().encode("utf-16"), frozenset({ACCEPTED, "malformed"})),
    ("not UTF-8", lambda v, _c: v.replace(b'"sip"', b'"\xff\xfe"'), _MALFORMED),
    ("UTF-8 that is cut", lambda v, _c: v.replace(b'"sip"', b'"\xe2\x82"'), _MALFORMED),
    ("a control character within a text", lambda v, _c: v.replace(b'"sip"', b'"s\x0bp"'), ANYTHING),
    ("single quotes", lambda v, _c: v.replace(b'"', b"'"), _MALFORMED),
    ("every field twice", lambda v, _c: v[:-1] + b"," + v[1:], frozenset({ACCEPTED})),
    ("compressed", lambda v, _c: b"\x1f\x8b\x08\x00" + v[::-1], _MALFORMED),
    ("bits flipped", _flip, ANYTHING),
    ("bytes put in", _insert, ANYTHING),
    ("noise", _noise, ANYTHING - {ACCEPTED}),
]


def _varint(number: int) -> bytes:
    """A long as Avro writes it (zigzag)."""
    zigzag, out = (number << 1) ^ (number >> 63), bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def _text_of_length(length: int) -> _Bytes:
    """The first field of the record, a text, says that it is so long."""
    return lambda value, _chosen: value[:5] + _varint(length) + value[6:]


def _symbol_of_length(length: int) -> _Bytes:
    """The symbol, which is read and not passed over, says that it is so long."""

    def change(value: bytes, _chosen: random.Random) -> bytes:
        at = value.index(b"ZZ")
        return value[: at - 1] + _varint(length) + value[at:]

    return change


def _back_and_forth(value: bytes, _chosen: random.Random) -> bytes:
    """A quote's conditions, which nobody reads, are a block of -2 bytes: behind it stands the block again."""
    conditions, block = b"\x02\x02\x02R\x00", b"\x02" + _varint(-1) + _varint(-2)
    return value.replace(conditions, block) if conditions in value else value[:-1]


_AVRO_BYTES: list[tuple[str, _Bytes, frozenset[str]]] = [
    ("no value at all", lambda _v, _c: None, _MALFORMED),
    ("nothing", lambda _v, _c: b"", _MALFORMED),
    ("cut", _cut, _MALFORMED),
    ("cut by one byte", lambda v, _c: v[:-1], _MALFORMED),
    ("bytes behind it", lambda v, c: v + c.randbytes(c.randrange(1, 20)), _MALFORMED),
    ("two in one", lambda v, _c: v + v, _MALFORMED),
    ("another magic byte", lambda v, c: bytes([c.randrange(1, 256)]) + v[1:], _MALFORMED),
    ("an id nobody has", lambda v, c: v[:1] + struct.pack(">i", 900_000 + c.randrange(5)) + v[5:], _MALFORMED),
    ("an id no registry gives", lambda v, c: v[:1] + struct.pack(">i", c.choice([0, 2**31 - 1])) + v[5:], _MALFORMED),
    ("a negative id", lambda v, _c: v[:1] + b"\xff\xff\xff\xff" + v[5:], _MALFORMED),
    ("another record's body", lambda v, c: v[:5] + c.randbytes(len(v) - 5), ANYTHING),
    ("a text of 2 GiB", _text_of_length(2**31 - 9), _MALFORMED),
    ("a text of 1 GiB", _text_of_length(2**30), _MALFORMED),
    ("a symbol of 2 GiB", _symbol_of_length(2**31 - 9), _MALFORMED),
    ("a symbol of 1 GiB", _symbol_of_length(2**30), _MALFORMED),
    ("a symbol of negative length", _symbol_of_length(-1), _MALFORMED),
    ("a list that goes back", _back_and_forth, _MALFORMED),
    ("a text of negative length", _text_of_length(-5), _MALFORMED),
    ("a text of 2^62 bytes", _text_of_length(2**62), _MALFORMED),
    ("bits flipped", lambda v, c: v[:5] + _flip(v[5:], c), ANYTHING),
    ("bytes put in", lambda v, c: v[:5] + _insert(v[5:], c), ANYTHING),
    ("noise", lambda v, c: bytes([c.randrange(1, 256)]) + _noise(v, c), _MALFORMED),
    ("JSON", lambda _v, _c: b'{"symbol":"ZZ1"}', _MALFORMED),
]

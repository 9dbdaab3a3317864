"""The quote a signal is about: an as-of join at the window's end, and what may be derived from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ta_pipeline.replay.reference_revisions import LateRecord, order_behind, order_of_final
from ta_pipeline.replay.reference_rules import Longs, Rules

QUOTE_COLUMNS = ["spread", "imbalance", "bid_px", "ask_px", "bid_sz", "ask_sz"]
_SIDES = {"bp": "bid_px", "bs": "bid_sz", "ap": "ask_px", "as": "ask_sz"}


class Quotes:
    """The quotes of all symbols in the order they came into force.

    Attributes:
        late: quotes that came when a later second had one already.
    """

    def __init__(self, log: pd.DataFrame) -> None:
        self.late: list[LateRecord] = []
        kept = log[log["kept"] & (log["T"] == "q")]
        columns = ["symbol", "end_ms", "event_ms", "offset", "watermark_ms", *_SIDES]
        in_time = kept.loc[~kept["late"], columns]
        # The last of its second in log order; in force just before the bar of that second is final.
        last = in_time.drop_duplicates(["symbol", "end_ms"], keep="last")
        last = last.assign(order=_each(order_of_final, last["end_ms"]) - 1)
        behind = kept.loc[kept["late"], columns]
        if len(behind):
            behind = behind.assign(order=_each(order_behind, behind["watermark_ms"]))
            last = pd.concat([last, behind]).sort_values(["symbol", "order", "offset"], kind="stable")
            last = self._without_passed(last)
        self._in_force = last.rename(columns=_SIDES).sort_values("order", kind="stable")

    def _without_passed(self, quotes: pd.DataFrame) -> pd.DataFrame:
        """Without those that came when a quote of a later second was in force."""
        newest = quotes.groupby("symbol")["end_ms"].cummax()
        passed = quotes["end_ms"] < newest
        self.late += [LateRecord("quotes", offset, "newer_quote_known") for offset in quotes.loc[passed, "offset"]]
        return quotes[~passed]

    def as_of(self, signals: pd.DataFrame, rules: Rules) -> pd.DataFrame:
        """The quote in force for each signal (`symbol`, `end_ms`), in the order and with the index of `signals`."""
        asked = signals[["symbol", "end_ms"]].assign(place=np.arange(len(signals)))
        asked["order"] = _each(order_of_final, asked["end_ms"])
        found = pd.merge_asof(
            asked.sort_values("order", kind="stable"),
            self._in_force.drop(columns=["end_ms"]),
            on="order", by="symbol",
        ).sort_values("place")  # fmt: skip
        bid, ask, bid_sz, ask_sz = (found[name] for name in ("bid_px", "ask_px", "bid_sz", "ask_sz"))
        stale = found["end_ms"] - found["event_ms"] > rules.quote_stale_after_ms
        usable = ~stale & (bid > 0) & (ask > 0) & (bid_sz > 0) & (ask_sz > 0) & (bid <= ask)
        total = bid_sz + ask_sz
        found["spread"] = (ask - bid).where(usable)
        found["imbalance"] = ((bid_sz - ask_sz) / total).where(usable & np.isfinite(total))
        return found[QUOTE_COLUMNS].set_index(signals.index)


def _each(order: Callable[[int], int], times_ms: pd.Series[int]) -> Longs:
    return np.array([order(time_ms) for time_ms in times_ms.tolist()], dtype=np.int64)

"""How the board looks: two lines a symbol, live above final, and a third for its 1-minute signal where there is room.

A narrow terminal loses the columns that are least dear (board_cells.py), a low one symbols. Colours: green up, red
down, yellow worth a look. `render` is pure, so a test can compare what it draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby, pairwise

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ta_pipeline.board import WARM_BARS, Board, PathState, SymbolState
from ta_pipeline.board_cells import WARMING, Column, Line, age_style, columns
from ta_pipeline.figures import duration

_GAP, _GROUP_GAP = 1, 2
_ROOMY = 100
_HEADS_AND_LEGEND = 5  # lines: two heads, a rule, the legend, and the one for symbols that found no room


def render(board: Board, width: int, height: int | None = None) -> RenderableType:
    """The whole picture, at most `width` columns wide and `height` lines high (None: as high as it gets)."""
    totals = _totals(board, width)
    room = None if height is None else max(2, height - len(totals) - 2 - _HEADS_AND_LEGEND)
    states = board.symbols
    minutes = sum(state.minute is not None for state in states)
    with_minutes = minutes > 0 and (room is None or 3 * len(states) + minutes - 1 <= room)
    shown = states if room is None or with_minutes else states[: room // 2]
    spaced = with_minutes or room is None or 3 * len(shown) - 1 <= room
    table, extent = _table(board, shown, width, with_minutes=with_minutes, spaced=spaced)
    parts: list[RenderableType] = [_frame(board, totals, max(extent, min(width, _ROOMY))), *table]
    if len(shown) < len(states):
        parts.append(Text(f"not shown for want of lines: {len(states) - len(shown)}; choose with --symbols", "yellow"))
    if not states:
        parts.append(Text("nothing has come yet; is the job running (`ta job status`), and fed?", "yellow"))
    parts.append(_legend(extent))
    return Group(*parts)


# ---- the totals


def _frame(board: Board, totals: Sequence[RenderableType], width: int) -> Panel:
    elapsed = timedelta(seconds=(board.now_ms - board.started_ms) // 1_000)
    return Panel(
        Group(*totals), box=box.ROUNDED, border_style="dim", title_align="left", width=width, padding=(0, 1),
        title=Text.assemble(("signals", "bold not dim"), (f"  {board.title}  {elapsed}", "not dim")),
    )  # fmt: skip


def _totals(board: Board, width: int) -> list[RenderableType]:
    """One line each."""
    paths = [("live", "bold cyan", board.live), ("final", "bold magenta", board.final)]
    if board.minutes.total:
        paths.append(("1 min", "blue", board.minutes))
    lines: list[RenderableType] = []
    for name, style, path in paths:
        grid = Table.grid(padding=(0, 2 if width >= _ROOMY else 1))
        grid.add_row(Text(f"{name:<5}", style), *_path_cells(board, path, width))
        lines.append(grid)
    lines.append(_counters(board, width))
    if board.trouble:
        lines.append(Text(f"Kafka: {board.trouble}; waiting for it", "bold red", no_wrap=True, overflow="ellipsis"))
    if board.tables:
        lines.append(Text(f"ClickHouse: {board.tables}", "bold red", no_wrap=True, overflow="ellipsis"))
    return lines


def _path_cells(board: Board, path: PathState, width: int) -> list[Text]:
    times = path.latency(board.now_ms)
    by_minute = path is board.minutes
    rate = "" if by_minute else f"{path.per_second(board.now_ms):,.1f}/s"
    cells = [Text(f"{rate:>9}"), Text(f"{path.total:>9,} signals")]
    percentiles = [("p50", times.p50_ms), ("p95", times.p95_ms), ("p99", times.p99_ms)]
    for name, ms in percentiles if width >= _ROOMY else percentiles[::2]:
        cells.append(Text.assemble((f"{name} ", "dim"), (f"{duration(ms):>7}", "bold")))
    if path.newest_event_ms and not by_minute:
        lag_ms = board.now_ms - path.newest_event_ms
        style = age_style(lag_ms) if path is board.live else "dim"
        cells.append(Text.assemble(("lag ", "dim"), (f"{duration(lag_ms):>7}", style)))
    return cells


def _counters(board: Board, width: int) -> Text:
    parts = [Text.assemble((f"{board.bars:,}", "bold"), " bars")]
    parts.append(Text.assemble((f"{board.revised_bars:,}", "bold"), " revised"))
    for counter, name in ((board.late, "late"), (board.rejects, "rejected"), (board.undecodable, "unreadable")):
        if not counter and counter is board.undecodable:
            continue
        text = Text.assemble((f"{counter.total():,}", "bold yellow" if counter else "bold"), f" {name}")
        if counter and width >= _ROOMY:
            reason, _ = counter.most_common(1)[0]
            text.append(f" ({reason}{', …' if len(counter) > 1 else ''})", "dim")
        parts.append(text)
    if board.status is not None:
        state = board.status["status"]
        behind = duration(board.status.get("watermark_lag_ms"))
        parts.append(Text.assemble("job ", (state, "green" if state == "ok" else "bold red"), f", watermark {behind}"))
    line = Text("   ").join(parts)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _legend(width: int) -> Text:
    parts = [
        f"{WARMING} under {WARM_BARS} bars: settling", "live n: nth update", "r n: revision", "yellow volume: revised",
        "lag: since newest event", "vol: bp a bar", "p50 p99: last minute",
    ]  # fmt: skip
    text = ""
    for part in parts:
        longer = f"{text}   {part}" if text else part
        if len(longer) > width:
            break
        text = longer
    return Text(text, "dim")


# ---- the table


def _table(
    board: Board, states: Sequence[SymbolState], width: int, *, with_minutes: bool, spaced: bool
) -> tuple[list[RenderableType], int]:
    """Heads and lines, and how wide they are."""
    every = columns(board.now_ms, states)
    cells = [
        [[column.cell(state, line) for column in every] for line in _lines(state, with_minutes=with_minutes)]
        for state in states
    ]
    widths = [
        max([len(column.name), len(column.group), *(row[n].cell_len for rows in cells for row in rows)])
        for n, column in enumerate(every)
    ]
    chosen = _fitting(every, widths, width)
    extent = _extent(every, widths, chosen)
    drawn: list[RenderableType] = [
        _groups(every, widths, chosen),
        _line([Text(column.name, "dim") for column in every], every, widths, chosen),
        Text("─" * extent, "dim"),
    ]
    for number, rows in enumerate(cells):
        drawn += [Text("")] if spaced and number else []
        drawn += [_line(row, every, widths, chosen) for row in rows]
    return drawn, extent


def _lines(state: SymbolState, *, with_minutes: bool) -> tuple[Line, ...]:
    return ("live", "final", "minute") if with_minutes and state.minute else ("live", "final")


def _fitting(every: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """The columns that fit, the dearest first; a smaller one takes the room that a larger one could not use."""
    chosen: list[int] = []
    for n in sorted(range(len(every)), key=lambda n: every[n].keep):
        wanted = sorted([*chosen, n])
        if not chosen or _extent(every, widths, wanted) <= width:
            chosen = wanted
    return chosen


def _extent(every: Sequence[Column], widths: Sequence[int], chosen: Sequence[int]) -> int:
    return sum(widths[n] for n in chosen) + sum(_gap(every[a], every[b]) for a, b in pairwise(chosen))


def _gap(left: Column, right: Column) -> int:
    return _GAP if left.group == right.group else _GROUP_GAP


def _groups(every: Sequence[Column], widths: Sequence[int], chosen: Sequence[int]) -> Text:
    heads = []
    for name, group in groupby(chosen, key=lambda n: every[n].group):
        members = list(group)
        span = _extent(every, widths, members)
        heads.append(name.ljust(span) if every[members[0]].left else name.rjust(span))
    return Text((" " * _GROUP_GAP).join(heads), "bold", no_wrap=True, overflow="crop")


def _line(cells: Sequence[Text], every: Sequence[Column], widths: Sequence[int], chosen: Sequence[int]) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for before, n in pairwise([None, *chosen]):
        if n is None:
            continue
        line.append("" if before is None else " " * _gap(every[before], every[n]))
        space = " " * (widths[n] - cells[n].cell_len)
        line.append_text(Text.assemble(cells[n], space) if every[n].left else Text.assemble(space, cells[n]))
    return line

"""Progress of what takes longer than a second: a bar with the time left, or the seconds gone.

A terminal or a notebook shows it on standard error until the end. Elsewhere a plain line names the work after
a second, and its progress every half a minute. Only the first process of a distributed run shows anything.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from operator import length_hint
from threading import Timer
from typing import TypeVar

from rich.file_proxy import FileProxy
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hrda_lit.system.files import is_first_process
from hrda_lit.system.text import PlainConsole, is_terminal, printable

Item = TypeVar("Item")
Report = Callable[[str], None]

PATIENCE = 1.0  # seconds after which the plain line is worth it
INTERVAL = 30.0  # seconds from one plain line to the next
_shown: list[Progress] = []  # at most one: what begins meanwhile is part of it
_waited: list[Timer] = []  # likewise, where nothing is drawn


def track(items: Iterable[Item], text: str, total: int | None = None) -> Iterator[Item]:
    """Yield items and show how many are done and the time left.

    Args:
        items: each is done when the next one is asked for.
        text: name of the work, e.g. "predicting".
        total: number of items; None: their own length, if they have one.
    """
    text, total = printable(text), total or length_hint(items) or None
    columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with _drawn(columns) as bars:
        if bars is not None:
            yield from bars.track(items, total, description=text)
        else:
            yield from _count_plainly(items, text, total)


@contextmanager
def announce(text: str) -> Iterator[Report]:
    """Show the seconds of work, e.g. "loading last.ckpt"; yield a function that replaces the text.

    A function may be decorated with it.
    """
    text = printable(text)
    with _drawn((TimeElapsedColumn(),), SpinnerColumn()) as bars:
        if bars is not None:
            task = bars.add_task(text, total=None)
            yield lambda now: bars.update(task, description=printable(now))
            return
        if _waited:
            yield lambda now: None
            return
        timer = Timer(PATIENCE, _say, [f"{text} ..."])
        timer.daemon = True
        timer.start()
        _waited.append(timer)
        try:
            yield lambda now: None
        finally:
            timer.cancel()
            _waited.remove(timer)


@contextmanager
def _drawn(columns: tuple[ProgressColumn, ...], *before: ProgressColumn) -> Iterator[Progress | None]:
    """Draw in a terminal or a notebook; yield None where there is none, or something is drawn already."""
    console = PlainConsole(stderr=True)
    if _shown or not is_first_process() or not (console.is_interactive or console.is_jupyter):
        yield None
        return
    # What goes into a pipe or a file must not be drawn above the bar instead.
    text, redirected = TextColumn("{task.description}", markup=False), is_terminal(sys.stdout)
    shown = (*before, text, *columns)
    with Progress(*shown, console=console, transient=True, redirect_stdout=redirected) as bars:
        _shown.append(bars)
        try:
            with logs_above():
                yield bars
        finally:
            _shown.remove(bars)


@contextmanager
def logs_above() -> Iterator[None]:
    """Write log lines above what is drawn, not into it."""
    proxies = {id(one.rich_proxied_file): one for one in (sys.stdout, sys.stderr) if isinstance(one, FileProxy)}
    moved = []
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and id(handler.stream) in proxies:
            moved.append((handler, handler.setStream(proxies[id(handler.stream)])))
    try:
        yield
    finally:
        for handler, stream in moved:
            handler.setStream(stream)


def _count_plainly(items: Iterable[Item], text: str, total: int | None) -> Iterator[Item]:
    begun, due = time.monotonic(), PATIENCE
    for done, item in enumerate(items):
        gone = time.monotonic() - begun if done else 0.0
        if gone > due:
            left = f" of {total}, about {gone / done * (total - done):.0f} s left" if total else ""
            _say(f"{text} ... {done}{left}")
            due = gone + INTERVAL
        yield item


def _say(line: str) -> None:
    if is_first_process() and not _shown:
        print(line, file=sys.stderr, flush=True)

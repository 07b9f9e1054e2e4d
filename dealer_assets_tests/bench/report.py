"""What the bench found, as Markdown.

Belongs here: tables, wording, number formats. Does not belong here: measuring.
"""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dealer_assets_tests.bench.measure import Contender, Timing

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "pyarrow", "polars", "duckdb", "mpmath")


@dataclass(frozen=True)
class Bar:
    """A target for ours, what was hoped for beyond it, and what was found.

    Parameters
    ----------
    what, target, hoped, found : str
        As printed.
    verdict : str
        ``missed``, ``met`` or ``beyond``.
    """

    what: str
    target: str
    hoped: str
    found: str
    verdict: str


@dataclass(frozen=True)
class Section:
    """One kind of work: its table and what must be known to read it.

    Parameters
    ----------
    title, about : str
        Heading, and a paragraph of Markdown.
    columns : tuple of str
        Table heads.
    rows : list of list of str
        Cells.
    bars : list of Bar
        Targets.
    notes : list of str
        Lines below the table.
    """

    title: str
    about: str
    columns: tuple[str, ...] = ()
    rows: list[list[str]] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def version(package: str) -> str:
    """Return an installed distribution's version, or an empty string."""
    try:
        return importlib.metadata.version(package) if package else ""
    except importlib.metadata.PackageNotFoundError:
        return ""


def name_of(contender: Contender) -> str:
    """Name with version, and a mark when only part of the work was run."""
    number = version(contender.package)
    name = f"{contender.name} {number}" if number else contender.name
    return name if contender.share == 1.0 else f"{name} †"


def milliseconds(seconds: float) -> str:
    """Three significant digits, thousands separated."""
    value = seconds * 1e3
    return f"{value:,.0f}" if value >= 100.0 else f"{value:.3g}"


def ratio(timing: Timing) -> str:
    """Times ours, two or three significant digits."""
    return _times(timing.ratio)


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= 20.0 else f"{value:.2g}"


def error(value: float) -> str:
    """Error in two digits; a dash where there was nothing to compare."""
    return f"{value:.1e}" if np.isfinite(value) else "–"


def at_least(what: str, target: float, found: float, *, hoped: float | None = None) -> Bar:
    """Bar on a ratio."""
    beyond = "" if hoped is None else f"≥ {hoped:g}×"
    verdict = _verdict(found >= target, hoped is not None and found >= hoped)
    return Bar(what, f"≥ {target:g}×", beyond, f"{_times(found)}×", verdict)


def at_most(
    what: str, target: float, found: float, *, hoped: float | None = None, unit: str = ""
) -> Bar:
    """Bar on an error, a time or a count; NaN misses it."""
    beyond = "" if hoped is None else f"≤ {hoped:g}{unit}"
    verdict = _verdict(found <= target, hoped is not None and found <= hoped)
    return Bar(what, f"≤ {target:.2g}{unit}", beyond, f"{found:.2g}{unit}", verdict)


def time_at_most(target_ms: float, timing: Timing, *, what: str = "") -> Bar:
    """Bar on an absolute time: of the machine the page names, for orientation."""
    found = timing.least * 1e3
    label = f"time, {what}" if what else "time"
    return Bar(
        label, f"≤ {target_ms:g} ms", "", f"{found:.3g} ms", _verdict(found <= target_ms, False)
    )


def rate_at_least(what: str, target: float, found: float) -> Bar:
    """Bar on events a second: of the machine the page names, for orientation."""
    return Bar(what, f"≥ {target:,.0f}/s", "", f"{found:,.0f}/s", _verdict(found >= target, False))


def share_at_least(what: str, target: float, found: float) -> Bar:
    """Bar on a share of a whole."""
    return Bar(what, f"≥ {target:.0%}", "", f"{found:.1%}", _verdict(found >= target, False))


def _verdict(is_met: bool, is_beyond: bool) -> str:
    return "beyond" if is_beyond else "met" if is_met else "missed"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """CPU, cores, versions and how busy the machine was."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    facts = {line.split(":")[0].strip(): line.split(":", 1)[-1].strip() for line in lines}
    flags = facts.get("flags", "").split()
    widest = next((w for w in ("avx512f", "avx2", "sse2") if w in flags), "unknown")
    model = facts.get("model name", platform.processor() or platform.machine())
    family = f" (family {facts['cpu family']}, model {facts['model']})" if facts else ""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES if version(name))
    return (
        f"{model}{family}, {os.cpu_count()} cores, widest vectors {widest}, {platform.system()}; "
        f"Python {platform.python_version()}, {packages}. "
        f"Load at the end of the run: {os.getloadavg()[0]:.1f}."
    )


_METHOD = """\
One process, one thread for everybody. Contenders take turns, round after round; a figure is CPU
time of the whole process. *ms* is the least of all rounds. *× ours* is the median over rounds of
the contender's time over ours of the same round; above 1 ours is faster. Garbage collection is off,
first calls are not counted, and whatever a library wants prepared is prepared outside the timing.
Times move by a third with the machine's load, ratios by a tenth. **bold** is ours; *italic* is code
written for this bench, to show what the tool itself can do; † was run on a part of the work and
scaled up. Exact values come from mpmath at 50 digits, QuantLib's high-precision scheme (American)
and 80-bit sums (profile).

The chain is synthetic: 25,000 contracts in 45 expiries from five minutes to five years, strikes
from 0.2 to 2 times spot, no price under half a tick. Vols reach 14,000 % there: that is where
iteration limits and approximations of solvers fail, silently or not."""


def markdown(sections: Sequence[Section], unavailable: Sequence[tuple[str, str]]) -> str:
    """Whole document."""
    parts = [
        "# Benchmarks",
        "`make bench` writes this page; the peers are installed for it alone (`.venv-bench`, from "
        "`requirements-bench.lock`). Nothing in the tests asserts a time.",
        f"Machine: {machine()}",
        "## Targets and what was found",
        _bars(sections),
        _missed(sections),
        "## How it is measured",
        _METHOD,
    ]
    for section in sections:
        parts += [f"## {section.title}", section.about]
        if section.rows:
            parts.append(table(section.columns, section.rows))
        if section.notes:
            parts.append("\n".join(f"- {note}" for note in section.notes))
    parts += [
        "## Not measured",
        table(("library", "reason"), [list(pair) for pair in unavailable]),
    ]
    return "\n\n".join(parts) + "\n"


def _missed(sections: Sequence[Section]) -> str:
    missed = [
        f"{section.title.lower()}, {bar.what} ({bar.found}, target {bar.target})"
        for section in sections
        for bar in section.bars
        if bar.verdict == "missed"
    ]
    return f"Missed: {'; '.join(missed)}." if missed else "No target is missed in this run."


def _bars(sections: Sequence[Section]) -> str:
    rows = []
    for section in sections:
        for bar in section.bars:
            verdict = f"**{bar.verdict}**" if bar.verdict == "missed" else bar.verdict
            rows.append([section.title, bar.what, bar.target, bar.hoped, bar.found, verdict])
    return table(("work", "measure", "target", "hoped for", "found", ""), rows)

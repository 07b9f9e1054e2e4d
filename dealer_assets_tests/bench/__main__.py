"""`python -m dealer_assets_tests.bench`: measure ours against the peers, write docs/benchmarks.md.

Belongs here: arguments, one thread for everybody, order of the works. Does not belong here: what is
measured. Run by `make bench` in the bench's own environment.
"""

import argparse
import os
import sys
import time
from pathlib import Path

_PROJECT = Path(__file__).parents[2]
_PAGE = _PROJECT / "docs" / "benchmarks.md"

_ONE_THREAD = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"),
    *("RAYON_NUM_THREADS", "POLARS_MAX_THREADS", "NUMEXPR_MAX_THREADS", "NUMEXPR_NUM_THREADS"),
)

_ELSEWHERE = (
    ("opengreeks 0.2.0", "its wheel does not import on Python 3.11 (needs 3.12 in fact)"),
    ("quantforge 0.1.1", "needs Python 3.12"),
    ("svi-py 1.0.0", "needs Python 3.13"),
    ("py-vollib-vectorized 0.1.1", "of 2021; breaks with today's numba and numpy"),
    ("fastvol 0.1.1", "building it needs a CUDA build of torch"),
    ("voltic 0.1.0, rust-py-calc-iv 0.1.2", "source only, need a Rust toolchain"),
    ("ssvi-surface 1.1.1", "fits one global SSVI to all expiries, no slices"),
    ("lets-be-precise 0.4.7", "proprietary licence, grants no right of use"),
)


def _arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="small chain, few rounds: a smoke test"
    )
    parser.add_argument("--only", default="", help="works, separated by commas: iv,greeks,...")
    parser.add_argument("--out", type=Path, help="page to write (default: docs/benchmarks.md)")
    return parser.parse_args(given)


def main() -> int:
    """Run the works, print each table as it is done, write the page."""
    from dealer_assets_tests.bench import report
    from dealer_assets_tests.bench.works import WORKS, Size

    options = _arguments()
    chosen = [name for name in options.only.split(",") if name] or list(WORKS)
    unknown = sorted(set(chosen) - set(WORKS))
    if unknown:
        sys.stderr.write(f"no such work: {', '.join(unknown)}; there are {', '.join(WORKS)}\n")
        return 2
    size = Size(contracts=2_000, expiries=9, rounds=2, tails=20) if options.quick else Size()
    sections, absent = [], list(_ELSEWHERE)
    for name in chosen:
        start = time.perf_counter()
        section, missing = WORKS[name](size)
        sections.append(section)
        absent += missing
        text = report.table(section.columns, section.rows) if section.rows else ""
        bars = "".join(
            f"  {bar.verdict:6} {bar.what}: {bar.found} ({bar.target})\n" for bar in section.bars
        )
        took = time.perf_counter() - start
        sys.stdout.write(f"\n{section.title} ({took:.0f} s)\n{text}\n{bars}")
        for note in (*section.notes, *(f"{who}: {why}" for who, why in missing)):
            sys.stdout.write(f"  {note}\n")
        sys.stdout.flush()
    whole = not options.quick and not options.only
    page = options.out or (_PAGE if whole else None)
    if page:
        page.write_text(report.markdown(sections, absent))
        sys.stdout.write(f"\nwrote {page}\n")
    return 0


if __name__ == "__main__":
    if any(os.environ.get(name) != "1" for name in _ONE_THREAD):
        # Libraries read these once, when they are first imported: hence a new process
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
        os.execv(sys.executable, [sys.executable, "-m", "dealer_assets_tests.bench", *sys.argv[1:]])
    raise SystemExit(main())

"""Fit every full recorded chain and write `docs/recorded_chains.md`.

Run by hand when the fit changes: `python -m dealer_assets_tests.reference.make_surface_table`. The
page holds numbers derived from recorded quotes, never quotes.
"""

import sys
from pathlib import Path

import numpy as np

from dealer_assets.domain.pricing.chain import price_chain
from dealer_assets.domain.surface.fit import fit_surface
from dealer_assets.domain.surface.quality import surface_quality
from dealer_assets.domain.surface.quotes import Quotes, chain_quotes, clean
from dealer_assets.domain.surface.smiles import FIRST_KNOT, total_variance
from dealer_assets.domain.surface.svi import MIN_QUOTES, fit_slices
from dealer_assets.errors import DealerError
from dealer_assets.providers.files import read_chain_file

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "recorded_chains.md"

HEAD = """# Recorded chains

Every full recorded chain through forwards, vols and surface. Written by
`dealer_assets_tests/reference/make_surface_table.py`; the terms are those of
[methods/surface.md](methods/surface.md).

| column | meaning |
|---|---|
| expiries, quotes | slices and how many of them are fitted; out-of-the-money quotes used |
| parity | median residual of put-call parity in half-spreads |
| raw SVI | share of quotes inside bid-ask for the raw SVI part alone |
| free | the same for SVI and spline without conditions |
| in spread | the same for the surface; free less this is the price of no arbitrage |
| chi | root mean square residual in half-spreads |
| ATM | median over expiries of the mean error of the five nearest strikes [bp of vol] |
| butterfly, calendar | expiries with a violation: without conditions (coarse check) → surface |
| repaired | expiries solved again by `surface/repair.py`, and mixed with a flat smile |
| worst | lowest Durrleman g, and lowest relative calendar gap, of fitted expiries |
| sound | verdict of `quality.surface_quality` |

"""

COLUMNS = (
    "file",
    "expiries",
    "quotes",
    "parity",
    "raw SVI",
    "free",
    "in spread",
    "chi",
    "ATM",
    "butterfly",
    "calendar",
    "repaired",
    "worst",
    "sound",
)


def line(path: Path) -> tuple[str, ...]:
    """Cells of one file's row."""
    name = path.name.removesuffix(".csv.gz")
    try:
        snapshot = read_chain_file(path)[0]
    except DealerError as error:
        return (name, *[""] * (len(COLUMNS) - 2), f"refused: {type(error).__name__}")
    quotes = chain_quotes(snapshot.rows, price_chain(snapshot.rows))
    surface = fit_surface(quotes)
    quality = surface_quality(surface, quotes)
    raw, free, repaired = parts(quotes)
    before, after = surface.before, surface.after
    known = surface.method == "fit"
    worst = (
        f"{np.nanmin(after.butterfly[known]):.4f}, {np.nanmin(after.calendar[known]):.5f}"
        if known.any()
        else ""
    )
    return (
        name,
        f"{surface.years.size}, {(surface.method == 'fit').sum()}",
        f"{quality.slices.quotes.sum():,}",
        f"{quality.parity_residual:.2f}",
        f"{100 * raw:.1f} %",
        f"{100 * free:.2f} %",
        f"{100 * quality.in_spread:.2f} %",
        f"{quality.chi:.2f}",
        f"{quality.atm_error_bp:.1f}",
        f"{before.butterfly_violated.sum()} → {quality.butterfly_violations}",
        f"{before.calendar_violated.sum()} → {quality.calendar_violations}",
        repaired,
        worst,
        ", ".join(quality.reasons) or "yes",
    )


def parts(quotes: Quotes) -> tuple[float, float, str]:
    """Share inside bid-ask of raw SVI and of the free fit; slices repaired and flattened."""
    kept, half_spread = clean(quotes)
    count = np.diff(kept.first)
    rows = np.flatnonzero(count >= MIN_QUOTES)
    keep = np.isin(kept.slice_id, rows)
    if not keep.any():
        return float("nan"), float("nan"), ""
    fitted = fit_slices(
        kept.log_moneyness[keep],
        kept.vol[keep],
        half_spread=half_spread[keep],
        first=np.concatenate([[0], np.cumsum(count[rows])]).astype(np.int64),
        years=kept.years[rows],
    )
    raw = fitted.free.copy()
    raw[:, FIRST_KNOT:] = 0.0
    row = np.searchsorted(rows, kept.slice_id[keep])
    low = np.nan_to_num(kept.vol_bid[keep])
    shares = []
    for params in (raw, fitted.free):
        w = total_variance(kept.log_moneyness[keep], row, params)[0]
        vol = np.sqrt(np.maximum(w, 0.0) / kept.years[rows][row])
        shares.append(float(((vol >= low) & (vol <= kept.vol_ask[keep])).mean()))
    return shares[0], shares[1], f"{fitted.repaired.sum()}, {fitted.flattened.sum()}"


def main() -> None:
    """Write the page from the folder of recorded data."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    folder = data / "cboe_csv"
    paths = sorted([*folder.glob("*_full*.csv.gz"), *folder.glob("*_intraday*.csv.gz")])
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(line(path) for path in paths)]
    TARGET.write_text(HEAD + "".join("| " + " | ".join(row) + " |\n" for row in rows))


if __name__ == "__main__":
    main()

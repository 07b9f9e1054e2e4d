"""Treasury curves in the lake: stored once, found as known then."""

import gzip
from datetime import UTC, date, datetime

import numpy as np
import pytest

from dealer_assets.curves import (
    curve_known,
    identity,
    is_curve_file,
    read_curve_file,
    store_curves,
)
from dealer_assets.errors import BadInputError
from dealer_assets.intake.imports import import_files
from dealer_assets.lake.storage import open_lake

CSV = (
    "Date,1 Mo,3 Mo,6 Mo,1 Yr,2 Yr,5 Yr,10 Yr,30 Yr\n"
    "09/14/2023,5.52,5.53,5.51,5.39,5.00,4.42,4.29,4.39\n"
    "09/13/2023,5.52,5.55,5.52,5.41,4.96,4.38,4.25,4.34\n"
)


@pytest.fixture
def lake(tmp_path):
    return open_lake(str(tmp_path / "lake"))


@pytest.fixture
def curve_file(tmp_path):
    path = tmp_path / "us_treasury_par_yields.csv"
    path.write_text(CSV)
    return path


def test_a_curve_is_known_from_its_publication_on(lake, curve_file):
    store_curves(lake, read_curve_file(curve_file), source="made up", since=date.min)
    before = curve_known(lake, datetime(2023, 9, 14, 20, 15, tzinfo=UTC))
    after = curve_known(lake, datetime(2023, 9, 14, 22, 0, tzinfo=UTC))
    assert before.curve.date == date(2023, 9, 13)
    assert after.curve.date == date(2023, 9, 14)
    np.testing.assert_allclose(after.curve.par_yield[0], 0.0552)


def test_an_old_curve_is_stale_then_refused_and_none_is_none(lake, curve_file):
    assert curve_known(lake, datetime(2023, 9, 20, tzinfo=UTC)).status == "none"
    store_curves(lake, read_curve_file(curve_file), source="made up", since=date.min)
    assert curve_known(lake, datetime(2023, 9, 28, tzinfo=UTC)).status == "stale"
    late = curve_known(lake, datetime(2023, 11, 28, tzinfo=UTC))
    assert late.curve is None


def test_storing_again_changes_nothing_and_early_curves_are_counted(lake, curve_file):
    curves = read_curve_file(curve_file)
    first = store_curves(lake, curves, source="made up", since=date(2023, 9, 14))
    again = store_curves(lake, curves, source="made up", since=date(2023, 9, 14))
    assert (first.written, first.held, first.earlier) == (1, 0, 1)
    assert (again.written, again.held, again.earlier) == (0, 1, 1)


def test_import_takes_curves_beside_chains(lake, curve_file, tmp_path):
    packed = tmp_path / "us_treasury_packed.csv.gz"
    packed.write_bytes(gzip.compress(CSV.encode()))
    outcomes = list(import_files(lake, [curve_file, packed]))
    assert [o.status for o in outcomes] == ["stored", "stored"]  # the source's name differs
    assert "2 curves stored" in outcomes[0].reason


def test_a_damaged_curve_file_is_refused_by_name(lake, tmp_path):
    path = tmp_path / "treasury.csv.gz"
    path.write_bytes(gzip.compress(CSV.encode())[:40])
    (outcome,) = import_files(lake, [path])
    assert outcome.status == "refused"
    assert "treasury.csv.gz" in outcome.reason
    with pytest.raises(BadInputError, match=r"absent\.csv"):
        read_curve_file(tmp_path / "absent.csv")


def test_curve_files_are_told_by_name(tmp_path):
    assert is_curve_file(tmp_path / "us_treasury_par_yields_2024.csv.gz")
    assert is_curve_file(tmp_path / "feed.xml")
    assert not is_curve_file(tmp_path / "SPX_2023-09-14_full.csv.gz")


def test_the_identity_of_a_curve_changes_with_its_yields(curve_file):
    older, newer = read_curve_file(curve_file)
    assert identity(older) != identity(newer)
    assert identity(None) == "none"


def test_simulated_and_real_curves_never_serve_each_other(lake, curve_file):
    real = read_curve_file(curve_file)[-1]
    at = datetime(2023, 9, 15, 20, 0, tzinfo=UTC)
    store_curves(lake, [real], source="simulator", simulated=True)
    assert curve_known(lake, at).curve is None
    store_curves(lake, [real], source="made up")
    assert curve_known(lake, at).curve.date == real.date
    assert curve_known(lake, at, simulated=True).curve.date == real.date

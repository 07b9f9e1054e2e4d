"""The bench's machinery on a small chain, with whatever peers the project's environment has.

Nothing here asserts a time; `make bench` measures.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from dealer_assets_tests.bench import chain, measure, ours, report, truth
from dealer_assets_tests.bench.measure import Contender, race
from dealer_assets_tests.bench.works import WORKS, Size
from dealer_assets_tests.bench.works.field import Field

PROJECT = Path(__file__).parents[2]
SMALL = Size(contracts=240, expiries=4, rounds=1, tails=10)


@pytest.fixture(scope="module")
def priced():
    return truth.priced(chain.synthetic_chain(SMALL.contracts, expiries=SMALL.expiries))


class Clock:
    """A clock that only contenders move."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def takes(self, name, *seconds, **more):
        turns = iter(seconds)
        last = seconds[-1]

        def run():
            self.now += next(turns, last)

        return Contender(name, run, **more)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(measure, "process_time", clock)
    return clock


def test_race_takes_the_median_of_ratios_within_rounds(clock):
    ours_timing, theirs = race([clock.takes("a", 0.2), clock.takes("b", 0.3)], rounds=3)
    assert ours_timing.ratio == 1.0
    assert theirs.ratio == pytest.approx(1.5)
    assert theirs.rounds == 3


def test_race_scales_a_contender_that_ran_a_part(clock):
    _, theirs = race([clock.takes("a", 0.2), clock.takes("b", 0.1, share=0.25)], rounds=2)
    assert theirs.least == pytest.approx(0.4)
    assert theirs.ratio == pytest.approx(2.0)


def test_race_lets_a_slow_contender_join_a_third_of_the_rounds(clock):
    _, slow = race([clock.takes("a", 0.01), clock.takes("b", 5.0)], rounds=9)
    assert slow.rounds == 3


def test_race_drops_the_first_call_which_may_compile(clock):
    _, theirs = race([clock.takes("a", 0.2), clock.takes("b", 9.0, 0.2)], rounds=2)
    assert theirs.median == pytest.approx(0.2)


def test_field_notes_a_library_that_is_not_there():
    field = Field()

    def make():
        raise ModuleNotFoundError("No module named 'nowhere'")

    assert not field.enter("nowhere", make)
    assert field.contenders == []
    assert field.absent == [("nowhere", "ModuleNotFoundError: No module named 'nowhere'")]


def test_chain_has_the_contracts_asked_for_and_no_price_under_half_a_tick(priced):
    assert len(priced) == SMALL.contracts
    assert priced.price.min() >= chain.LEAST_PRICE * (1 - 1e-9)
    assert np.unique(priced.T).size == SMALL.expiries
    groups = list(priced.groups())
    assert len(groups) == 2 * SMALL.expiries
    assert all(np.unique(priced.F[part]).size == 1 for part in groups)


def test_chain_is_the_same_each_time(priced):
    again = chain.synthetic_chain(SMALL.contracts, expiries=SMALL.expiries)
    assert again.K.tobytes() == priced.K.tobytes()
    assert again.sigma.tobytes() == priced.sigma.tobytes()


def test_exact_prices_satisfy_parity(priced):
    call, put = (
        priced.take(priced.is_call.nonzero()[0]),
        priced.take((~priced.is_call).nonzero()[0]),
    )
    parity = call.D * (call.F - call.K)
    np.testing.assert_allclose(call.price - put.price, parity, rtol=1e-12, atol=1e-10)


def test_our_vols_of_exact_prices_are_the_chains(priced):
    vol = ours.implied_vol(priced)()
    np.testing.assert_allclose(vol[priced.otm], priced.sigma[priced.otm], rtol=1e-11)


def test_bad_rows_are_bad_in_all_eight_ways(priced):
    rows, kind = chain.bad_rows(priced, 5)
    assert np.bincount(kind).tolist() == [5] * len(chain.BAD_KINDS)
    assert np.isnan(ours.implied_vol(rows)()).all()


def test_our_greeks_are_those_of_the_exact_price(priced):
    sample = priced.take(np.arange(0, len(priced), 60))
    exact = truth.greeks(sample)
    size = truth.size_of_greeks(sample, exact)
    run, read = ours.greeks(sample)
    found = read(run())
    compared = [name for name in exact if name in found]
    assert {"gamma", "vanna", "charm"} <= set(compared)
    for name in compared:
        assert np.max(np.abs(found[name] - exact[name]) / size[name]) < 1e-9, name


def test_page_has_every_section_its_bars_and_who_was_absent():
    sections, absent = [], []
    for name in ("iv", "profile"):
        section, missing = WORKS[name](SMALL)
        sections.append(section)
        absent += missing
    page = report.markdown(sections, absent)
    assert "## Implied vol" in page
    assert "| **ours** |" in page
    assert "| Gamma profile | greatest difference over peak |" in page
    if not report.version("lbriv"):
        assert "| lbriv | ModuleNotFoundError: No module named 'lbriv' |" in page


def test_streaming_is_measured_stage_by_stage_and_through_a_socket_to_a_subscriber():
    section, _ = WORKS["streaming"](SMALL)
    assert "| **frames to lake** |" in report.table(section.columns, section.rows)
    median, tail = (float(bar.found.removesuffix(" ms")) for bar in section.bars)
    assert 0.0 < median <= tail
    assert "marks" in section.notes[-1]


def test_a_missed_bar_is_called_missed():
    section = report.Section("Work", "About.", bars=[report.at_least("speed", 5.0, 2.0)])
    assert "| Work | speed | ≥ 5× |  | 2× | **missed** |" in report.markdown([section], [])


def test_a_bar_on_nothing_is_missed():
    assert report.at_most("error", 1.0, float("nan")).verdict == "missed"


def pins(lock):
    """Pins of a lock file, with their markers."""
    lines = (PROJECT / lock).read_text().splitlines()
    return {line.rstrip(" \\") for line in lines if re.match(r"[a-z0-9]", line)}


def test_bench_lock_pins_by_hash_and_names_no_address():
    lines = (PROJECT / "requirements-bench.lock").read_text().splitlines()
    hashes = [line for line in lines if "--hash=sha256:" in line]
    assert len(hashes) >= len(pins("requirements-bench.lock")) > 20
    assert not [line for line in lines if "://" in line or "--index" in line or "--find" in line]


def test_bench_lock_has_the_projects_versions_of_what_both_name():
    def by_name(lock):
        found = {}
        for pin in pins(lock):
            found.setdefault(re.split("[=;]", pin)[0].strip(), set()).add(pin.split(";")[0].strip())
        return found

    ours_pins, bench = by_name("requirements.lock"), by_name("requirements-bench.lock")
    shared = set(ours_pins) & set(bench)
    assert {"numpy", "numba", "scipy", "pyarrow"} <= shared
    assert {name: bench[name] for name in shared} == {name: ours_pins[name] for name in shared}
    assert not {"lbriv", "vollib", "polars"} & set(ours_pins), "peers are no dependencies"

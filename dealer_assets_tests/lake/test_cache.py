"""The cache of fetched history: whole payloads or none, complete sessions or partial ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import dealer_assets
from dealer_assets.errors import BadInputError, LakeUnavailableError
from dealer_assets.lake.cache import CacheHolding, HistoryCache
from dealer_assets.lake.cache_day import CachedDay
from dealer_assets.lake.storage import Lake, open_lake

SESSION = date(2026, 11, 20)
WHERE = ("polygon", "option_trades", "SPX", SESSION)
ODD_NAMES = ["O:SPXW261120C05900000", "a/b?c=d&e", "..", ".tmp-1", "index.json", "ä" * 300, " "]


def day(store: Lake) -> CachedDay:
    """What another process would see."""
    return HistoryCache(store).day(*WHERE)


def folder(store: Lake) -> Path:
    return Path(store.root) / "polygon" / "option_trades" / "SPX" / "2026-11-20"


def file_names(store: Lake) -> list[str]:
    return sorted(p.name for p in folder(store).iterdir() if p.name != ".lock")


def damage(path: Path) -> None:
    """Flip one bit in the last byte but ten."""
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)


def fill(store: Lake, count: int = 5, *, complete: bool = True) -> dict[str, bytes]:
    held = {f"O:SPXW{i}": f"payload {i}".encode() * 50 for i in range(count)}
    keep = day(store)
    for piece, payload in held.items():
        keep.put(piece, payload)
    if complete:
        assert keep.mark_complete()
    return held


def test_a_payload_comes_back_as_it_was_whatever_its_name(lake):
    keep = day(lake)
    held = {name: f"<{name}>".encode() for name in ODD_NAMES} | {"empty": b""}
    for piece, payload in held.items():
        assert keep.get(piece) is None
        keep.put(piece, payload)
    for look in (keep, day(lake)):
        assert {piece: look.get(piece) for piece in held} == held
    assert day(lake).pieces() == sorted(held)


def test_a_session_is_complete_only_once_it_was_marked(lake):
    held = fill(lake, complete=False)
    assert not day(lake).is_complete
    assert day(lake).mark_complete(expected=held)
    look = day(lake)
    assert look.is_complete
    assert {piece: look.get(piece) for piece in held} == held
    assert look.pieces() == sorted(held)
    assert not look.damaged


def test_marking_again_changes_nothing(local_lake):
    fill(local_lake)
    before = {p.name: p.stat().st_mtime_ns for p in folder(local_lake).iterdir()}
    assert day(local_lake).mark_complete()
    after = {p.name: p.stat().st_mtime_ns for p in folder(local_lake).iterdir()}
    assert {n: t for n, t in after.items() if n != ".lock"} == {
        n: t for n, t in before.items() if n != ".lock"
    }


def test_a_complete_session_is_two_files_however_many_payloads(local_lake):
    fill(local_lake, 120)
    names = file_names(local_lake)
    assert len(names) == 2
    assert "index.json" in names


def test_large_payloads_stay_files_of_their_own(local_lake):
    large = os.urandom(5 << 20)
    keep = day(local_lake)
    keep.put("large", large)
    keep.put("small", b"x")
    assert keep.mark_complete()
    assert [name.rpartition(".")[2] for name in file_names(local_lake)] == ["pack", "json", "piece"]
    look = day(local_lake)
    assert look.is_complete
    assert (look.get("large"), look.get("small")) == (large, b"x")
    look.put("large", large[::-1])
    assert not day(local_lake).is_complete
    assert day(local_lake).get("large") == large[::-1]
    assert day(local_lake).mark_complete()
    assert day(local_lake).verify() == []


def test_nothing_held_is_never_complete(lake):
    assert not day(lake).mark_complete()
    assert not day(lake).is_complete
    assert HistoryCache(lake).holdings() == []


def test_an_expected_payload_that_is_missing_keeps_the_session_partial(lake):
    fill(lake, complete=False)
    keep = day(lake)
    assert not keep.mark_complete(expected=["O:SPXW1", "O:SPXW9"])
    assert keep.damaged == ["O:SPXW9: expected, but not held (1 such payloads)"]
    assert not day(lake).is_complete


def test_a_payload_put_again_replaces_the_former_and_the_mark_is_gone(lake):
    held = fill(lake)
    day(lake).put("O:SPXW2", b"republished")
    look = day(lake)
    assert not look.is_complete
    assert look.get("O:SPXW2") == b"republished"
    assert look.get("O:SPXW3") == held["O:SPXW3"]
    assert look.mark_complete()
    assert day(lake).get("O:SPXW2") == b"republished"
    assert day(lake).is_complete


@pytest.mark.parametrize("complete", [False, True])
def test_a_damaged_payload_is_told_dropped_and_can_be_fetched_again(local_lake, complete):
    held = fill(local_lake, complete=complete)
    pattern = "*.pack" if complete else "p-O_SPXW4-*.piece"
    (path,) = folder(local_lake).glob(pattern)
    damage(path)
    assert len(HistoryCache(local_lake).verify()) == 1
    keep = day(local_lake)
    assert keep.get("O:SPXW4") is None
    assert [text.partition(":")[2].partition(":")[0] for text in keep.damaged] == ["SPXW4"]
    assert keep.get("O:SPXW3") == held["O:SPXW3"]
    assert not keep.is_complete
    keep.put("O:SPXW4", held["O:SPXW4"])
    assert keep.mark_complete()
    look = day(local_lake)
    assert look.is_complete
    assert {piece: look.get(piece) for piece in held} == held
    assert not look.damaged


@pytest.mark.parametrize("harm", ["cut", "gone", "garbage", "other"])
def test_a_harmed_file_never_passes_for_a_payload(local_lake, harm):
    fill(local_lake, complete=False)
    (path,) = folder(local_lake).glob("p-O_SPXW4-*.piece")
    (other,) = folder(local_lake).glob("p-O_SPXW3-*.piece")
    content = {"cut": path.read_bytes()[:-5], "garbage": b"\x00\n{}", "other": other.read_bytes()}
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(content[harm])
    assert day(local_lake).get("O:SPXW4") is None


def test_damage_found_while_marking_keeps_the_session_partial(local_lake):
    held = fill(local_lake, complete=False)
    (path,) = folder(local_lake).glob("p-O_SPXW4-*.piece")
    damage(path)
    keep = day(local_lake)
    assert not keep.mark_complete()
    assert len(keep.damaged) == 1
    look = day(local_lake)
    assert not look.is_complete
    assert look.get("O:SPXW4") is None
    assert look.get("O:SPXW0") == held["O:SPXW0"]
    look.put("O:SPXW4", held["O:SPXW4"])
    assert look.mark_complete()


def test_a_damaged_index_makes_the_session_count_as_not_held(local_lake):
    fill(local_lake)
    path = folder(local_lake) / "index.json"
    path.write_bytes(path.read_bytes()[:-20])
    keep = day(local_lake)
    assert not keep.is_complete
    assert keep.get("O:SPXW1") is None
    assert "does not match its SHA-256" in keep.damaged[0]
    assert "index.json" in str(HistoryCache(local_lake).verify()[0])
    held = fill(local_lake)
    assert day(local_lake).get("O:SPXW1") == held["O:SPXW1"]


def test_a_missing_pack_makes_the_session_partial(local_lake):
    fill(local_lake)
    next(folder(local_lake).glob("*.pack")).unlink()
    keep = day(local_lake)
    assert not keep.is_complete
    assert keep.get("O:SPXW1") is None
    assert len(HistoryCache(local_lake).verify()) == 5


def test_what_another_process_packed_meanwhile_is_found(lake):
    held = fill(lake, complete=False)
    early = day(lake)
    assert early.get("O:SPXW0") == held["O:SPXW0"]
    day(lake).mark_complete()
    assert early.get("O:SPXW1") == held["O:SPXW1"]


def test_a_payload_put_while_another_process_marks_leaves_the_session_partial(lake):
    fill(lake, complete=False)
    early = day(lake)
    early.get("O:SPXW0")
    day(lake).mark_complete()
    early.put("late", b"late")
    assert not day(lake).is_complete
    assert day(lake).mark_complete()
    assert day(lake).get("late") == b"late"


def test_forgetting_leaves_nothing(lake):
    fill(lake)
    assert day(lake).forget() >= 2
    assert day(lake).get("O:SPXW1") is None
    assert HistoryCache(lake).holdings() == []
    assert day(lake).forget() == 0


def test_holdings_tell_sessions_payloads_and_bytes(lake):
    cache = HistoryCache(lake)
    for number, session in enumerate((date(2026, 11, 18), SESSION, date(2026, 11, 19))):
        keep = cache.day("polygon", "option_trades", "SPX", session)
        keep.put("a", b"1")
        keep.put("b", b"2")
        if number:
            keep.mark_complete()
    cache.day("deribit", "index_values", "BTC", SESSION).put("only", b"3")
    held = {(h.provider, h.dataset, h.underlying): h for h in cache.holdings()}
    spx = held["polygon", "option_trades", "SPX"]
    assert spx == CacheHolding(
        provider="polygon",
        dataset="option_trades",
        underlying="SPX",
        complete=2,
        partial=1,
        pieces=6,
        bytes=spx.bytes,
        first=date(2026, 11, 18),
        last=SESSION,
    )
    assert spx.sessions == 3
    files = lake.files_below("polygon/option_trades/SPX")
    sizes = lake.fs.get_file_info([lake.locate(name) for name in files if ".lock" not in name])
    assert spx.bytes == sum(info.size for info in sizes)
    assert held["deribit", "index_values", "BTC"].partial == 1


def test_files_of_others_are_no_sessions(local_lake):
    fill(local_lake)
    for name in ("a/b/c/not-a-date/x.piece", "polygon/option_trades/x.piece", "a/b/c/d/e.pack"):
        path = Path(local_lake.root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert [h.pieces for h in HistoryCache(local_lake).holdings()] == [5]


def test_old_sessions_can_be_pruned(lake):
    cache = HistoryCache(lake)
    for session in (date(2025, 1, 2), SESSION):
        cache.day("polygon", "option_trades", "SPX", session).put("a", b"1")
    assert cache.prune(before=date(2026, 1, 1)) == 1
    assert [h.first for h in cache.holdings()] == [SESSION]


def test_a_whole_cache_verifies_clean(lake):
    fill(lake)
    HistoryCache(lake).day("polygon", "option_bars", "SPX", SESSION).put("a", b"1")
    assert HistoryCache(lake).verify() == []


@pytest.mark.parametrize("word", ["", "..", "a/b", ".hidden", "a b"])
def test_a_word_that_is_no_folder_is_refused(local_lake, word):
    with pytest.raises(BadInputError, match="cannot name a folder"):
        HistoryCache(local_lake).day(word, "option_trades", "SPX", SESSION)


def test_a_cache_that_cannot_be_written_says_so(tmp_path):
    store = open_lake(str(tmp_path / "cache"))
    (tmp_path / "cache" / "polygon").write_text("a file in the way")
    with pytest.raises(LakeUnavailableError):
        day(store).put("a", b"1")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "mark", "get", "again"]), st.integers(0, 3), st.binary()),
        max_size=12,
    )
)
def test_whatever_is_done_the_last_payload_put_is_the_one_held(tmp_path_factory, steps):
    store = open_lake(str(tmp_path_factory.mktemp("cache")))
    keep, held, marked = day(store), {}, False
    for what, number, payload in steps:
        piece = f"piece {number}"
        if what == "put":
            keep.put(piece, payload)
            held[piece] = payload
            marked = False
        elif what == "mark":
            marked = keep.mark_complete()
            assert marked == bool(held)
        elif what == "again":
            keep = day(store)
        assert keep.get(piece) == held.get(piece)
    assert day(store).pieces() == sorted(held)
    assert day(store).is_complete == marked
    assert not keep.damaged


def _fill_and_mark(root: str) -> bool:
    store = open_lake(root)
    keep = day(store)
    for i in range(40):
        if keep.get(f"piece {i}") is None:
            keep.put(f"piece {i}", f"payload {i}".encode())
    return keep.mark_complete([f"piece {i}" for i in range(40)])


def test_processes_that_fill_the_same_session_at_once_agree(tmp_path):
    root = str(tmp_path / "cache")
    with ProcessPoolExecutor(3) as pool:
        assert any(pool.map(_fill_and_mark, [root] * 3))
    assert _fill_and_mark(root)
    look = day(open_lake(root))
    assert look.is_complete
    assert [look.get(f"piece {i}") for i in range(40)] == [
        f"payload {i}".encode() for i in range(40)
    ]
    assert HistoryCache(open_lake(root)).verify() == []


DIE_IN = """
import os, signal, sys
from datetime import date
from dealer_assets.lake.cache import HistoryCache
from dealer_assets.lake.storage import Lake, open_lake

root, step = sys.argv[1:]
keep = HistoryCache(open_lake(root)).day("polygon", "option_trades", "SPX", date(2026, 11, 20))
for i in range(5):
    keep.put(f"O:SPXW{i}", f"payload {i}".encode() * 50)
whole, calls = getattr(Lake, step), []
def dying(self, *arguments):
    calls.append(arguments)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, *arguments)
setattr(Lake, step, dying)
keep.mark_complete()
"""


@pytest.mark.parametrize("step", ["put", "remove"])
def test_a_process_killed_while_marking_loses_nothing(local_lake, step):
    project = Path(dealer_assets.__file__).parents[1]
    command = [sys.executable, "-c", DIE_IN, local_lake.root, step]
    died = subprocess.run(command, cwd=project, check=False).returncode
    assert died == -signal.SIGKILL
    look = day(local_lake)
    assert not look.is_complete
    held = {f"O:SPXW{i}": f"payload {i}".encode() * 50 for i in range(5)}
    assert {piece: look.get(piece) for piece in held} == held
    assert look.mark_complete(held)
    assert day(local_lake).is_complete
    assert day(local_lake).verify() == []

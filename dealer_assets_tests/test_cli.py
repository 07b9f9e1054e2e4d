"""The command as a user types it: results, refusals, exit codes, and nothing half-written."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dealer_assets.cli import app, main

BAND = {
    "flip_lo",
    "flip_median",
    "flip_hi",
    "flip_pct",
    "convention_lo",
    "convention_hi",
    "oi_age_lo",
    "oi_age_hi",
    "sticky_moneyness",
    "sticky_moneyness_lo",
    "sticky_moneyness_hi",
    "net_gamma_lo_usd_per_pct",
    "net_gamma_hi_usd_per_pct",
    "call_wall_stability",
    "put_wall_stability",
    "forwards_settled_share",
    "vols_settled_share",
    "resamples",
}
KEYS = {
    "underlying",
    "session_date",
    "as_of",
    "known_at",
    "spot",
    "spot_source",
    "contracts",
    "contracts_used",
    "rejected",
    "net_gamma_exposure_usd_per_pct",
    "call_gamma_exposure_usd_per_pct",
    "put_gamma_exposure_usd_per_pct",
    "gross_gamma_exposure_usd_per_pct",
    "net_delta_exposure_usd",
    "net_vanna_exposure_usd_per_vol_pt",
    "net_charm_exposure_usd_per_day",
    "net_volga_exposure_usd_per_vol_pt2",
    "positions",
    "flip",
    "band",
    "expected_move",
    "walls",
    "zero_dte_share",
    "expiries",
    "quality",
    "model",
    "conventions",
}
POSITIONS = {
    "unpositioned_oi_share",
    "net_gamma_sd_usd_per_pct",
    "net_delta_lo_usd",
    "net_delta_hi_usd",
    "net_vanna_lo_usd_per_vol_pt",
    "net_vanna_hi_usd_per_vol_pt",
    "net_charm_lo_usd_per_day",
    "net_charm_hi_usd_per_day",
    "net_volga_lo_usd_per_vol_pt2",
    "net_volga_hi_usd_per_vol_pt2",
}
WALLS = {"call", "put", "call_side", "put_side", "absolute_gamma", "max_pain"}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refuse(capsys, *arguments: object) -> str:
    """Run the real entry point, expect a refusal, return what it says."""
    import sys

    old, sys.argv = sys.argv, ["dealer", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as stop:
            main()
    finally:
        sys.argv = old
    assert stop.value.code == 1
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("error:")
    return said


def levels(path: Path, *options: str) -> dict:
    result = run("levels", path, "--json", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_levels_json_has_the_documented_keys(chain_file: Path) -> None:
    document = levels(chain_file)
    assert set(document) == KEYS
    assert set(document["walls"]) == WALLS
    assert set(document["positions"]) == POSITIONS
    assert set(document["flip"]) == {"price", "status", "pct", "all", "slopes"}
    assert set(document["band"]) == BAND
    assert set(document["expected_move"]) == {"straddle_usd", "vol_365_usd", "vol_252_usd"}
    assert document["underlying"] == "SPX"
    assert document["as_of"] == "2023-05-19T20:15:00+00:00"
    assert document["spot"] == 4000.0
    assert document["model"] == "naive"


def test_levels_account_for_every_contract(chain_file: Path) -> None:
    document = levels(chain_file)
    assert document["contracts"] == document["contracts_used"] + sum(document["rejected"].values())


def test_levels_net_is_calls_plus_puts(chain_file: Path) -> None:
    document = levels(chain_file)
    net = document["net_gamma_exposure_usd_per_pct"]
    calls = document["call_gamma_exposure_usd_per_pct"]
    puts = document["put_gamma_exposure_usd_per_pct"]
    assert calls > 0 > puts
    assert net == pytest.approx(calls + puts, rel=1e-12)


def test_levels_as_of_moves_the_clock_and_says_so(chain_file: Path) -> None:
    document = levels(chain_file, "--as-of", "2023-05-19T15:00:00-04:00")
    assert document["as_of"] == "2023-05-19T19:00:00+00:00"
    codes = [f["code"] for f in document["quality"]["findings"]]
    assert "as_of_overridden" in codes


def test_levels_draws_a_picture(chain_file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "profile.png"
    assert run("levels", chain_file, "--png", picture).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_levels_needs_no_lake(chain_file: Path, data_dir: Path) -> None:
    levels(chain_file)
    assert not data_dir.exists()


def test_levels_as_of_without_offset_is_refused(chain_file: Path, capsys) -> None:
    assert "no UTC offset" in refuse(capsys, "levels", chain_file, "--as-of", "2023-05-19T15:00")


def test_levels_unknown_model_is_refused(chain_file: Path, capsys) -> None:
    said = refuse(capsys, "levels", chain_file, "--model", "psychic")
    assert "psychic" in said
    assert "naive" in said


def test_levels_of_several_models_stand_side_by_side(chain_file: Path) -> None:
    result = run("levels", chain_file, "--model", "naive,inverted")
    assert result.exit_code == 0
    (head,) = (line for line in result.output.splitlines() if "naive" in line and "inver" in line)
    (net,) = (line for line in result.output.splitlines() if line.startswith("net gamma"))
    assert head.split() == ["naive", "inverted"]
    naive, _, inverted, _ = net.removeprefix("net gamma").split()
    assert float(naive) == -float(inverted) != 0.0


def test_levels_json_of_several_models_is_one_document_each(chain_file: Path) -> None:
    naive, inverted = levels(chain_file, "--model", "naive,inverted")
    assert [naive["model"], inverted["model"]] == ["naive", "inverted"]
    net = "net_gamma_exposure_usd_per_pct"
    assert inverted[net] == -naive[net]
    assert naive["band"]["resamples"] == 200
    assert inverted["band"]["resamples"] == 0


def test_levels_of_all_models_leaves_out_those_that_a_file_cannot_tell(chain_file: Path) -> None:
    result = run("levels", chain_file, "--model", "all", "--json")
    assert [document["model"] for document in json.loads(result.stdout)] == [
        "naive",
        "inverted",
        "long_gamma",
        "short_gamma",
    ]
    said = " ".join(result.stderr.split())
    assert "left out: taker_flow, open_close, reconciled: it reads settled positions" in said


def test_levels_of_a_model_that_needs_settled_positions_says_how_to_get_them(
    chain_file: Path, capsys
) -> None:
    said = refuse(capsys, "levels", chain_file, "--model", "reconciled")
    assert "dealer_positions" in said
    assert "dealer backfill" in said


def spoilt(kind: str, chain) -> bytes:
    rows = chain.rows()
    text = chain.text()
    if kind == "empty":
        return b""
    if kind == "html":
        return b"<!DOCTYPE html><html><body>403 Forbidden</body></html>"
    if kind == "truncated gzip":
        return gzip.compress(text.encode())[:-200]
    if kind == "unknown symbol":
        return text.replace("SPXW2", "ZZZZ2").encode()
    if kind == "binary":
        return bytes(range(256)) * 40
    column = {"negative open interest": 10, "crossed quotes": 4, "NaN strikes": 11}[kind]
    value = {"negative open interest": "-5", "crossed quotes": "99999", "NaN strikes": "nan"}[kind]
    for row in rows[::3]:
        row[column] = value
        if kind == "NaN strikes":
            row[1] = row[12] = ""
    return chain.text(rows).encode()


KINDS = [
    "empty",
    "html",
    "truncated gzip",
    "unknown symbol",
    "binary",
    "negative open interest",
    "crossed quotes",
    "NaN strikes",
]


@pytest.mark.parametrize("kind", KINDS)
def test_bad_file_is_refused_with_a_reason_and_nothing_is_written(
    kind: str, tmp_path: Path, made_up_chain, data_dir: Path, capsys
) -> None:
    path = tmp_path / ("bad.csv.gz" if kind == "truncated gzip" else "bad.csv")
    path.write_bytes(spoilt(kind, made_up_chain))
    said = refuse(capsys, "levels", path)
    assert "bad.csv" in said

    result = run("import", path)
    assert result.exit_code == 1
    assert "refused" in result.output
    assert list(data_dir.rglob("*.parquet")) == []


def test_missing_file_is_refused_by_name(tmp_path: Path, capsys) -> None:
    assert "nowhere.csv" in refuse(capsys, "levels", tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [(10, "-5", "negative_open_interest"), (4, "99999", "crossed_quote")],
)
def test_one_impossible_row_is_quarantined_and_the_exit_code_says_so(
    column: int, value: str, reason: str, tmp_path: Path, made_up_chain, data_dir: Path
) -> None:
    rows = made_up_chain.rows()
    rows[100][column] = value
    path = tmp_path / "one_bad_row.csv"
    path.write_text(made_up_chain.text(rows))
    result = run("levels", path, "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["rejected"][reason] == 1
    assert run("import", path).exit_code == 3
    assert len(list(data_dir.rglob("lake/rejected_rows/underlying=SPX/**/*.parquet"))) == 1


def test_unwritable_data_folder_is_an_error_that_names_the_setting(
    chain_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    from dealer_assets.settings import settings

    blocker = tmp_path / "a_file"
    blocker.write_text("not a folder")
    monkeypatch.setenv("DEALER_DATA_DIR", str(blocker / "data"))
    settings.cache_clear()
    said = refuse(capsys, "import", chain_file)
    settings.cache_clear()
    assert "DEALER_" in said


def test_import_twice_changes_nothing(chain_file: Path, data_dir: Path) -> None:
    assert run("import", chain_file).exit_code == 0
    before = {p: p.read_bytes() for p in data_dir.rglob("*.parquet")}
    again = run("import", chain_file)
    assert again.exit_code == 0
    assert "1 held" in again.output
    assert {p: p.read_bytes() for p in data_dir.rglob("*.parquet")} == before


def test_parts_of_a_chain_are_assembled_in_any_order(
    tmp_path: Path, made_up_chain, data_dir: Path
) -> None:
    near = replace(made_up_chain, expiry_days=(3, 4), downloaded="May 19, 2023 at 6:00 PM EDT")
    far = replace(made_up_chain, expiry_days=(60, 91), downloaded="May 19, 2023 at 6:30 PM EDT")
    for name, chain in (("near.csv", near), ("far.csv", far)):
        (tmp_path / name).write_text(chain.text())

    def lake_after(*names: str) -> dict[str, bytes]:
        import shutil

        shutil.rmtree(data_dir, ignore_errors=True)
        assert run("import", *(tmp_path / n for n in names)).exit_code == 0
        return {
            p.name: p.read_bytes() for p in data_dir.rglob("lake/chain_snapshots/**/2*.parquet")
        }

    forwards, backwards = lake_after("near.csv", "far.csv"), lake_after("far.csv", "near.csv")
    assert forwards == backwards
    assert list(forwards) == ["201500.parquet"]


def test_backfill_without_chains_says_what_to_do(data_dir: Path, capsys) -> None:
    said = refuse(
        capsys, "backfill", "--underlying", "SPX", "--from", "2023-01-01", "--to", "2023-02-01"
    )
    assert "dealer import" in said


def test_backfill_of_an_unknown_underlying_lists_those_that_exist(data_dir: Path, capsys) -> None:
    said = refuse(
        capsys, "backfill", "--underlying", "ZZZ", "--from", "2023-01-01", "--to", "2023-02-01"
    )
    assert "SPX" in said


def test_status_of_an_empty_lake_says_how_to_start(data_dir: Path) -> None:
    result = run("status")
    assert result.exit_code == 0
    assert "dealer demo" in result.output


def test_tables_explains_one_table() -> None:
    result = run("tables", "exposure_levels")
    assert result.exit_code == 0
    assert "flip_status" in result.output


@pytest.mark.parametrize(
    "command", ["demo", "import", "levels", "backfill", "snapshot", "status", "tables"]
)
def test_every_command_explains_itself(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5

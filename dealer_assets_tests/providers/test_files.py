"""Chain files on disk: archives, damage, formats. All quotes are made up."""

import gzip
import io
import os
import tarfile
import zipfile
from datetime import date

import pytest
from hypothesis import given, strategies as st

from dealer_assets.errors import BadInputError
from dealer_assets.providers import files
from dealer_assets.providers.files import format_names, named_date, read_chain_file
from dealer_assets.providers.source_names import named_underlying

HALF = "Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest"
CELLS = "2.5,0.1,2.4,2.6,11,0.21,0.51,0.05,21"


def chain_bytes(root="SPY", strikes=(95, 100, 105)):
    lines = [
        "",
        "SPDR S&P 500 ETF Trust,Last: 100.5,Change:  -1.25",
        '"Date: May 10, 2023 at 5:39 PM EDT",Bid: 100.4,Ask: 100.6',
        f"Expiration Date,Calls,{HALF},Strike,Puts,{HALF}",
    ]
    for strike in strikes:
        symbol = f"{root}230512{{}}{strike * 1000:08d}"
        call, put = symbol.format("C"), symbol.format("P")
        lines.append(f"Fri May 12 2023,{call},{CELLS},{strike}.00,{put},{CELLS}")
    return "\n".join([*lines, ""]).encode()


def tar_bytes(members, *, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_bytes(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def stored(tmp_path):
    """Write content under a name and return the path."""

    def store(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return store


MEMBERS = {
    "b/spy-2.csv": chain_bytes(strikes=(110,)),
    "spy-1.csv": chain_bytes(strikes=(90,)),
    ".hidden.csv": b"junk",
    "__MACOSX/spy-1.csv": b"junk",
}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("SPY_2023-05-10.csv", chain_bytes()),
        ("SPY_2023-05-10.csv.gz", gzip.compress(chain_bytes(), mtime=0)),
        ("SPY_2023-05-10.dat", gzip.compress(chain_bytes(), mtime=0)),
        ("SPY_2023-05-10.csv.gz", chain_bytes()),
    ],
    ids=["plain", "gzip", "gzip under another suffix", "plain under a gzip suffix"],
)
def test_a_single_file_gives_one_snapshot_whatever_its_suffix(stored, name, content):
    (snapshot,) = read_chain_file(stored(name, content))

    assert snapshot.rows.num_rows == 6
    assert snapshot.source_name == name
    assert snapshot.session_date == date(2023, 5, 10)


def test_the_hash_is_of_the_unpacked_payload(stored):
    (plain,) = read_chain_file(stored("SPY.csv", chain_bytes()))
    (packed,) = read_chain_file(stored("SPY.csv.gz", gzip.compress(chain_bytes(), mtime=0)))

    assert plain.source_sha256 == packed.source_sha256
    assert len(plain.source_sha256) == 64


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("SPY_2023-05-10.tar.gz", tar_bytes(MEMBERS)),
        ("SPY_2023-05-10.tgz", tar_bytes(MEMBERS)),
        ("SPY_2023-05-10.tar", tar_bytes(MEMBERS, mode="w")),
        ("SPY_2023-05-10.zip", zip_bytes(MEMBERS)),
    ],
)
def test_an_archive_gives_a_snapshot_per_member_in_order_of_names(stored, name, content):
    snapshots = read_chain_file(stored(name, content))

    assert [s.source_name for s in snapshots] == [f"{name}:spy-2.csv", f"{name}:spy-1.csv"]
    assert [s.rows["strike"][0].as_py() for s in snapshots] == [110.0, 90.0]


def test_a_given_name_stands_for_that_of_a_temporary_file(stored):
    (snapshot,) = read_chain_file(stored("tmp123", chain_bytes()), name="SPY_2023-05-09.csv")

    assert snapshot.source_name == "SPY_2023-05-09.csv"
    assert [f.code for f in snapshot.findings] == ["file_name_date_mismatch", "partial_chain"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found an empty file"),
        (b"\n \n", "found an empty file"),
        (gzip.compress(b"", mtime=0), "found an empty file"),
        (gzip.compress(chain_bytes(), mtime=0)[:-20], "damaged or cut short"),
        (gzip.compress(chain_bytes(), mtime=0)[:30] + b"\x00" * 30, "damaged or cut short"),
        (tar_bytes(MEMBERS)[:-40], "damaged or cut short"),
        (tar_bytes(MEMBERS, mode="w")[:700], "damaged or cut short"),
        (zip_bytes(MEMBERS)[:-30], "damaged or cut short"),
        (tar_bytes({}), "found no file in it|none of them"),
        (tar_bytes({".hidden": b"x"}), "found no file in it"),
        (b"<!DOCTYPE html><html><body>429 Too Many Requests</body></html>", "found a web page"),
        (b"some,other,csv\n1,2,3\n", "expected one of the formats cboe_csv"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "expected one of the formats cboe_csv"),
        (chain_bytes(root="ZZZ"), "unknown option root 'ZZZ'"),
        (tar_bytes({"good.csv": chain_bytes(), "bad.csv": b"?"}), "expected one of the formats"),
    ],
)
def test_a_defective_file_is_refused_with_its_name_and_the_defect(stored, content, message):
    with pytest.raises(BadInputError, match=message) as refusal:
        read_chain_file(stored("bad_chain.bin", content))

    assert "bad_chain.bin" in str(refusal.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(BadInputError, match=f"{path.name}: expected a readable file"):
            read_chain_file(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads files without permission")
def test_a_file_without_permission_is_refused(stored):
    path = stored("secret.csv", chain_bytes())
    path.chmod(0)

    with pytest.raises(BadInputError, match="Permission denied"):
        read_chain_file(path)


@pytest.mark.parametrize("pack", [gzip.compress, lambda c: zip_bytes({"a.csv": c})])
def test_an_archive_that_unpacks_beyond_all_measure_is_refused(stored, monkeypatch, pack):
    monkeypatch.setattr(files, "MAX_BYTES", 10_000)

    with pytest.raises(BadInputError, match=r"10,000"):
        read_chain_file(stored("bomb.gz", pack(b"0" * 20_000)))


def test_reading_twice_gives_equal_snapshots(stored):
    path = stored("SPY_2023-05-10.tar.gz", tar_bytes(MEMBERS))
    first, second = read_chain_file(path), read_chain_file(path)

    assert [s.rows for s in first] == [s.rows for s in second]
    assert [s.findings for s in first] == [s.findings for s in second]


def test_every_known_format_is_named():
    listed = ("cboe_csv", "cboe_json", "eod_l3", "yahoo", "deribit_csv", "tardis")
    assert format_names() == listed


@given(payload=st.binary(max_size=600), prefix=st.sampled_from([b"", b"\x1f\x8b", b"PK\x03\x04"]))
def test_random_bytes_are_refused_and_nothing_else(payload, prefix, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "random.bin"
    path.write_bytes(prefix + payload)

    with pytest.raises(BadInputError, match=r"random\.bin"):
        read_chain_file(path)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("SPX_2023-04-14_full.csv.gz", date(2023, 4, 14)),
        ("spx 2023_04_14.csv", date(2023, 4, 14)),
        ("deribit_20251230T173115Z.csv", date(2025, 12, 30)),
        ("a.tar.gz:spx.csv", None),
        ("SPX_2023-02-31.csv", None),
        ("SPX_2023-13-01.csv", None),
        ("SPX_14-04-2023.csv", None),
        ("1202304145.csv", None),
        ("SPX_2023-02-31_2023-03-01.csv", date(2023, 3, 1)),
    ],
)
def test_the_date_in_a_name_is_read_when_it_is_one(name, day):
    assert named_date(name) == day


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("SPX_2023-04-14.csv", "SPX"),
        ("spx_quotedata-10.csv", "SPX"),
        ("SPXW.csv", "SPX"),
        ("ndx_quotedata.csv", "NDX"),
        ("quotedata.csv", None),
        ("SPXL_2023.csv", None),
        ("", None),
    ],
)
def test_the_leading_word_of_a_name_is_an_underlying_when_the_registry_knows_it(name, symbol):
    assert named_underlying(name) == symbol

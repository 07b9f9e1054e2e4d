"""The router of files that are no chains."""

import gzip
import io
import tarfile
import zipfile

import pytest
from hypothesis import given, strategies as st

from dealer_assets.errors import BadInputError
from dealer_assets.providers import files, record_files
from dealer_assets.providers.archives import HashingReader, members
from dealer_assets.providers.record_files import (
    is_record_file,
    read_record_file,
    record_format_names,
    sniff_record_file,
)

BLOTTER = (
    b"trade_id,traded_at,symbol,size_contracts\n"
    b"A-17,2026-10-01T10:32:05-04:00,SPXW261218C06400000,500\n"
)
TRADES = (
    b"exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
    b"deribit,BTC-30OCT26-100000-C,1790865000000000,1790865000007000,1,buy,0.03,2\n"
)
CHAIN = (
    b"exchange,symbol,timestamp,local_timestamp,type,strike_price,expiration,open_interest,"
    b"last_price,bid_price,bid_amount,bid_iv,ask_price,ask_amount,ask_iv,mark_price,mark_iv,"
    b"underlying_index,underlying_price,delta,gamma,vega,theta,rho\n"
    b"deribit,BTC-9JUN20-9875-P,1591574399413000,1591574400196008,put,9875,1591689600000000,0.1,"
    b"0.0295,0.0205,15.1,55.91,0.0235,15.2,68.94,0.0221,62.89,SYN.BTC-9JUN20,9756.36,-0.6,0.001,"
    b"2.2,-53,-0.2\n"
)


def zipped(contents):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(contents):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def stored(tmp_path):
    """Write content under a name and return the path."""

    def store(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return store


# --- routing ----------------------------------------------------------------------------------


def test_every_known_format_is_named():
    assert record_format_names() == (
        "blotter", "cme_text", "cme_json", "open_close", "occ", "reference_rates",
        "price_csv", "tardis_trades", "dtcc", "cme_csv",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("head", "format_name"),
    [
        (BLOTTER, "blotter"),
        (b"   FINAL PRICES AS OF 08/21/26 06:00 PM\nMTH/\nSTRIKE  OPEN", "cme_text"),
        (b'{"settlements": [{"strike": "1", "openInterest": "2"}]}', "cme_json"),
        (b'{"monthData": [{"strikeData": []}]}', "cme_json"),
        (b"BizDt,Sym,ID,StrkPx,SecTyp,MMY,MatDt,PutCall\n", "cme_csv"),
        (b'"Dissemination Identifier","Action type"\n', "dtcc"),
        (b"quantity,underlying,symbol,actype,porc,exchange,actdate\n", "occ"),
        (b"observation_date,DGS10\n2026-01-02,4.1\n", "reference_rates"),
        (TRADES, "tardis_trades"),
        (CHAIN, None),
        (b"", None),
        (b"some,other,csv\n1,2,3\n", None),
        (b"\x89PNG\r\n", None),
    ],
)
def test_a_format_is_told_by_content(head, format_name):
    assert sniff_record_file(head, "anything") == format_name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("desk.csv", BLOTTER),
        ("desk.csv.gz", gzip.compress(BLOTTER, mtime=0)),
        ("desk.dat", gzip.compress(BLOTTER, mtime=0)),
        ("desk.zip", zipped({"inner/desk.csv": BLOTTER, "__MACOSX/desk.csv": b"junk"})),
        ("desk.tgz", tarred({"desk.csv": BLOTTER, ".hidden": b"junk"})),
        ("desk.zip.gz", gzip.compress(zipped({"desk.csv": BLOTTER}), mtime=0)),
    ],
)
def test_a_file_is_read_whatever_it_is_packed_in(stored, name, content):
    path = stored(name, content)
    assert is_record_file(path)
    (records,) = read_record_file(path)
    plain = name in ("desk.csv", "desk.csv.gz", "desk.dat")
    assert records.source_name == (name if plain else f"{name}:desk.csv")
    assert records.rows.num_rows == 1


def test_the_hash_is_of_the_unpacked_content_streamed_or_not(stored):
    paths = [stored("a.csv", BLOTTER), stored("a.csv.gz", gzip.compress(BLOTTER, mtime=0))]
    hashes = {read_record_file(path)[0].source_sha256 for path in paths}
    assert len(hashes) == 1
    reader = HashingReader(io.BytesIO(BLOTTER))
    assert reader.read(10) == BLOTTER[:10]
    assert reader.hexdigest() == hashes.pop()


def test_an_archive_gives_the_records_of_every_member_in_order_of_names(stored):
    path = stored("all.zip", zipped({"b.csv": BLOTTER, "a.csv": TRADES}))
    assert [r.source_name for r in read_record_file(path)] == ["all.zip:a.csv", "all.zip:b.csv"]


def test_a_given_name_stands_for_that_of_a_temporary_file(stored):
    (records,) = read_record_file(stored("tmp123", BLOTTER), name="desk.csv")
    assert records.source_name == "desk.csv"


def test_chains_and_empty_files_are_left_to_the_reader_of_chains(stored):
    assert not is_record_file(stored("chain.csv", CHAIN))
    assert not is_record_file(stored("empty.csv", b" \n"))
    assert not is_record_file(stored("page.html", b"<!DOCTYPE html><html></html>"))
    assert not is_record_file(stored("empty.zip", zipped({})))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a chain or records, found an empty file"),
        (b"<!DOCTYPE html><html>403</html>", "found a web page"),
        (zipped({}), "found no file in it"),
        (CHAIN, "found a chain of format tardis"),
        (zipped({"a.csv": BLOTTER, "b.csv": CHAIN}), "found a chain of format tardis"),
        (gzip.compress(BLOTTER, mtime=0)[:-9], "damaged or cut short"),
        (zipped({"a.csv": BLOTTER})[:-30], "damaged or cut short"),
        (b"some,other,csv\n1,2,3\n", "found none of these formats"),
    ],
)
def test_a_defective_file_is_refused_with_its_name_and_the_defect(stored, content, message):
    with pytest.raises(BadInputError, match=message) as refusal:
        read_record_file(stored("odd.bin", content))
    assert "odd.bin" in str(refusal.value)


def test_a_file_that_nobody_knows_comes_here_to_be_refused_with_all_formats(stored):
    path = stored("odd.csv", b"some,other,csv\n1,2,3\n")
    assert is_record_file(path)
    with pytest.raises(BadInputError) as refusal:
        read_record_file(path)
    for name in (*files.format_names(), *record_format_names()):
        assert name in str(refusal.value)


@pytest.mark.parametrize("pack", [gzip.compress, lambda c: zipped({"a.csv": c}), lambda c: c])
def test_a_file_beyond_the_limit_is_refused_before_it_is_held(stored, monkeypatch, pack):
    monkeypatch.setattr(record_files, "MAX_BYTES", 10_000)
    rows = BLOTTER + BLOTTER.split(b"\n")[1] * 1000
    with pytest.raises(BadInputError, match=r"10,000"):
        read_record_file(stored("bomb.gz", pack(rows)))


def test_a_missing_file_is_refused(tmp_path):
    for read in (read_record_file, is_record_file):
        with pytest.raises(BadInputError, match=r"absent\.csv: expected a readable file"):
            read(tmp_path / "absent.csv")


def test_a_stream_that_ends_early_is_refused_as_damage(stored):
    columns = '"Dissemination Identifier","Original Dissemination Identifier","Action type",'
    columns += '"Execution Timestamp","Notional amount-Leg 1","Strike Price","UPI FISN"\n'
    row = '"1","","NEWT","2026-10-01T08:15:22Z","1","1","NA/O Call EUR USD"\n'
    whole = gzip.compress((columns + row * 20_000).encode(), mtime=0)
    path = stored("CFTC_CUMULATIVE_FOREX_2026_10_01.csv.gz", whole[: len(whole) // 2])
    with pytest.raises(BadInputError, match="damaged or cut short"):
        read_record_file(path)


def test_an_encrypted_archive_is_refused(stored):
    content = bytearray(zipped({"a.csv": BLOTTER}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1  # the flag that says so
    with pytest.raises(BadInputError, match="encrypted"):
        read_record_file(stored("secret.zip", bytes(content)))


def test_a_member_can_be_opened_again_from_its_start(stored):
    for member in members(stored("desk.zip", zipped({"a.csv": BLOTTER})), name="desk.zip"):
        assert member.head() == member.head() == member.read(limit=1000) == BLOTTER


@given(payload=st.binary(max_size=600), prefix=st.sampled_from([b"", b"\x1f\x8b", b"PK\x03\x04"]))
def test_random_bytes_are_refused_and_nothing_else(payload, prefix, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "random.bin"
    path.write_bytes(prefix + payload)
    with pytest.raises(BadInputError, match=r"random\.bin"):
        read_record_file(path)

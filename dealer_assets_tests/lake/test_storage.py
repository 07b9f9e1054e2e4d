"""Opening a lake and its atomic file operations, on a folder and on S3."""

import os
import pickle
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pytest

from dealer_assets.errors import BadInputError, LakeUnavailableError
from dealer_assets.lake import layout, storage
from dealer_assets.lake.storage import Lake, open_lake

OLD, NEW = pa.py_buffer(b"old"), pa.py_buffer(b"new")


def _content(lake: Lake, path: str) -> bytes | None:
    file = lake.open(path)
    return None if file is None else bytes(file.read())


def test_missing_folder_is_created(tmp_path: Path) -> None:
    lake = open_lake(str(tmp_path / "a" / "lake"))
    assert (tmp_path / "a" / "lake").is_dir()
    assert lake.is_local


def test_file_uri_opens_the_folder_it_names(tmp_path: Path) -> None:
    lake = open_lake(f"file://{tmp_path}/with%20space")
    assert lake.root == str(tmp_path / "with space")


@pytest.mark.parametrize("uri", ["gs://bucket", "file://host/folder", "s3://", "", "http://x/y"])
def test_other_addresses_are_refused(uri: str) -> None:
    with pytest.raises(BadInputError, match="expected"):
        open_lake(uri)


def test_one_credential_without_the_other_is_refused() -> None:
    with pytest.raises(BadInputError, match="incomplete"):
        open_lake("s3://bucket", s3_access_key="only")


def test_lake_below_a_regular_file_names_the_folder_and_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LakeUnavailableError, match=r"file/lake.*DEALER_LAKE_URI"):
        open_lake(str(tmp_path / "file" / "lake"))


def test_lake_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(LakeUnavailableError, match="cannot be used"):
        open_lake(str(tmp_path / "file"))


def test_require_writable_leaves_nothing_behind(lake: Lake) -> None:
    lake.require_writable()
    assert lake.files_below("") == []


def test_require_writable_reports_a_folder_that_takes_no_files(tmp_path: Path) -> None:
    lake = Lake(pafs.LocalFileSystem(), "/proc/self", "/proc/self")
    with pytest.raises(LakeUnavailableError, match=r"cannot write.*/proc/self.*DEALER_LAKE_URI"):
        lake.require_writable()


def test_require_writable_reports_a_refusal_and_cleans_up() -> None:
    removed: list[str] = []

    class ReadOnly:
        type_name = "local"

        def get_file_info(self, _: object) -> list[object]:
            return []

        def open_output_stream(self, _: str) -> None:
            raise PermissionError("read-only file system")

        def delete_file(self, path: str) -> None:
            removed.append(path)

    with pytest.raises(LakeUnavailableError, match="read-only file system"):
        Lake(ReadOnly(), "/lake", "/lake").require_writable()
    assert [layout.is_temp_name(Path(path).name) for path in removed] == [True]


def test_folder_that_may_not_be_listed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(f"permission denied: {path}")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(LakeUnavailableError, match="permission denied"):
        open_lake(str(tmp_path))


def test_missing_bucket_is_reported_with_what_to_check(s3_lake: Lake) -> None:
    lake = replace(s3_lake, root="no-such-bucket/lake", uri="s3://no-such-bucket/lake")
    with pytest.raises(LakeUnavailableError, match=r"s3://no-such-bucket/lake.*check bucket"):
        lake.require_writable()


def test_s3_nobody_answers_is_reported() -> None:
    lake = open_lake(
        "s3://bucket/x",
        s3_endpoint="http://127.0.0.1:9",
        s3_region="us-east-1",
        s3_access_key="a",
        s3_secret_key="b",
    )
    with pytest.raises(LakeUnavailableError, match="check bucket, endpoint"):
        lake.require_writable()


def test_put_then_read_gives_the_bytes(lake: Lake) -> None:
    assert lake.put("folder/file", OLD) is True
    assert lake.put("folder/file", NEW) is True
    assert _content(lake, "folder/file") == b"new"


def test_put_of_the_same_bytes_writes_nothing(lake: Lake) -> None:
    lake.put("folder/file", OLD)
    assert lake.put("folder/file", OLD) is False


def test_open_of_nothing_is_none(lake: Lake) -> None:
    assert lake.open("folder/file") is None


def test_remove_tells_whether_there_was_a_file(lake: Lake) -> None:
    lake.put("folder/file", OLD)
    assert lake.remove("folder/file") is True
    assert lake.remove("folder/file") is False


def test_listings_tell_files_from_folders_and_are_sorted(lake: Lake) -> None:
    for path in ("t/b/2", "t/a/1", "t/file"):
        lake.put(path, OLD)
    assert lake.files("t") == ["file"]
    assert lake.folders("t") == ["a", "b"]
    assert lake.files_below("t") == ["t/a/1", "t/b/2", "t/file"]
    assert lake.files("absent") == lake.folders("absent") == lake.files_below("absent") == []


def test_lake_survives_pickling(lake: Lake) -> None:
    lake.put("folder/file", OLD)
    assert _content(pickle.loads(pickle.dumps(lake)), "folder/file") == b"old"


def test_failed_write_keeps_the_old_file_and_no_temporary_one(
    local_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_lake.put("folder/file", OLD)

    def refuse(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(LakeUnavailableError, match=r"folder/file.*no space left"):
            local_lake.put("folder/file", NEW)
    assert _content(local_lake, "folder/file") == b"old"
    assert local_lake.files("folder") == ["file"]


def test_put_removes_temporary_files_over_an_hour_old_and_keeps_younger_ones(
    local_lake: Lake,
) -> None:
    local_lake.put("folder/file", OLD)
    stale, young = layout.temp_name(1, "stale"), layout.temp_name(2, "young")
    for name, age in ((stale, storage.STALE_TEMP_SECONDS + 60), (young, 60.0)):
        path = Path(local_lake.locate(f"folder/{name}"))
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    local_lake.put("folder/file", OLD)
    assert local_lake.files("folder") == [young, "file"]


def test_small_upload_to_s3_is_one_put(s3_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.s3.models import S3Backend

    calls: list[str] = []
    for name in ("put_object", "create_multipart_upload"):
        original = getattr(S3Backend, name)

        def spy(
            self: object, *args: object, _name: str = name, _call: object = original, **kw: object
        ) -> object:
            calls.append(_name)
            return _call(self, *args, **kw)  # type: ignore[operator]

        monkeypatch.setattr(S3Backend, name, spy)
    s3_lake.put("folder/file", pa.py_buffer(bytes(1_000_000)))
    assert calls == ["put_object"]

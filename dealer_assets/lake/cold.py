"""Sends a partition's files to cold storage, and fetches them.

Belongs here: the steps of a move there and back, whose cold storage it is. Does not belong here:
packing, what calls for a move (`lake/tiers.py`), what a reader is shown (`lake/storage.py`).

A file here goes before its namesake in cold storage, and a mark names what lies there. The mark is
put before a copy gets its name and removed last, so that what was killed in between is found.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

import pyarrow as pa

from dealer_assets.errors import LakeError
from dealer_assets.lake import layout
from dealer_assets.lake.locks import changing_tier
from dealer_assets.lake.storage import Lake
from dealer_assets.tables import Table


def send(lake: Lake, cold: Lake, table: Table, folder: str) -> dict[str, int]:
    """Move a partition's files to cold storage; return the names and bytes of those moved.

    Raises
    ------
    LakeError
        As `tiers.send_to_cold`.
    """
    sizes = {n: size for n, size in lake.sizes(folder).items() if layout.is_part_name(n)}
    if not sizes:
        return {}
    _require_own(lake, cold)
    _copy_schema(lake, cold, table)
    remove_staged(cold, folder, cold.sizes(folder))
    token = secrets.token_hex(4)
    copied: dict[str, pa.Buffer] = {}
    try:
        for name in sizes:
            copied[name] = _copy(lake, cold, f"{folder}/{name}", token)
        with changing_tier(lake, folder):
            _swap(lake, cold, folder, copied, token)
    finally:
        for name in sizes:
            cold.remove(f"{folder}/{layout.staged_name(name, token)}")
    return sizes


def recall(lake: Lake, folder: str) -> dict[str, int]:
    """Fetch a partition's files, its writers held off; return names and bytes of those fetched."""
    if lake.size_of(f"{folder}/{layout.COLD_MARK}") is None:
        return {}
    held = lake.cold_files(folder)
    assert lake.cold is not None  # else it was refused
    here = lake.sizes(folder)
    for name in held:
        if name not in here:
            path = f"{folder}/{name}"
            data = lake.cold.read(path)
            if data is None:
                raise LakeError(f"{path} is not in cold storage at {lake.cold.uri}: restore it")
            lake.put(path, data)
            if not data.equals(lake.read(path)):
                raise LakeError(f"{path} does not read back as it was written: it stays in cold")
    # the mark last: killed in between, what it names lies here
    for name in held:
        lake.cold.remove(f"{folder}/{name}")
    lake.remove(f"{folder}/{layout.COLD_MARK}")
    return held


def remove_staged(lake: Lake, folder: str, names: Mapping[str, int]) -> None:
    """Remove a folder's copies that were never proved."""
    for name in filter(layout.is_staged_name, names):
        lake.remove(f"{folder}/{name}")


def finish_sending(lake: Lake, folder: str) -> None:
    """Remove files here that lie in cold storage, byte by byte the same; forget what does not."""
    held = lake.cold_files(folder)
    if not held:
        return
    assert lake.cold is not None  # else it was refused
    here = lake.sizes(folder)
    there = lake.cold.sizes(folder)
    for name in set(held) & set(here) & set(there):
        path = f"{folder}/{name}"
        data = lake.cold.read(path)
        if data is not None and data.equals(lake.read(path)):
            lake.remove(path)
        else:  # what is here goes before it
            lake.cold.remove(path)
            del there[name]
    left = {name: size for name, size in held.items() if name in there or name not in here}
    if not left:
        lake.remove(f"{folder}/{layout.COLD_MARK}")
    elif left != held:
        lake.put(f"{folder}/{layout.COLD_MARK}", _mark(lake.cold, left))


def _swap(lake: Lake, cold: Lake, folder: str, copied: Mapping[str, pa.Buffer], token: str) -> None:
    """Let proved copies stand for the files here, writers held off.

    The mark comes first. Whoever looks for copies without a name, or beside files that are still
    here, goes by it: a mover killed in between leaves nothing that a glob counts twice for long.
    """
    now = {name for name in lake.sizes(folder) if layout.is_part_name(name)}
    if now != set(copied) or any(
        not data.equals(lake.read(f"{folder}/{name}")) for name, data in copied.items()
    ):
        raise LakeError(f"{folder} was written while it was copied: it stays; try again")
    held = lake.cold_files(folder) | {name: data.size for name, data in copied.items()}
    lake.put(f"{folder}/{layout.COLD_MARK}", _mark(cold, held))
    for name in copied:
        cold.rename(f"{folder}/{layout.staged_name(name, token)}", f"{folder}/{name}")
    for name in copied:
        lake.remove(f"{folder}/{name}")


def require_place(lake: Lake, folder: str) -> None:
    """Require that the place in which a marked folder's files lie is configured, and there.

    Raises
    ------
    LakeError
        When it is not: the message names the place, and the setting.
    """
    lake.cold_files(folder)
    if lake.cold is not None:
        _require_own(lake, lake.cold)


def _require_own(lake: Lake, cold: Lake) -> None:
    """Refuse cold storage that another lake uses, or that is not the one used before.

    Two lakes would overwrite each other's sessions there; and a folder whose disk is not mounted
    looks like an empty one.
    """
    here, there = _identity(lake), _identity(cold)
    if here is None and there is not None:
        raise LakeError(
            f"cold storage at {cold.uri} belongs to another lake: expected none or this one's "
            f"{layout.COLD_IDENTITY} there; give DEALER_COLD_URI a folder or prefix of its own"
        )
    if here is None:
        here = {"cold_storage": secrets.token_hex(16)}
        lake.put(layout.COLD_IDENTITY, _json(here))
    if there is None and "in_use" not in here:  # the first time, or killed at it
        there = {"cold_storage": here["cold_storage"]}
        cold.put(layout.COLD_IDENTITY, _json(there))
        lake.put(layout.COLD_IDENTITY, _json(here | {"in_use": True}))
    if there is None or there.get("cold_storage") != here["cold_storage"]:
        raise LakeError(
            f"cold storage at {cold.uri} is not the place that sessions of this lake were sent to: "
            f"expected the lake's {layout.COLD_IDENTITY} there; see that its disk is mounted and "
            "DEALER_COLD_URI right, or copy all of the former place there first"
        )


def _identity(place: Lake) -> dict[str, object] | None:
    data = place.read(layout.COLD_IDENTITY)
    return None if data is None else dict(json.loads(data.to_pybytes()))


def _json(told: Mapping[str, object]) -> pa.Buffer:
    return pa.py_buffer(json.dumps(told, indent=1).encode())


def _copy(lake: Lake, cold: Lake, path: str, token: str) -> pa.Buffer:
    data = lake.read(path)
    if data is None:
        raise LakeError(f"{path} is not there any more: another process moves it; try again")
    staged = layout.staged_name(path, token)
    cold.put(staged, data)
    if not data.equals(cold.read(staged)):
        raise LakeError(
            f"{path}: its copy in cold storage at {cold.uri} does not read back equal: nothing was "
            "removed; look at the storage"
        )
    return data


def _copy_schema(lake: Lake, cold: Lake, table: Table) -> None:
    """Have a glob over the table's cold files find at least its zero rows."""
    data = lake.read(layout.schema_path(table))
    if data is not None:
        cold.put(layout.schema_path(table), data)


def _mark(cold: Lake, files: Mapping[str, int]) -> pa.Buffer:
    told = {"uri": cold.uri, "files": dict(sorted(files.items()))}
    return _json(told)

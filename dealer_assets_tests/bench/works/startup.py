"""From starting Python to the first vol, in fresh processes.

Belongs here: start-up of ours and of the peers. Does not belong here: speed once running.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from dealer_assets_tests.bench import report
from dealer_assets_tests.bench.works.field import Size

_ABOUT = """\
A fresh process each time: start Python, import, one implied vol; the least of the runs. *cold* is
with an empty folder for machine code, as after an installation: numba compiles then."""

_COLUMNS = ("", "s", "CPU s", "× numpy alone")

_OURS = """
import numpy as np
from dealer_assets.domain.pricing.implied_vol import implied_vol
one = np.ones(3)
vol, _ = implied_vol(0.1 * one, one, K=one, T=one, D=one, is_call=one > 0)
assert abs(vol[0] - 0.2513) < 1e-3
"""
_PEERS = {
    "lbriv": "import lbriv, numpy as np\n"
    "lbriv.vectorized_implied_vol_strikes(np.full(3, 0.1), 1.0, np.ones(3), 1)",
    "iv-engine": "import iv_engine, numpy as np\none = np.ones(3)\n"
    "iv_engine.implied_volatilities(0.1 * one, one, one, one)",
    "pyvolr": "from pyvolr.black76 import implied_vol\nimport numpy as np\none = np.ones(3)\n"
    "implied_vol(0.1 * one, 'c', one, one, one, 0.0)",
    "fast-vollib, numba": "from fast_vollib import fast_implied_volatility_black as f\n"
    "import numpy as np\none = np.ones(3)\n"
    "f(0.1 * one, one, one, 0 * one, one, 'c', return_as='numpy', backend='numba')",
    "vollib": "from vollib.black.implied_volatility import implied_volatility as f\n"
    "f(0.1, 1.0, 1.0, 0.0, 1.0, 'c')",
    "QuantLib": "import QuantLib\n"
    "QuantLib.blackFormulaImpliedStdDevLiRS(QuantLib.Option.Call, 1.0, 1.0, 0.1)",
}
_BASE = "*numpy alone*"
_PROGRAMS = {_BASE: "import numpy", "**ours, warm**": _OURS, **_PEERS}


def run(size: Size) -> tuple[report.Section, list[tuple[str, str]]]:
    """Start processes, in turns."""
    runs = 2 if size.rounds < 5 else 5
    found: dict[str, list[tuple[float, float]]] = {}
    absent = []
    for name, program in _PROGRAMS.items():
        try:
            _start(program)  # once unmeasured: files into memory, machine code onto the disk
            found[name] = []
        except subprocess.CalledProcessError as failure:
            absent.append((f"start-up of {name}", failure.stderr.decode()[-160:].strip()))
    for _ in range(runs):
        for name in found:
            found[name].append(_start(_PROGRAMS[name]))
    with tempfile.TemporaryDirectory() as empty:
        found["**ours, cold**"] = [_start(_OURS, NUMBA_CACHE_DIR=empty)]
    base = [cpu for _, cpu in found[_BASE]]
    rows = []
    for name, times in found.items():
        wall, cpu = np.min(times, axis=0)
        over = np.median([mine / theirs for (_, mine), theirs in zip(times, base, strict=False)])
        rows.append([name, f"{wall:.2f}", f"{cpu:.2f}", f"{over:.1f}×"])
    warm = float(np.min(found["**ours, warm**"], axis=0)[1])
    bar = report.at_most("import to first vol, warm", 1.5, warm, hoped=1.0, unit=" CPU s")
    return report.Section("Start-up", _ABOUT, _COLUMNS, rows, [bar]), absent


def _start(program: str, **environment: str) -> tuple[float, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

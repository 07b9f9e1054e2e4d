"""Reads the answers files of `dealer_assets_tests/reference`.

Belongs here: CSV to arrays. Does not belong here: tolerances, which each test states with a reason.
"""

import csv
from pathlib import Path

import numpy as np

REFERENCE = Path(__file__).parents[1] / "reference"


def read_answers(name):
    """Columns of an answers file as float64 arrays; its first line names the library."""
    lines = (REFERENCE / name).read_text().splitlines()
    assert lines[0].startswith("# mpmath")
    rows = list(csv.reader(lines[1:]))
    values = np.array(rows[1:], dtype=np.float64)
    return dict(zip(rows[0], values.T, strict=True))

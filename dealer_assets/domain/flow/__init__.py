"""What trades do to dealers' positions: sides, totals, bars, and whether the record is whole."""

"""The data dictionary for people: terminal tables and `docs/tables.md`.

Belongs here: rendering `tables.TABLES`. Does not belong here: the entries.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table as View

from dealer_assets.tables import Column, Table

_HEADER = """# Lake tables

Generated from `dealer_assets/tables/` by `make docs`; a test keeps it current.
Every instant is UTC. `event_at` is the venue's instant, `known_at` the first at which the row could
be known; read with `as_of` to see only what was known then.
"""


def table_view(table: Table) -> View:
    """Show one dictionary entry in the terminal."""
    view = View(
        title=f"{table.name} v{table.version}: {table.doc}\ngrain: {table.grain}",
        title_justify="left",
    )
    for heading in ("column", "type", "unit", "meaning"):
        view.add_column(heading, overflow="fold")
    for column in table.columns:
        marker = " (key)" if column.name in table.key else ""
        view.add_row(column.name + marker, str(column.type), column.unit, _meaning(column))
    return view


def markdown_dictionary(tables: Sequence[Table]) -> str:
    """Render dictionary entries as Markdown."""
    return _HEADER + "".join(_section(table) for table in tables)


def _section(table: Table) -> str:
    lines = [
        f"\n## {table.name}\n",
        f"{table.doc}\n",
        f"Grain: {table.grain}. Key: `{', '.join(table.key)}`. One part per {table.part}. "
        f"Schema version {table.version}.\n",
        "| column | type | unit | null | meaning |",
        "|---|---|---|---|---|",
    ]
    for c in table.columns:
        null = "yes" if c.nullable else ""
        meaning = _meaning(c).replace("|", "\\|")
        lines.append(f"| `{c.name}` | {c.type} | {c.unit} | {null} | {meaning} |")
    return "\n".join(lines) + "\n"


def _meaning(column: Column) -> str:
    words = f" One of: {', '.join(column.allowed)}." if column.allowed else ""
    return column.doc + words

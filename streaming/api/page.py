"""The API's own page: its routes and their parameters, from the OpenAPI document.

Belongs here: plain HTML. Does not belong here: scripts, styles or fonts from anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

_HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
h2 {{ font-family: monospace; margin: 2rem 0 0 }} pre {{ white-space: pre-wrap; font: inherit }}
td, th {{ text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top }}
</style></head><body><h1>{title}</h1><pre>{text}</pre>
<p>Machine-readable: <a href="openapi.json">openapi.json</a>.
For eyes: <a href="alerts/page">open alerts</a>.</p>"""


def page_of(schema: Mapping[str, Any]) -> str:
    """Return a page of an OpenAPI document."""
    info = schema["info"]
    head = _HEAD.format(title=escape(info["title"]), text=escape(info["description"].strip()))
    routes = [
        _route(method, path, operation)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    ]
    return head + "".join(routes) + "</body></html>"


def _route(method: str, path: str, operation: Mapping[str, Any]) -> str:
    rows = "".join(_row(parameter) for parameter in operation.get("parameters", ()))
    table = f"<table><tr><th>parameter<th>default<th>allowed<th>meaning{rows}</table>"
    is_link = method == "get" and "{" not in path
    link = f'<a href="{escape(path.lstrip("/"))}">{escape(path)}</a>' if is_link else escape(path)
    text = escape(f"{operation.get('summary', '')}. {operation.get('description', '')}")
    return f"<h2>{method.upper()} {link}</h2><p>{text}</p>{table if rows else ''}"


def _row(parameter: Mapping[str, Any]) -> str:
    kind = parameter["schema"]
    bounds = [
        *(str(word) for word in kind.get("enum", ())),
        *(f"{name} {kind[key]}" for key, name in _BOUNDS.items() if key in kind),
    ]
    cells = (
        parameter["name"],
        kind.get("default", "required"),
        ", ".join(bounds) or kind.get("type", ""),
        parameter.get("description", ""),
    )
    return "<tr>" + "".join(f"<td>{escape(str(cell))}" for cell in cells)


_BOUNDS = {
    "minimum": "from",
    "exclusiveMinimum": "above",
    "maximum": "to",
    "maxLength": "characters up to",
}

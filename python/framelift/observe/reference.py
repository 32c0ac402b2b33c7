"""The page of all reasons, as Markdown: ``docs/reasons.md`` is this text."""

from __future__ import annotations

from framelift.observe.reasons import AREAS, Reason, every_reason

HEAD = """# Reasons

Whenever framelift can't do something it says why, with the code of one of these reasons. A break that
`fullgraph=True` would raise is otherwise run by CPython, counted in `framelift.counters["graph_break"]` and
listed by `framelift.explain`. This page is written by `python -m framelift reasons`.
"""


def page() -> str:
    """All rows by area, each under the anchor that messages name."""
    rows = list(every_reason())
    parts = [HEAD]
    for area, title in AREAS.items():
        members = [_section(row) for row in rows if row.code.startswith(area)]
        if members:
            parts += [f"## {area}xx: {title}\n", *members]
    return "\n".join(parts)


def _section(row: Reason) -> str:
    lines = [f"### {row.code} {row.slug}", "", f"**{row.title}.** {row.explanation}", ""]
    lines += [f"- {hint}" for hint in row.hints]
    return "\n".join(lines).rstrip() + "\n"

"""framelift's own functions that a program may call in compiled code."""

from __future__ import annotations

from framelift.rules.rows import Rows
from framelift.rules.rule import RuleKind

TABLE = (
    Rows(
        "framelift.controls",
        "is_compiling is_dynamo_compiling",
        RuleKind.BUILTIN,
        "during capture the answer is known",
    ),
    Rows("framelift.controls", "graph_break", RuleKind.BUILTIN, "the graph ends here, as the program asks"),
    Rows("framelift.marks", "mark_static", RuleKind.BUILTIN, "sizes become fixed"),
    Rows(
        "framelift.marks",
        "mark_dynamic maybe_mark_dynamic mark_unbacked",
        RuleKind.DISALLOWED,
        "sizes are marked before the compiled function is called",
    ),
)

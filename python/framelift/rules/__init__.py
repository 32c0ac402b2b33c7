"""Rules: how a callable met during capture is to be treated.

One question, ``lookup(obj)``, is asked of every callable that capture meets; the answer is a ``Rule`` with
its kind, the reason a user is shown, and where it was decided. It depends on the object's identity, not on
its name: two names of one function have one rule, and a function of the same name in another module has its
own.

The order of precedence, in which the first that says something counts:

1. a marker on a function (``framelift.disable``, ``torch.compiler.disable``, ...): ``markers.py``
2. what the program said of this very object (``allow_in_graph``, ``disallow_in_graph``, ``inline``,
   ``skip``), here first and then with torch's own decorators
3. the row of a table: ``torch_functions.py``, ``torch_state.py``, ``standard_library.py``
4. the program's patterns of modules, inline before skip; then the built-in ones, likewise: ``modules.py``
5. predicates: ``predicates.py``. Operators of torch go into the graph, Python is inlined, the C functions of
   Python itself have handlers, and other C functions are unknown.

The tables name modules and are lazy: a module's rows become rules of objects when the first object of that
module is looked up, and no row ever imports anything. The answers live in Rust (``rust/src/rules``), which
also sees to it that a dead object's rule is never found at another's address.

How to add a rule: a row with its reason in the file of its area; ``tests/rules/test_tables.py`` finds it and
checks that it names something and that ``lookup`` says so. A module to skip, with its reason, is a line in
``modules.py``.
"""

from framelift.rules.lookup import allow_in_graph, disallow_in_graph, inline, is_pure, lookup, reset, skip
from framelift.rules.rule import Rule, RuleKind

__all__ = [
    "Rule",
    "RuleKind",
    "allow_in_graph",
    "disallow_in_graph",
    "inline",
    "is_pure",
    "lookup",
    "reset",
    "skip",
]

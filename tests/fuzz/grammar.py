"""Random programs: plain Python around tensors, as text.

A program is a function ``f(x, y, n, items, table, one)`` of two tensors, a number, a list, a dictionary
and an object. Every statement is valid Python; what it does may raise. Numbers stay small and loops short, so
that each program ends. It begins with the only ``atan`` there is, and keeps its result where it can be seen
from outside: work that a graph has to do in every call, whatever the rest of the program comes to.
"""

from __future__ import annotations

import random
from collections.abc import Callable

HEAD = """
import contextlib, functools, itertools, math
import torch
import framelift

class Plain:
    scale = 2
    def __init__(self, value=1, other=None):
        self.value = value
        self.other = other
    def method(self, x, factor=3):
        self.value = self.value + 1
        return x * factor + self.scale
    @property
    def twice(self):
        return self.value * 2
    @classmethod
    def made(cls, value):
        return cls(value, other=[value])
    @staticmethod
    def plus(a, b=1):
        return a + b
    def __len__(self):
        return 3
    def __getitem__(self, index):
        return index * 2
    def __eq__(self, other):
        return isinstance(other, Plain) and self.value == other.value
    __hash__ = None

class Child(Plain):
    scale = 5
    def method(self, x, factor=2, *rest, **named):
        return super().method(x, factor) + len(rest) + len(named)

class Failure(Exception):
    pass

@contextlib.contextmanager
def noted(log, name):
    log.append(("enter", name))
    try:
        yield name
    except Failure as error:
        log.append(("caught", str(error)))
    finally:
        log.append(("exit", name))

class Swallowing:
    def __init__(self, log): self.log = log
    def __enter__(self): self.log.append("in"); return self
    def __exit__(self, cls, error, trace):
        self.log.append(("out", cls.__name__ if cls else None))
        return cls is not None and issubclass(cls, (Failure, ZeroDivisionError))

def counting(n, log=None):
    try:
        for i in range(n):
            got = yield i
            if log is not None and got is not None:
                log.append(got)
    finally:
        if log is not None:
            log.append("closed")
    return n * 10

def chained(n):
    result = yield from counting(n)
    yield result

def applied(function, *values, **named):
    return function(*values, **named)

def plain_work(a):
    return a * 2 + 1

def may_fail(n):
    if n % 3 == 1:
        raise Failure(f"n is {n}")
    return n

TOTAL = 0
NAMES = ["a", "b"]
"""


class Writer:
    """Writes one program; ``choose`` draws from its own seeded generator."""

    def __init__(self, seed: int, breaks: bool) -> None:
        self.random = random.Random(seed)
        self.breaks = breaks
        self.lines: list[str] = []
        self.tensors = ["x", "y"]
        self.numbers = ["n"]
        self.lists = ["items"]
        self.tables = ["table"]
        self.objects = ["one"]
        self.functions: list[str] = []
        self.fresh = 0
        self.loop = 0
        self.nested = 0

    def pick(self, *choices: object):
        return self.random.choice(choices)

    def name(self, kind: str) -> str:
        self.fresh += 1
        return f"{kind}{self.fresh}"

    # -- expressions ---------------------------------------------------------------------------------

    def number(self, depth: int = 2) -> str:
        if depth == 0:
            return self.pick(*self.numbers, *self.numbers, "0", "1", "2", "-1", "3")
        part = lambda: self.number(depth - 1)  # noqa: E731
        return self.pick(
            lambda: part(),
            lambda: f"({part()} {self.pick('+', '-', '*')} {part()})",
            lambda: f"({part()} {self.pick('//', '%')} {part()})",
            lambda: f"({part()} {self.pick('&', '|', '^')} {part()})",
            lambda: f"len({self.pick(*self.lists, *self.tables)})",
            lambda: f"({part()} if {self.condition(depth - 1)} else {part()})",
            lambda: f"{self.pick('abs', 'int', 'bool', 'round')}({part()})",
            lambda: f"{self.pick('min', 'max')}({part()}, {part()})",
            lambda: f"{self.pick(*self.tensors)}.shape[{self.pick('0', '-1')}]",
            lambda: f"{self.pick(*self.tensors)}.{self.pick('dim()', 'numel()', 'ndim')}",
            lambda: f"{self.pick(*self.objects)}.{self.pick('value', 'twice', 'scale')}",
            lambda: f"{self.pick(*self.tables)}.get({self.key()}, {part()})",
            lambda: f"sum(v for v in {self.pick(*self.lists)} if isinstance(v, int))",
            lambda: f"may_fail({part()})",
            lambda: f"Plain.plus({part()}, b={part()})",
            lambda: f"divmod({part()}, {part()})[{self.pick('0', '1')}]",
            lambda: f"len('{{:>{self.pick('3', '5')}}}'.format({part()}))",
            lambda: f"functools.reduce(lambda a, b: a + b, range({self.small()}), {part()})",
            lambda: f"math.{self.pick('gcd', 'comb')}(abs({part()}), 2)",
        )()

    def small(self) -> str:
        return self.pick("1", "2", "3", "n % 4", f"len({self.pick(*self.lists)}) % 4")

    def key(self) -> str:
        return self.pick("'a'", "'b'", "'c'", "1", "(1, 'a')", "n")

    def classes(self) -> str:
        return self.pick("Child", "torch.Tensor", "(int, Plain)")

    def condition(self, depth: int = 1) -> str:
        number = lambda: self.number(max(depth - 1, 0))  # noqa: E731
        options = [
            lambda: f"{number()} {self.pick('<', '==', '>=', '!=')} {number()}",
            lambda: f"{number()} < {number()} <= {number()}",
            lambda: f"{self.pick(*self.lists, *self.tables, *self.numbers, *self.objects)}",
            lambda: f"not {number()}",
            lambda: f"{self.key()} in {self.pick(*self.tables)}",
            lambda: f"{number()} in {self.pick(*self.lists)}",
            lambda: f"{self.pick(*self.objects)}.other is {self.pick('None', 'not None')}",
            lambda: f"isinstance({self.pick(*self.objects, *self.tensors)}, {self.classes()})",
            lambda: f"hasattr({self.pick(*self.objects)}, {self.pick(repr('extra'), repr('value'))})",
            lambda: f"{number()} and {number()}",
            lambda: f"{number()} or {number()}",
        ]
        if self.breaks:
            options.append(lambda: f"{self.pick(*self.tensors)}.sum() > {number()}")
        return self.random.choice(options)()

    def tensor(self, depth: int = 2) -> str:
        if depth == 0:
            return self.pick(*self.tensors)
        part = lambda: self.tensor(depth - 1)  # noqa: E731
        number = lambda: self.number(depth - 1)  # noqa: E731
        options = [
            lambda: f"({part()} {self.pick('+', '-', '*')} {part()})",
            lambda: f"({part()} {self.pick('+', '-', '*')} {number()})",
            lambda: f"({number()} {self.pick('+', '-', '*')} {part()})",
            lambda: f"{part()}.{self.pick('sin()', 'abs()', 'relu()', 'clone()', 'flip(0)', 'contiguous()')}",
            lambda: f"torch.{self.pick('cos', 'tanh', 'neg')}({part()})",
            lambda: f"{part()}[{self.pick('0:2', '::2', ':', '...', 'None', '1:', '-1:')}].sum() + {part()}",
            lambda: f"torch.where({part()} > 0, {part()}, {number()} * 1.0)",
            lambda: f"{part()}.clamp(min={number()})",
            lambda: f"torch.cat([{part()}, {part()}])[:3]",
            lambda: f"torch.stack([{part()} for _ in range(2)]).sum(0)",
            lambda: f"{part()}.view(-1).reshape({part()}.shape)",
            lambda: f"{self.pick(*self.objects)}.method({part()}, {number()})",
            lambda: f"{self.pick(*self.objects)}.method({part()})",
            lambda: f"applied({self.pick('torch.sin', 'plain_work', 'lambda v: v - 1')}, {part()})",
            lambda: f"({part()} if {self.condition()} else {part()})",
            lambda: f"sum([{part()}, {part()}])",
            lambda: f"max([{part()}], key=len)",
            lambda: f"(lambda a, b={part()}: a + b)({part()})",
            lambda: f"torch.full_like({part()}, {number()})",
        ]
        if self.functions:
            options.append(lambda: f"{self.pick(*self.functions)}({part()})")
        return self.random.choice(options)()

    # -- statements ----------------------------------------------------------------------------------

    def block(self, indent: int, count: int) -> None:
        for _ in range(count):
            self.statement(indent)

    def body(self, indent: int, count: int) -> None:
        """A block whose new names may be unbound outside: they are forgotten."""
        known = [list(names) for names in (self.tensors, self.numbers, self.lists, self.tables, self.objects)]
        functions = list(self.functions)
        self.nested += 1
        self.block(indent, count)
        self.nested -= 1
        self.tensors, self.numbers, self.lists, self.tables, self.objects = known
        self.functions = functions

    def write(self, indent: int, text: str) -> None:
        self.lines.append("    " * indent + text)

    def statement(self, indent: int) -> None:
        choices: list[Callable[[int], None]] = [
            self.new_tensor,
            self.new_tensor,
            self.change_tensor,
            self.new_number,
            self.change_number,
            self.list_statement,
            self.list_statement,
            self.table_statement,
            self.object_statement,
            self.unpacking,
            self.new_object,
        ]
        if self.nested < 3:
            choices += [
                self.branch, self.loop_over, self.loop_over, self.handled, self.context, self.inner_function,
                self.loop_while, self.generator, self.comprehension, self.matched,
            ]  # fmt: skip
        if self.loop:
            choices.append(self.leave_loop)
        if self.breaks:
            choices += [self.graph_break, self.show]
        self.random.choice(choices)(indent)

    def new_tensor(self, indent: int) -> None:
        value = self.tensor()
        name = self.name("t")
        self.write(indent, f"{name} = {value}")
        self.tensors.append(name)

    def change_tensor(self, indent: int) -> None:
        name = self.pick(*self.tensors)
        self.write(
            indent,
            self.pick(
                f"{name} = {self.tensor()}",
                f"{name} += {self.number(1)}",
                f"{name}.add_({self.number(1)})",
                f"{name}[0] = {self.number(1)}",
                f"{name}.mul_(2)",
                f"{name}[:1].zero_()",
            ),
        )

    def new_number(self, indent: int) -> None:
        value = self.number()
        name = self.name("k")
        self.write(indent, f"{name} = {value}")
        self.numbers.append(name)

    def change_number(self, indent: int) -> None:
        name = self.pick(*self.numbers)
        self.write(indent, f"{name} {self.pick('+=', '-=', '=')} {self.number(1)}")

    def item(self) -> str:
        return self.pick(self.number(1), self.number(1), self.tensor(1), "'text'", "None")

    def list_statement(self, indent: int) -> None:
        name = self.pick(*self.lists)
        number = self.number(1)
        choice = self.pick(
            f"{name}.append({self.item()})",
            f"{name}.insert({number}, {self.item()})",
            f"{name}.extend([{self.item()}, {self.item()}])",
            f"{name}.pop()",
            f"{name}.reverse()",
            f"del {name}[{self.pick('0', '-1', ':1')}]",
            f"{name}[{self.pick('0', '-1', number)}] = {self.item()}",
            f"{name}[1:2] = [{self.item()}]",
            f"{name} += [{self.item()}]",
            f"{name} = {name} * 2",
            f"{name} = {name}[::-1]",
            "new",
            f"{name}.sort(key=lambda v: v if isinstance(v, int) else 0)",
            f"{name}.remove({number})",
        )
        if choice == "new":
            source = self.pick(
                "[]", f"list({name})", f"[{self.item()}, {self.item()}]", f"[*{name}, {self.item()}]",
                f"sorted([{number}, {self.number(1)}])", f"list(zip({name}, range(3)))",
                f"list(enumerate({name}))", f"[{name}, {name}]", f"list(itertools.chain({name}, (1, 2)))",
            )  # fmt: skip
            made = self.name("l")
            self.write(indent, f"{made} = {source}")
            self.lists.append(made)
        else:
            self.write(indent, choice)

    def table_statement(self, indent: int) -> None:
        name = self.pick(*self.tables)
        choice = self.pick(
            f"{name}[{self.key()}] = {self.item()}",
            f"{name}.setdefault({self.key()}, {self.item()})",
            f"{name}.update(b={self.item()})",
            f"{name}.pop({self.key()}, None)",
            f"{name}.popitem()",
            f"del {name}[{self.key()}]",
            f"{name} |= {{'c': {self.item()}}}",
            f"{name} = {{**{name}, 'a': {self.item()}}}",
            "new",
        )
        if choice == "new":
            made = self.name("d")
            source = self.pick(
                "{}", f"dict({name})", f"{{k: 1 for k in {name}}}", f"dict(a={self.item()}, b=2)",
                f"{name}.copy()", f"dict.fromkeys(['a', 'b'], {self.number(1)})",
            )  # fmt: skip
            self.write(indent, f"{made} = {source}")
            self.tables.append(made)
        else:
            self.write(indent, choice)

    def object_statement(self, indent: int) -> None:
        name = self.pick(*self.objects)
        self.write(
            indent,
            self.pick(
                f"{name}.value = {self.number(1)}",
                f"{name}.value += 1",
                f"{name}.other = {self.pick(*self.lists, *self.tensors, 'None', name)}",
                f"{name}.extra = {self.item()}",
                f"setattr({name}, 'extra', {self.number(1)})",
                f"{name}.__dict__['extra'] = {self.number(1)}",
                f"del {name}.extra",
                f"{name}.held = {self.tensor(1)}",
                f"log.append({name} == {self.pick(*self.objects)})",
                f"log.append({name}[{self.number(1)}])",
            ),
        )

    def new_object(self, indent: int) -> None:
        made = self.name("o")
        source = self.pick(
            f"Plain({self.number(1)})", f"Child({self.number(1)}, other={self.pick(*self.lists)})",
            f"Child.made({self.number(1)})",
        )  # fmt: skip
        self.write(indent, f"{made} = {source}")
        self.objects.append(made)

    def unpacking(self, indent: int) -> None:
        first, second = self.name("k"), self.name("t")
        self.write(
            indent,
            self.pick(
                f"{first}, {second} = {self.number(1)}, {self.tensor(1)}",
                f"{first}, *rest, {second} = {self.number(1)}, {self.item()}, {self.tensor(1)}",
                f"({first}, {second}), _ = ({self.number(1)}, {self.tensor(1)}), 3",
            ),
        )
        self.numbers.append(first)
        self.tensors.append(second)

    def branch(self, indent: int) -> None:
        self.write(indent, f"if {self.condition()}:")
        self.body(indent + 1, self.pick(1, 2))
        if self.pick(True, False):
            self.write(indent, f"elif {self.condition()}:")
            self.body(indent + 1, 1)
        if self.pick(True, False):
            self.write(indent, "else:")
            self.body(indent + 1, self.pick(1, 2))

    def loop_over(self, indent: int) -> None:
        made = self.name("k")
        header, kept = self.pick(
            (f"for {made} in range({self.small()}):", made),
            (f"for {made} in (1, 2, {self.number(1)}):", made),
            (f"for {made}, item in enumerate({self.pick(*self.lists)}[:3]):", made),
            (f"for {made} in counting({self.small()}):", made),
            (f"for {made} in chained({self.small()}):", made),
            (f"for item in list({self.pick(*self.tables)}.values())[:3]:", None),
            (f"for key in list({self.pick(*self.tables)})[:3]:", None),
            (f"for item in {self.pick(*self.tensors)}[:2].unbind():", None),
            (f"for {made}, _ in zip(range(3), itertools.count()):", made),
            (f"for {made} in reversed(range({self.small()})):", made),
        )
        self.write(indent, header)
        known = list(self.numbers)
        if kept:
            self.numbers.append(kept)
        self.loop += 1
        self.body(indent + 1, self.pick(1, 2))
        self.loop -= 1
        self.numbers = known
        if self.pick(True, False, False):
            self.write(indent, "else:")
            self.body(indent + 1, 1)

    def loop_while(self, indent: int) -> None:
        made = self.name("w")
        self.write(indent, f"{made} = 0")
        self.write(indent, f"while {made} < {self.small()} and {self.condition()}:")
        self.write(indent + 1, f"{made} += 1")
        self.loop += 1
        self.body(indent + 1, self.pick(1, 2))
        self.loop -= 1

    def leave_loop(self, indent: int) -> None:
        self.write(indent, f"if {self.condition()}:")
        self.write(indent + 1, self.pick("break", "continue"))

    def handled(self, indent: int) -> None:
        self.write(indent, "try:")
        self.body(indent + 1, self.pick(1, 2, 3))
        if self.pick(True, False):
            self.write(
                indent + 1,
                self.pick(
                    f"may_fail({self.number(1)})",
                    "1 // 0",
                    "items[99]",
                    "table['none']",
                    "one.missing",
                    f"raise Failure({self.number(1)})",
                    "raise KeyError('k') from Failure('cause')",
                    f"x.reshape({self.number(1)}, 77)",
                    "int('q')",
                    "assert not n, 'n is set'",
                    "next(iter(()))",
                    "items[None]",
                    "(1).real()",
                    "torch.nn.functional.linear(x, 3)",
                ),  # fmt: skip
            )
        kind = self.pick("except", "except", "finally", "both")
        if kind != "finally":
            caught = self.pick(
                "(Failure, ZeroDivisionError)", "Exception", "(LookupError, AttributeError)",
                "(RuntimeError, ValueError, TypeError)",
            )  # fmt: skip
            self.write(indent, f"except {caught} as error:")
            self.write(
                indent + 1, "log.append((type(error).__name__, str(error)[:40], error.__context__ is None))"
            )
            self.body(indent + 1, 1)
            if self.pick(True, False, False, False):
                self.write(
                    indent + 1, self.pick("raise", "raise Failure('again')", "raise Failure from error")
                )
            if self.pick(True, False, False):
                self.write(indent, "else:")
                self.body(indent + 1, 1)
        if kind != "except":
            self.write(indent, "finally:")
            self.body(indent + 1, 1)

    def context(self, indent: int) -> None:
        self.write(
            indent,
            self.pick(
                "with torch.no_grad():",
                "with noted(log, 'a') as label:",
                "with Swallowing(log):",
                "with Swallowing(log) as first, noted(log, 'b'):",
                "with contextlib.suppress(Failure, KeyError):",
                "with contextlib.nullcontext(3) as three:",
                "with torch.autocast('cpu', enabled=False):",
            ),  # fmt: skip
        )
        self.body(indent + 1, self.pick(1, 2, 3))
        if self.pick(True, False, False):
            self.write(indent + 1, f"may_fail({self.number(1)})")

    def inner_function(self, indent: int) -> None:
        name = self.name("g")
        default = self.number(1)
        self.write(indent, f"def {name}(a, b={default}):")
        if self.pick(True, False):
            changed = self.pick(*self.numbers)
            self.write(indent + 1, f"nonlocal {changed}")
            self.write(indent + 1, f"{changed} = {changed} + 1")
        self.write(indent + 1, f"return a * b + {self.tensor(1)}")
        self.functions.append(name)

    def generator(self, indent: int) -> None:
        name = self.name("it")
        told = "log" if not self.loop else "None"  # in a loop the next one takes its place
        self.write(indent, f"{name} = counting({self.small()}, {told})")
        self.write(indent, f"log.append(next({name}, 'none'))")
        self.body(indent, 1)
        self.write(
            indent,
            self.pick(
                f"log.extend({name})",
                f"{name}.close()",
                f"log.append(next({name}, 'end'))",
                f"log.append(list(itertools.islice({name}, 1)))",
            ),  # fmt: skip
        )

    def comprehension(self, indent: int) -> None:
        made = self.name("l")
        source = self.pick(
            f"[v * {self.number(1)} for v in range({self.small()})]",
            f"[{self.tensor(1)} for _ in range({self.small()})]",
            f"[(a, b) for a in range(2) for b in range({self.small()}) if a != b]",
            f"list(map(lambda v: v + {self.number(1)}, range({self.small()})))",
            f"list(filter(None, {self.pick(*self.lists)}[:0] or [0, 1]))",
        )
        self.write(indent, f"{made} = {source}")
        self.lists.append(made)

    def matched(self, indent: int) -> None:
        self.write(
            indent, f"match {self.pick(self.number(1), self.pick(*self.lists), self.pick(*self.objects))}:"
        )
        self.write(
            indent + 1,
            self.pick("case 0 | 1:", "case [first, *rest]:", "case Plain(value=0):", "case {'a': v}:"),
        )
        self.body(indent + 2, 1)
        self.write(indent + 1, "case _:")
        self.body(indent + 2, 1)

    def graph_break(self, indent: int) -> None:
        self.write(indent, "framelift.graph_break()")

    def show(self, indent: int) -> None:
        self.write(indent, f"print({self.number(1)}, len(log))")

    def program(self) -> str:
        self.write(0, "def f(x, y, n, items, table, one):")
        self.write(1, "one.seen = torch.atan(x)")
        self.write(1, "log = []")
        self.block(1, self.random.randint(4, 10))
        results = [
            *self.tensors[2:][-4:],
            *self.numbers[-3:],
            *self.lists[-2:],
            *self.tables[-1:],
            *self.objects[-1:],
        ]
        self.write(1, f"return x, y, log, {', '.join(results)}")
        return HEAD + "\n" + "\n".join(self.lines) + "\n"


def program(seed: int, breaks: bool = False) -> str:
    """The text of the program with this number."""
    return Writer(seed, breaks).program()

"""Reasons: why framelift gave up on something, one row each.

Whoever gives up raises ``Break(reasons.SOME_ROW, "what was met")``; whoever rejects an argument raises
``Misuse(reasons.SOME_ROW, ...)``. There are no free-text breaks, so every one of them has a code that can
be searched for, is counted under its title, is listed by ``explain`` and has a section in the documentation.

To add one, write a row: ``NAME = reason(code, slug, title, explanation, *hints)``. The title says what
happened in a few words and is the key in ``counters["graph_break"]``; the explanation says why that can't
be captured; each hint says what the user can do about it. What was met this time is the break's detail.

Codes: FL0xx misuse of the API, FL1xx capture, FL2xx rules, FL3xx guards and limits, FL4xx backends and code
generation, FL5xx execution. A code is never given to another row, also after its row has gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One row: see the head of this file."""

    code: str
    slug: str
    title: str
    explanation: str
    hints: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """Where the documentation speaks of it."""
        return f"docs/reasons.md#{self.code.lower()}-{self.slug}"

    def __str__(self) -> str:
        return f"{self.code} {self.slug}: {self.title}"

    def __reduce__(self) -> tuple[object, ...]:
        return find, (self.code,)  # rows are compared by identity, also after a pickle


AREAS = {
    "FL0": "Misuse of the API",
    "FL1": "Capture",
    "FL2": "Rules",
    "FL3": "Guards and limits",
    "FL4": "Backends and code generation",
    "FL5": "Execution",
}

_by_code: dict[str, Reason] = {}


def reason(code: str, slug: str, title: str, explanation: str, *hints: str) -> Reason:
    """Make a row. Refused when its code, slug or title is taken: each leads to one row only."""
    row = Reason(code, slug, title, explanation, hints)
    for other in _by_code.values():
        if code == other.code or slug == other.slug or title == other.title:
            raise ValueError(f"reason {row} collides with {other}")
    if code[:3] not in AREAS or len(code) != 5 or not code[2:].isdigit():
        raise ValueError(f"reason {row}: a code is one of {', '.join(AREAS)} and two digits")
    _by_code[code] = row
    return row


def every_reason() -> Iterator[Reason]:
    """All rows by code."""
    return iter(sorted(_by_code.values(), key=lambda row: row.code))


def find(code: str) -> Reason | None:
    """The row with this code, if there is one."""
    return _by_code.get(code.upper())


# A row's code, slug and title stay on one line.
# fmt: off

# ---- FL0xx: misuse of the API ---------------------------------------------------------------------------

NOT_CALLABLE = reason(
    "FL001", "not-callable", "Only a callable can be compiled",
    "`framelift.compile` takes a function, a method, a module or another callable object.",
    "Pass the function itself: `compile(f)(x)`, not the result of a call, `compile(f(x))`.",
)
UNKNOWN_BACKEND = reason(
    "FL002", "unknown-backend", "There is no backend of this name",
    "A backend is a name from the list or any callable `(graph_module, example_inputs) -> callable`.",
)
UNKNOWN_MODE = reason(
    "FL003", "unknown-mode", "There is no compile mode of this name",
    "A mode is a preset of a backend's options.",
)
UNKNOWN_OPTION = reason(
    "FL004", "unknown-option", "The backend has no option of this name",
    "Options are passed to the backend, which says which ones it has.",
)
MODE_AND_OPTIONS = reason(
    "FL005", "mode-and-options", "`mode` and `options` exclude each other",
    "A mode is a set of options, so it isn't clear which of the two should win.",
    "Leave out `mode` and write what it stands for into `options`.",
)
WRONG_ARGUMENT_TYPE = reason(
    "FL006", "wrong-argument-type", "An argument has a type that has no meaning here",
    "The argument was refused before anything was changed.",
)
UNKNOWN_SETTING = reason(
    "FL007", "unknown-setting", "`framelift.config` has no setting of this name",
    "Settings are fixed: a new name would be a typing error without an effect.",
)
WRONG_SETTING_TYPE = reason(
    "FL008", "wrong-setting-type", "This value has a type that the setting can't take",
    "The setting was left as it was.",
)
ARGUMENT_NOT_IMPLEMENTED = reason(
    "FL009", "argument-not-implemented", "This argument is not implemented",
    "`torch.compile` has it, framelift doesn't yet, and ignoring it would change what the program does.",
    "Leave it out.",
)
UNKNOWN_LOG = reason(
    "FL010", "unknown-log", "There is no log of this name",
    "FRAMELIFT_LOGS is a list of log names separated by commas, `+` before a name for more, `-` for less.",
)

# ---- FL1xx: capture -------------------------------------------------------------------------------------

UNSUPPORTED_INSTRUCTION = reason(
    "FL101", "unsupported-instruction", "Unsupported instruction",
    "Capture has no handler for this instruction of CPython, or not for operands of these kinds.",
    "Move the statement out of the compiled function, or into a function marked with `framelift.disable`.",
)
UNSUPPORTED_CALL = reason(
    "FL102", "unsupported-call", "Call of a function that is not written in Python",
    "Capture runs Python code itself; what a function of a C extension does is not known to it.",
    "Call it outside the compiled function and pass in what it returns.",
    "If it computes on tensors, make it a custom operator with `torch.library.custom_op`.",
)
UNSUPPORTED_OPERATION = reason(
    "FL103", "unsupported-operation", "Operation on an object that capture can't perform",
    "The operation is defined for this type in C, and capture doesn't know what it does.",
    "Compute the value outside the compiled function and pass it in.",
)
UNSUPPORTED_METHOD = reason(
    "FL104", "unsupported-method", "Unsupported method of a builtin type",
    "Capture has no Python counterpart of this method, or not for these arguments.",
    "Write the same with other methods, or call it outside the compiled function.",
)
UNSUPPORTED_ATTRIBUTE = reason(
    "FL105", "unsupported-attribute", "Attribute that capture can't read",
    "Reading it runs code that is not Python, or depends on something a guard can't watch.",
    "Read it outside the compiled function and pass in the value.",
)
UNSUPPORTED_ATTRIBUTE_STORE = reason(
    "FL106", "unsupported-attribute-store", "Attribute that capture can't set or delete",
    "The store has to be repeated after the graph has run, which isn't possible for this kind of attribute.",
    "Set it outside the compiled function.",
)
DATA_DEPENDENT_BRANCH = reason(
    "FL107", "data-dependent-branch", "Branch on data of a tensor",
    "Which way the program goes depends on numbers that are known only when the graph has run.",
    "Compute both sides and choose with `torch.where`.",
    "Use `torch.cond` to keep the branch in the graph.",
    "Move the condition out of the compiled function.",
)
DATA_DEPENDENT_VALUE = reason(
    "FL108", "data-dependent-value", "Python number from the data of a tensor",
    "`.item()`, `.tolist()`, `int(tensor)` and their like need numbers that only the graph's run gives.",
    "Keep the value a tensor: nearly every operator takes one in place of a number.",
    "Set `framelift.config.capture_scalar_outputs = True` to keep such numbers in the graph.",
    "Compute the number outside the compiled function and pass it in.",
)
DYNAMIC_OUTPUT_SHAPE = reason(
    "FL109", "dynamic-output-shape", "Operator whose output shape depends on data",
    "The size of the result is known only when the operator has run, as with `nonzero` or a boolean mask.",
    "Use a form with a fixed size: `torch.where(mask, x, 0)` for `x[mask]`, `nonzero_static` for `nonzero`.",
    "Set `framelift.config.capture_dynamic_output_shape_ops = True` to keep such operators in the graph.",
)
USER_GRAPH_BREAK = reason(
    "FL110", "user-graph-break", "Call of `graph_break()`",
    "The program asks for a graph break here.",
    "Remove the call of `graph_break()`.",
)
DISABLED_CALL = reason(
    "FL111", "disabled-call", "Call of a disabled function",
    "The function is marked with `disable`: it is always run by CPython.",
    "Remove the mark, or call the function outside the compiled one.",
)
ESCAPING_EXCEPTION = reason(
    "FL112", "escaping-exception", "The program raises an exception that it doesn't handle",
    "The call is run by CPython, so that the exception comes from the program's own line.",
    "Catch the exception inside the compiled function, or check the condition before the call.",
)
OPERATOR_RAISED = reason(
    "FL113", "operator-raised", "A torch operator refuses its arguments",
    "The operator raised during capture what it also raises without compilation.",
    "Correct the shapes, types or devices of the arguments: the original error is in the developer context.",
)
UNSUPPORTED_OPERATOR = reason(
    "FL114", "unsupported-operator", "A torch operator can't run without data",
    "The operator has no implementation on fake tensors (shapes and types without data).",
    "If it is your own operator, register one with `torch.library.register_fake`.",
)
GENERATOR_ESCAPES = reason(
    "FL115", "generator-escapes", "A generator leaves the compiled function",
    "A generator begun during capture stands in the middle of its frame, which can't be rebuilt at the exit.",
    "Return a list: `list(generator)`.",
)
INPUT_OUTPUT = reason(
    "FL116", "input-output", "Printing, logging, files or other input and output",
    "Its effect has to happen at this moment and with real values; the graph runs later.",
    "Print, log, read or write before the compiled function is called or after it has returned.",
)
LOCK = reason(
    "FL117", "lock", "Lock or another object that synchronises threads",
    "Taking it during capture could block, and other threads would see it at the wrong time.",
    "Take the lock around the call of the compiled function.",
)
USER_HASH = reason(
    "FL118", "user-hash", "Key with a `__hash__` or `__eq__` of its own",
    "Storing it in a dictionary or a set, or finding it, runs code of the program that a guard can't repeat.",
    "Use a string, a number or a tuple of such as the key.",
)
IMPORT_RUNS_CODE = reason(
    "FL119", "import-runs-code", "Import of a module that is not loaded yet",
    "Importing runs the module's code, whose effects can't be captured.",
    "Import it at the head of the file.",
)
TENSOR_SUBCLASS = reason(
    "FL120", "tensor-subclass", "Tensor of a kind that graphs don't hold",
    "Subclasses of `torch.Tensor` and layouts other than strided have a behaviour of their own.",
    "Pass a plain strided tensor.",
)
TOO_DEEP = reason(
    "FL121", "too-deep", "Too many calls inside one another",
    "Capture follows calls into one another up to `config.inline_depth_limit`.",
    "Write the recursion as a loop, or raise `framelift.config.inline_depth_limit`.",
)
ASYNC_FUNCTION = reason(
    "FL122", "async-function", "Coroutine, `await` or asynchronous iteration",
    "An event loop decides when the code goes on, which a graph can't wait for.",
    "Compile the functions without `await` that the coroutine calls.",
)
CLASS_DEFINITION = reason(
    "FL123", "class-definition", "Class defined inside the compiled function",
    "Making a class may run code of its bases and of its metaclass, once for every call.",
    "Define the class at the head of the file.",
)
MUTATED_ITERATOR_INPUT = reason(
    "FL124", "mutated-iterator-input", "Iterator that came from outside is advanced",
    "How far it has come can't be guarded, or advancing it runs code that capture can't follow.",
    "Pass the list and make the iterator inside: `for item in items`.",
)
NOT_REBUILDABLE = reason(
    "FL125", "not-rebuildable", "Value that can't be rebuilt at the exit",
    "The function returns or stores an object of capture's own that can't be made into a real one.",
    "Return its parts, as tensors, numbers or containers of such.",
)
TENSOR_ADDRESS = reason(
    "FL126", "tensor-address", "Memory address or storage of a tensor",
    "`data_ptr()`, storages and their like have no value until the graph runs, and another one each time.",
    "Read it outside the compiled function.",
)
CHANGED_WHILE_ITERATED = reason(
    "FL127", "changed-while-iterated", "Container changed while it is iterated",
    "What CPython does then depends on the container's memory, which capture doesn't model.",
    "Iterate over a copy: `for item in list(items)`.",
)
DYNAMIC_CODE = reason(
    "FL128", "dynamic-code", "`eval`, `exec`, `compile`, `locals` or `vars()`",
    "They need the real frame, or make code at every call.",
    "Do it outside the compiled function.",
)
RANDOM_STATE = reason(
    "FL129", "random-state", "Random numbers that are not torch's, or the state of a generator",
    "The generator's state lies in C, changes with every number and can't be replayed at the exit.",
    "Draw with torch, as in `torch.rand`, or draw outside and pass the number in.",
    "Seed outside the compiled function.",
)
TENSOR_STATE = reason(
    "FL130", "tensor-state", "Change of a tensor that graphs don't record",
    "`requires_grad`, `.data`, `.grad`, hooks, `set_` and their like change the tensor object itself.",
    "Do it outside the compiled function.",
)
BACKWARD = reason(
    "FL131", "backward", "Automatic differentiation beyond the graph",
    "`backward()` is captured with the leaves it reaches: not where it goes on into the history that "
    "a tensor brought along, or is given edges of the autograd graph.",
    "Detach the tensor, or call `backward()` on the result of the compiled function.",
)
GLOBAL_STATE = reason(
    "FL132", "global-state", "Setting of torch or of the process that capture can't replay",
    "The setting has to be in force when the graph runs, and capture has no way to put it there.",
    "Change the setting around the call of the compiled function.",
)
LOOP_TOO_LONG = reason(
    "FL133", "loop-too-long", "Loop too long for capture",
    "Capture runs loops through, up to `config.loop_limit` items: a longer one makes too large a graph.",
    "Write it with tensor operators, compile the body of the loop, or raise `framelift.config.loop_limit`.",
)
EXCEPTION_GROUP = reason(
    "FL134", "exception-group", "Exception group (`except*`)",
    "Capture doesn't model exception groups.",
    "Use `except`.",
)
SYMBOLIC_VALUE = reason(
    "FL136", "symbolic-value", "Use of a size or number that is not fixed",
    "It is needed as a number or in an expression that graphs don't compute, but `dynamic` leaves it open.",
    "Let it be specialised: leave `dynamic` at None, or use `int(...)` on a value that isn't a size.",
)
WEAK_REFERENCE = reason(
    "FL137", "weak-reference", "Weak reference or finaliser",
    "Whether the object still lives at the exit can't be known during capture.",
    "Use it outside the compiled function.",
)
NUMPY = reason(
    "FL138", "numpy", "numpy array or function",
    "numpy's arrays aren't recorded in the graph.",
    "Convert outside the compiled function with `torch.from_numpy`, and use torch's functions inside.",
)
AUTOGRAD_FUNCTION = reason(
    "FL139", "autograd-function", "`torch.autograd.Function` that can't be one node",
    "Its context keeps an object or a function, which a graph can't hold; it is in a function transform, or "
    "`apply` gets keywords.",
    "Keep tensors, numbers and texts on the context; give `apply` its arguments by position.",
)
FUNCTION_TRANSFORM = reason(
    "FL140", "function-transform", "Function transform (`vmap`, `grad`, `jvp`, ...) or higher-order operator",
    "Its body has to be captured as a graph of its own.",
    "Apply the transform outside: `torch.func.vmap(f)` with the compiled parts inside `f`.",
)
LIVE_FRAME = reason(
    "FL141", "live-frame", "Traceback, frame or warning position",
    "It shows the real Python stack, which has no frames for what was captured.",
    "Take it outside the compiled function.",
)
CALL_DOES_NOT_BIND = reason(
    "FL142", "call-does-not-bind", "Call with arguments that the function doesn't take",
    "The call raises a TypeError, and CPython's own message is the best one.",
    "Pass the arguments that the function's signature names.",
)
ADDRESS_IN_TEXT = reason(
    "FL143", "address-in-text", "Text that contains an object's address",
    "The default `repr` shows where the object lies, which is another place each time.",
    "Give the class a `__repr__`, or leave the object out of the text.",
)
IDENTITY_OF_CONSTANTS = reason(
    "FL144", "identity-of-constants", "`is` between two equal numbers, texts or tuples",
    "Whether CPython made one object or two isn't defined.",
    "Compare with `==`.",
)
UNSUPPORTED_ARGUMENT = reason(
    "FL145", "unsupported-argument", "Argument of an operator that graphs don't hold",
    "A graph passes tensors, numbers, texts, torch's types, and lists, tuples, dicts and slices of such.",
    "Take the object apart before the call.",
)
IDENTITY_NUMBER = reason(
    "FL147", "identity-number", "Address of an object made during capture",
    "`id()` and the default `hash()` of an object are known only when it really exists.",
    "Use a counter or a name as key instead.",
)
CLOCK = reason(
    "FL148", "clock", "Clock or calendar",
    "What it says is different at each call; the graph is made once.",
    "Read the clock around the call of the compiled function.",
)
SET_ORDER = reason(
    "FL149", "set-order", "Order of a set made during capture",
    "The order in which a set gives its members depends on its C storage, which exists only when it is real.",
    "Iterate over `sorted(the_set)`, or use a dict as an ordered set.",
)
FORCED_BREAK = reason(
    "FL150", "forced-break", "Break asked for by `config.break_at`",
    "Tests break before a given instruction, to see that a break anywhere changes nothing.",
    "Set `config.break_at` to -1.",
)
CHECKPOINT = reason(
    "FL151", "checkpoint", "Checkpoint that can't be one node",
    "Its function has effects besides its result, which the backward repeats, or `context_fn` or another "
    "argument is given that graphs don't know.",
    "Keep what the checkpointed function does to tensors, and pass `use_reentrant=False`.",
)
EXCEPTION_FROM_OUTSIDE = reason(
    "FL146", "exception-from-outside", "Exception object that was made outside",
    "Raising it changes its traceback and its context, which can't be replayed at the exit.",
    "Make a new exception where it is raised.",
)
FAILS_TOO_LATE = reason(
    "FL152", "fails-too-late", "Operator that may fail in a `try` block, when an input has been written to",
    "If it refuses its data, the program's handler must find everything as it was at that line, and a graph "
    "that has written to a large input can't be repeated.",
    "Check the indices, or whatever the operator may refuse, before the input is written to.",
)
LOOP_ROUND = reason(
    "FL153", "loop-round", "Round of a loop that goes on in another way each time",
    "Behind a break in a loop, a segment goes through the next rounds up to the next break. Where these have "
    "been others each time, it ends with the round.",
    "Break in every round of the loop, or in none.",
)

# ---- FL2xx: rules ---------------------------------------------------------------------------------------

SKIPPED_CALL = reason(
    "FL201", "skipped-call", "Call of a function that is skipped by rule",
    "A rule says that CPython runs this function; what it computes can't be part of the graph.",
    "Call it outside the compiled function.",
)
DISALLOWED_CALL = reason(
    "FL202", "disallowed-call", "Call of a function that is not allowed in a graph",
    "A rule, or a call of `disallow_in_graph`, keeps this function out of graphs.",
    "Call it outside the compiled function, or undo it with `allow_in_graph`.",
)
UNKNOWN_CALLABLE = reason(
    "FL203", "unknown-callable", "Call of a C function that has no rule",
    "framelift doesn't know whether this function can be part of a graph, and doesn't guess.",
    "Call it outside the compiled function and pass in what it returns.",
    "If it computes on tensors, make it a custom operator with `torch.library.custom_op`.",
)

# ---- FL3xx: guards and limits ---------------------------------------------------------------------------

CACHE_SIZE_LIMIT = reason(
    "FL301", "cache-size-limit", "Compiled too often",
    "The function has as many entries as `config.cache_size_limit` allows; other calls are run by CPython.",
    "Look at the guard that keeps failing: make that value a tensor, or keep it the same.",
    "Raise `framelift.config.cache_size_limit` if that many variants are wanted.",
)
ACCUMULATED_LIMIT = reason(
    "FL302", "accumulated-cache-size-limit", "Compiled too often in all",
    "All entries of this compiled callable are as many as `config.accumulated_cache_size_limit` allows.",
    "Raise `framelift.config.accumulated_cache_size_limit` if that many variants are wanted.",
)
RECOMPILED = reason(
    "FL304", "recompiled", "Recompiled although `config.error_on_recompile` is set",
    "No entry of the compiled function fits this call.",
    "Make the value that the guard names the same for all calls, or a tensor.",
)
CONSTRAINT_VIOLATED = reason(
    "FL306", "constraint-violated", "A size that is marked as open is needed as a fixed one",
    "`mark_dynamic` says that the function is right for every size, or for every size in the range it gives.",
    "Use `maybe_mark_dynamic`, which lets the function be compiled for the size it needs.",
    "Look at the condition: change the line that needs it, or the range of the mark.",
)

# ---- FL4xx: backends and code generation ----------------------------------------------------------------

BACKEND_REFUSED = reason(
    "FL401", "backend-refused", "The backend doesn't take this graph",
    "The backend that was asked for has no support for something in this graph.",
    'Use another backend, such as `backend="eager"`.',
)
BACKEND_FAILED = reason(
    "FL402", "backend-failed", "The backend raised an exception",
    "The exception is the backend's own, and is raised to the caller.",
    "Set `framelift.config.suppress_errors = True` to run such calls in CPython.",
)
BACKEND_RESULT = reason(
    "FL403", "backend-result", "The backend didn't return a callable",
    "A backend takes `(graph_module, example_inputs)` and returns a callable that takes the graph's inputs.",
    "Return `graph_module.forward` to run the graph as it is.",
)

# ---- FL5xx: execution -----------------------------------------------------------------------------------

INTERNAL_ERROR = reason(
    "FL502", "internal-error", "framelift failed",
    "This is a bug in framelift, not in the program.",
    "Please report it with the text below.",
)

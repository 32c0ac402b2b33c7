"""Operators: unary, binary, in place, comparisons, identity, containment, truth.

https://docs.python.org/3/reference/datamodel.html#emulating-numeric-types
"""

from __future__ import annotations

import operator

from framelift.capture import outside
from framelift.capture.datamodel import attributes, calls, constants, iteration, mapping, numbers, tensors
from framelift.capture.datamodel.hashing import check_comparable, key_of
from framelift.capture.exceptions import raised
from framelift.capture.values import (
    Constant,
    DictObject,
    FunctionObject,
    Lazy,
    ListObject,
    MethodObject,
    SetObject,
    SliceObject,
    SuperObject,
    Symbol,
    Tensor,
    TupleObject,
    Unknown,
    Value,
)
from framelift.capture.values.objects import Object, type_of
from framelift.observe import reasons
from framelift.observe.errors import Break

BINARY = {
    "+": (operator.add, "__add__", "__radd__"),
    "-": (operator.sub, "__sub__", "__rsub__"),
    "*": (operator.mul, "__mul__", "__rmul__"),
    "/": (operator.truediv, "__truediv__", "__rtruediv__"),
    "//": (operator.floordiv, "__floordiv__", "__rfloordiv__"),
    "%": (operator.mod, "__mod__", "__rmod__"),
    "**": (operator.pow, "__pow__", "__rpow__"),
    "@": (operator.matmul, "__matmul__", "__rmatmul__"),
    "&": (operator.and_, "__and__", "__rand__"),
    "|": (operator.or_, "__or__", "__ror__"),
    "^": (operator.xor, "__xor__", "__rxor__"),
    "<<": (operator.lshift, "__lshift__", "__rlshift__"),
    ">>": (operator.rshift, "__rshift__", "__rrshift__"),
}
"""Binary operators: host function, method, reflected method."""

IN_PLACE = {
    "+=": operator.iadd,
    "-=": operator.isub,
    "*=": operator.imul,
    "/=": operator.itruediv,
    "//=": operator.ifloordiv,
    "%=": operator.imod,
    "**=": operator.ipow,
    "@=": operator.imatmul,
    "&=": operator.iand,
    "|=": operator.ior,
    "^=": operator.ixor,
    "<<=": operator.ilshift,
    ">>=": operator.irshift,
}

UNARY = {
    "-": (operator.neg, "__neg__"),
    "+": (operator.pos, "__pos__"),
    "~": (operator.invert, "__invert__"),
}

COMPARE = {
    "==": (operator.eq, "__eq__", "__eq__"),
    "!=": (operator.ne, "__ne__", "__ne__"),
    "<": (operator.lt, "__lt__", "__gt__"),
    "<=": (operator.le, "__le__", "__ge__"),
    ">": (operator.gt, "__gt__", "__lt__"),
    ">=": (operator.ge, "__ge__", "__le__"),
}


def binary(vm, symbol: str, left: Value, right: Value) -> Value:
    """``left symbol right``; a symbol that ends in ``=`` works in place."""
    left, right = vm.look(left), vm.look(right)
    if symbol.endswith("="):
        return in_place(vm, symbol, left, right)
    function, name, reflected = BINARY[symbol]
    simple = numeric(vm, function, left, right)
    if simple is not None:
        return simple
    result = dispatch(vm, left, right, name, reflected)
    if result is not None:
        return result
    raise raised(
        TypeError,
        f"unsupported operand type(s) for {'** or pow()' if symbol == '**' else symbol}: "
        f"'{type_of(left).__name__}' and '{type_of(right).__name__}'",
    )


def numeric(vm, function, left: Value, right: Value) -> Value | None:
    """The operators on tensors, symbols and constants; None for other operands."""
    if isinstance(left, Tensor) or isinstance(right, Tensor):
        if is_tensor_operand(left) and is_tensor_operand(right):
            return tensors.graph_call(vm, function, [left, right], {})
        if isinstance(left, Tensor) and issubclass(type_of(right), (int, float, complex)):
            raise Break(reasons.UNSUPPORTED_ARGUMENT, f"a {type_of(right).__qualname__} beside a tensor")
        return None
    if isinstance(left, Constant) and isinstance(right, Constant):
        if is_data(left.value) and is_data(right.value):
            return constants.run(vm, function, [left.value, right.value], {})
        return None
    if isinstance(left, (Symbol, Constant)) and isinstance(right, (Symbol, Constant)):
        return numbers.apply(vm, function, left, right) if is_number(left) and is_number(right) else None
    return None


def is_number(value: Value) -> bool:
    """Whether a value is a symbol or an integer or float constant."""
    return isinstance(value, Symbol) or isinstance(value.value, (int, float))


def is_tensor_operand(value: Value) -> bool:
    """Whether torch's operators take the value beside a tensor."""
    if isinstance(value, Constant):
        return isinstance(value.value, (int, float, complex, bool)) or value.value is None
    return isinstance(value, (Tensor, Symbol))


def is_data(value: object) -> bool:
    """Whether the host's operators may be run on a constant: no user code can be met."""
    cls = type(value)
    return cls.__module__ in DATA_MODULES or hasattr(cls, "__members__") or isinstance(value, type)


DATA_MODULES = frozenset(
    ["builtins", "torch", "types", "typing", "enum", "fractions", "decimal", "datetime", "numpy", "re"]
)
"""Modules whose immutable classes have operators without effects."""


def dispatch(vm, left: Value, right: Value, name: str, reflected: str) -> Value | None:
    """Special methods in the data model's order; None if every one declined."""
    left_type, right_type = type_of(left), type_of(right)
    tries = [(left, right, name)]
    if left_type is not right_type:
        other = (right, left, reflected)
        override = attributes.lookup(vm, right_type, reflected) is not attributes.lookup(
            vm, left_type, reflected
        )
        if issubclass(right_type, left_type) and override:
            tries.insert(0, other)
        else:
            tries.append(other)
    elif name in COMPARISONS:
        tries.append((right, left, reflected))
    for owner, operand, method_name in tries:
        method = attributes.special_method(vm, owner, method_name)
        if method is None:
            continue
        if isinstance(owner, (Constant, Tensor)) and not has_python_method(method):
            if isinstance(owner, Constant) and isinstance(owner.value, str) and method_name == "__mod__":
                return calls.call(vm, method, [operand], {})
            continue  # numbers, strings and tensors decline operands they do not know
        result = vm.look(calls.call(vm, method, [operand], {}))
        if not (isinstance(result, Constant) and result.value is NotImplemented):
            return result
    return None


COMPARISONS = frozenset(["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"])


def has_python_method(method: Value) -> bool:
    """Whether a bound special method is Python code."""
    function = method.function if isinstance(method, MethodObject) else method
    if isinstance(function, Lazy):
        return isinstance(function.real, type(is_data))
    return isinstance(function, FunctionObject)


def in_place(vm, symbol: str, left: Value, right: Value) -> Value:
    """``left symbol right`` where ``left`` may change itself."""
    if isinstance(left, Tensor) and is_tensor_operand(right):
        return tensors.graph_call(vm, IN_PLACE[symbol], [left, right], {})
    if isinstance(left, Object):
        name = f"__i{BINARY[symbol[:-1]][1][2:]}"
        method = attributes.special_method(vm, left, name)
        if method is not None:
            result = vm.look(calls.call(vm, method, [right], {}))
            if not (isinstance(result, Constant) and result.value is NotImplemented):
                return result
    return binary(vm, symbol[:-1], left, right)


def unary(vm, symbol: str, operand: Value) -> Value:
    """``symbol operand``."""
    operand = vm.look(operand)
    if symbol == "not":
        return Constant(not truth(vm, operand))
    function, name = UNARY[symbol]
    if isinstance(operand, Tensor):
        return tensors.graph_call(vm, function, [operand], {})
    if isinstance(operand, Constant) and is_data(operand.value):
        return constants.run(vm, function, [operand.value], {})
    if isinstance(operand, Symbol):
        return numbers.apply(vm, function, operand)
    method = attributes.special_method(vm, operand, name)
    if method is None:
        raise raised(TypeError, f"bad operand type for unary {symbol}: '{type_of(operand).__name__}'")
    return calls.call(vm, method, [], {})


def compare(vm, symbol: str, left: Value, right: Value) -> Value:
    """``left symbol right`` for the six comparisons.

    https://docs.python.org/3/reference/datamodel.html#object.__lt__
    """
    left, right = vm.look(left), vm.look(right)
    function, name, reflected = COMPARE[symbol]
    simple = numeric(vm, function, left, right)
    if simple is not None:
        return simple
    if (
        isinstance(left, Constant)
        and isinstance(right, Constant)
        and not (user_defined(vm, left, name) or user_defined(vm, right, reflected))
    ):
        return constants.run(vm, function, [left.value, right.value], {})
    result = dispatch(vm, left, right, name, reflected)
    if result is not None:
        return result
    if symbol in ("==", "!="):
        return Constant(same(vm, left, right) == (symbol == "=="))
    raise raised(
        TypeError,
        f"'{symbol}' not supported between instances of "
        f"'{type_of(left).__name__}' and '{type_of(right).__name__}'",
    )


def user_defined(vm, value: Constant, name: str) -> bool:
    """Whether a special method of the value's type is Python code."""
    raw = attributes.lookup(vm, type(value.value), name)
    return isinstance(raw, type(is_data))


def equal(vm, left: Value, right: Value) -> bool:
    """Whether a container takes two items for equal: identical, or ``==`` and true."""
    left, right = vm.look(left), vm.look(right)
    return (left is right) or same_object(left, right) or truth(vm, compare(vm, "==", left, right))


def same_object(left: Value, right: Value) -> bool:
    """Whether two looked-at values are one object for sure, without guarding that they are two."""
    if left is right:
        return True
    return isinstance(left, Constant) and isinstance(right, Constant) and left.value is right.value


def same(vm, left: Value, right: Value) -> bool:
    """``left is right``."""
    if differ_by_class(vm, left, right) or differ_by_class(vm, right, left):
        return False
    left, right = vm.look(left), vm.look(right)
    if left is right:
        return True
    if isinstance(left, Constant) and isinstance(right, Constant):
        return same_constant(left.value, right.value)
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        raise Break(reasons.UNSUPPORTED_OPERATION, "identity of something that is not known")
    if isinstance(left, Constant) or isinstance(right, Constant) or type(left) is not type(right):
        return False
    if isinstance(left, MethodObject) and left.real is None and right.real is None:
        return False
    if (
        isinstance(left, TupleObject)
        and not left.items
        and not right.items
        and left.cls is right.cls is tuple
    ):
        return True
    vm.identity_used(left)
    vm.identity_used(right)
    return False


def differ_by_class(vm, left: Value, right: Value) -> bool:
    """Whether a string that nobody has read is compared with something that is no string, such as None."""
    unread = type(left) is Lazy and left.seen is None and type(left.real) is str
    other = unread and isinstance(right, Constant) and type(right.value) is not str
    return other and outside.class_of(vm, left) is str


def same_constant(left: object, right: object) -> bool:
    """Identity of constants: of equal numbers and strings it is CPython's business; equal counts as same."""
    if left is right:
        return True
    if type(left) is type(right) and isinstance(left, (int, str, bytes)) and not isinstance(left, bool):
        small = isinstance(left, int) and -5 <= left <= 256
        if left == right and small:
            return True
        if left == right:
            raise Break(reasons.IDENTITY_OF_CONSTANTS, f"{left!r} is {right!r}")
    return False


def truth(vm, value: Value) -> bool:
    """``bool(value)``; of a symbol it is decided for this call and guarded, of a tensor it is a break.

    https://docs.python.org/3/library/stdtypes.html#truth-value-testing
    """
    value = vm.look(value)
    match value:
        case Constant():
            if is_data(value.value) or isinstance(value.value, type):
                return bool(value.value)
            if not has_truth_method(type(value.value)):
                return True
        case Symbol():
            if value.cls is not bool:
                return truth(vm, numbers.apply(vm, operator.ne, value, Constant(0)))
            return vm.ask(value.symbolic)
        case Tensor():
            raise Break(reasons.DATA_DEPENDENT_BRANCH, f"bool({value.node})")
        case FunctionObject() | MethodObject() | SuperObject() | SliceObject():
            return True
    method = attributes.special_method(vm, value, "__bool__")
    if method is not None:
        result = vm.look(calls.call(vm, method, [], {}))
        if isinstance(result, Constant) and isinstance(result.value, bool):
            return result.value
        if isinstance(result, (Symbol, Tensor)):
            return truth(vm, result)
        raise raised(TypeError, f"__bool__ should return bool, returned {type_of(result).__name__}")
    if attributes.has_method(vm, value, "__len__"):
        return truth(vm, length(vm, value))
    return True


def has_truth_method(cls: type) -> bool:
    """Whether a class takes part in truth testing."""
    return hasattr(cls, "__bool__") or hasattr(cls, "__len__")


def length(vm, value: Value) -> Value:
    """``len(value)``."""
    value = vm.look(value)
    if isinstance(value, Tensor):
        if value.example.dim() == 0:
            raise raised(TypeError, "len() of a 0-d tensor")
        return tensors.node_value(vm, None, value.example.shape[0])
    if isinstance(value, Constant):
        return constants.run(vm, len, [value.value], {})
    method = attributes.special_method(vm, value, "__len__")
    if method is None:
        raise raised(TypeError, f"object of type '{type_of(value).__name__}' has no len()")
    return vm.look(calls.call(vm, method, [], {}))


def storage_length(vm, value: Value) -> int:
    """Number of items in a container's C storage."""
    if isinstance(value, DictObject):
        return mapping.length(vm, value)
    return len(value.items)


def contains(vm, container: Value, item: Value) -> bool:
    """``item in container``.

    https://docs.python.org/3/reference/expressions.html#membership-test-details
    """
    container = vm.look(container)
    if isinstance(container, Constant) and isinstance(container.value, (str, bytes, range, frozenset)):
        item = vm.look(item)
        if isinstance(item, Symbol):
            item = Constant(vm.specialize(item))
        if constants.is_constant(vm, item):
            result = constants.run(
                vm, operator.contains, [container.value, constants.constant_of(vm, item)], {}
            )
            return result.value
        return False
    if isinstance(container, Tensor):
        return truth(vm, tensors.graph_method(vm, "__contains__", [container, item], {}))
    method = attributes.special_method(vm, container, "__contains__")
    if method is not None:
        return truth(vm, calls.call(vm, method, [item], {}))
    iterator = iteration.iterator_of(vm, container)
    while (found := iteration.next_of(vm, iterator)) is not None:
        if equal(vm, found, item):
            return True
    return False


def dict_contains(vm, container: DictObject, item: Value) -> bool:
    """``dict.__contains__``."""
    return mapping.get(vm, container, key_of(vm, item)) is not None


def set_contains(vm, container: SetObject, item: Value) -> bool:
    """``set.__contains__``."""
    key = key_of(vm, item)
    check_comparable(vm, container.items, key)
    return key in container.items


def sequence_equal(vm, left: ListObject | TupleObject, right: Value) -> Value:
    """``==`` of two lists or two tuples; NotImplemented for other operands."""
    right = vm.look(right)
    if not isinstance(right, type(left)):
        return Constant(NotImplemented)
    if len(left.items) != len(right.items):
        return Constant(False)
    return Constant(all(equal(vm, a, b) for a, b in zip(left.items, right.items, strict=True)))


def sequence_order(vm, symbol: str, left: ListObject | TupleObject, right: Value) -> Value:
    """Lexicographic ``<`` and its kin."""
    right = vm.look(right)
    if not isinstance(right, type(left)):
        return Constant(NotImplemented)
    for a, b in zip(left.items, right.items, strict=False):
        if not equal(vm, a, b):
            return compare(vm, symbol, a, b)
    return Constant(COMPARE[symbol][0](len(left.items), len(right.items)))


def mapping_equal(vm, left: DictObject, right: Value) -> Value:
    """``==`` of two dicts."""
    right = vm.look(right)
    if not isinstance(right, DictObject):
        return Constant(NotImplemented)
    pairs = mapping.items(vm, left)
    if len(pairs) != len(mapping.items(vm, right)):
        return Constant(False)
    for key, value in pairs:
        other = mapping.get(vm, right, key_of(vm, key))
        if other is None or not equal(vm, value, other):
            return Constant(False)
    return Constant(True)

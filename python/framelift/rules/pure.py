"""Callables without effects, whose results depend on their arguments alone.

When all arguments are constants, capture may call one of these and go on with the result. A result that is a
new mutable object (``str.split`` makes a list) is made again at each call, never shared: purity is not about
identity. Whoever calls one of these with something that has Python methods of its own (``__index__``,
``__eq__``) must know that those are pure too.
"""

from __future__ import annotations

from framelift.rules.rows import PureNames

_CONSTRUCTORS = "bool int float complex str bytes tuple frozenset range slice"

_METHODS_OF = "bool.* int.* float.* complex.* str.* bytes.* tuple.* frozenset.* range.* slice.*"

PURE = (
    PureNames(
        "builtins",
        "abs all any ascii bin chr divmod format hash hex len max min oct ord pow repr round sorted sum "
        f"{_CONSTRUCTORS} {_METHODS_OF}",
        # Attribute access, construction and iterators have handlers in capture.
        but_not="*.__getattribute__ *.__new__ *.__init_subclass__ *.__iter__ *.__reversed__",
    ),
    PureNames("math", "*", but_not="sumprod"),
    PureNames("cmath", "*"),
    PureNames(
        "_operator",
        "*",
        but_not="attrgetter itemgetter methodcaller setitem delitem i* length_hint call",
    ),
    PureNames("_operator", "index inv invert is_ is_not indexOf"),
    PureNames("_struct", "pack unpack unpack_from calcsize"),
    PureNames("binascii", "*"),
    PureNames("unicodedata", "*", but_not="ucd_3_2_0"),
    PureNames(
        "re",
        "compile match fullmatch search sub subn split findall escape Pattern.* Match.*",
        but_not="*.finditer *.scanner",
    ),
    PureNames("typing", "_SpecialForm.__getitem__"),
    PureNames("_bisect", "bisect_left bisect_right"),
    PureNames("torch", "Size device dtype finfo iinfo layout memory_format"),
    PureNames(
        "torch",
        "Size.* device.* dtype.* finfo.* iinfo.* layout.* memory_format.*",
        but_not="device.__enter__ device.__exit__ device.__call__ *.__new__ *.__getattribute__",
    ),
    PureNames("torch._C", "_infer_size _is_autocast_available _autocast_supported_devices _get_all_dtypes"),
    PureNames("torch", "typename is_storage"),
)

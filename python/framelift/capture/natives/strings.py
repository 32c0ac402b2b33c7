"""Methods of strings that take other objects than strings.

https://docs.python.org/3/library/stdtypes.html#string-methods

Those of constants alone are performed as they are (``constants.fold``).
"""

from __future__ import annotations

from framelift.capture.datamodel import constants
from framelift.capture.natives.registry import native
from framelift.capture.values import ListObject
from framelift.observe import reasons
from framelift.observe.errors import Break


@native(str.join)
def str_join(vm, arguments, keywords):
    return constants.fold(vm, str.join, [arguments[0], ListObject(vm.unpack(arguments[1]))], keywords)


@native(str.format)
def str_format(vm, arguments, keywords):
    from_objects = [constants.is_constant(vm, constants.specialized(vm, item)) for item in arguments]
    if all(from_objects):
        return constants.fold(vm, str.format, arguments, keywords)
    raise Break(reasons.UNSUPPORTED_METHOD, "str.format of objects")

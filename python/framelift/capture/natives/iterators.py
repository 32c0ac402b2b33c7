"""Generators, and the iterators of containers.

https://docs.python.org/3/reference/expressions.html#generator-iterator-methods
"""

from __future__ import annotations

import types

from framelift.capture.datamodel import iteration
from framelift.capture.exceptions import Raised, new_exception, raised
from framelift.capture.handlers.exceptions import exception_instance
from framelift.capture.natives.registry import native, of_classes
from framelift.capture.values import Constant, GeneratorObject
from framelift.capture.values.objects import type_of
from framelift.observe import reasons
from framelift.observe.errors import Break


@native(types.GeneratorType.__next__)
def generator_next(vm, arguments, keywords):
    return generator_send(vm, [arguments[0], Constant(None)], {})


@native(types.GeneratorType.send)
def generator_send(vm, arguments, keywords):
    generator = generator_of(vm, arguments[0])
    return stepped(vm, generator, vm.resume(generator, arguments[1]))


def generator_of(vm, value) -> GeneratorObject:
    """The generator a method is called on; one from outside stands in the middle of a real frame."""
    generator = vm.look(value)
    if not isinstance(generator, GeneratorObject):
        raise Break(
            reasons.MUTATED_ITERATOR_INPUT, f"{generator.source} is a {type_of(generator).__qualname__}"
        )
    return generator


def stepped(vm, generator: GeneratorObject, result):
    """What one step of a generator gives its caller: the yielded value, or StopIteration."""
    if result is not None:
        return result[0]
    returned = vm.look(generator.returned)
    if isinstance(returned, Constant) and returned.value is None:
        raise raised(StopIteration)
    raise Raised(new_exception(StopIteration, [returned]))


@native(types.GeneratorType.throw)
def generator_throw(vm, arguments, keywords):
    generator = generator_of(vm, arguments[0])
    error = vm.look(arguments[2] if len(arguments) > 2 else arguments[1])
    if isinstance(error, Constant) and error.value is None:
        error = vm.look(arguments[1])
    exception = exception_instance(vm, error)
    return stepped(vm, generator, vm.resume(generator, Constant(None), Raised(exception)))


@native(types.GeneratorType.close)
def generator_close(vm, arguments, keywords):
    generator = generator_of(vm, arguments[0])
    if generator.finished or generator.frame.index <= 1:
        generator.finished = True
        return Constant(None)
    try:
        result = vm.resume(generator, Constant(None), Raised(new_exception(GeneratorExit, [])))
    except Raised as error:
        if issubclass(error.value.cls, (GeneratorExit, StopIteration)):
            return Constant(None)
        raise
    if result is not None:
        raise raised(RuntimeError, "generator ignored GeneratorExit")
    return Constant(None)


@native(types.GeneratorType.__iter__)
def generator_iter(vm, arguments, keywords):
    return vm.look(arguments[0])


ITERATOR_CLASSES = tuple(
    type(iter(x)) for x in ([], (), {}, set(), "", "é", b"", range(0), {}.items(), {}.values())
)


@native(*of_classes(ITERATOR_CLASSES, "__iter__"))
def iterator_iter(vm, arguments, keywords):
    return vm.look(arguments[0])


@native(*of_classes(ITERATOR_CLASSES, "__next__"))
def iterator_next(vm, arguments, keywords):
    found = iteration.next_of(vm, arguments[0])
    if found is None:
        raise raised(StopIteration)
    return found


@native(*of_classes(ITERATOR_CLASSES, "__length_hint__"))
def iterator_length_hint(vm, arguments, keywords):
    iterator = vm.look(arguments[0])
    iteration.check_not_outside(vm, iterator)
    return Constant(max(len(iterator.items) - iterator.index, 0))

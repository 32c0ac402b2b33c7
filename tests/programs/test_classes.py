"""Properties, descriptors, slots, super, metaclasses, ``__getattr__`` and operators of user classes.

PYTEST_DONT_REWRITE: the assertions here belong to the programs.
"""

import abc
import weakref

import torch

import framelift
from tests.harness import Program, check, floats, fresh, made


def test_property_and_setter():
    class Box:
        def __init__(self, value):
            self._value = value

        @property
        def value(self):
            return self._value + 1

        @value.setter
        def value(self, new):
            self._value = new * 2

    def f(x):
        box = Box(x)
        box.value = box.value + 1
        return box.value, box

    check(f, floats(2))


def test_data_and_non_data_descriptors():
    class Doubling:
        def __set_name__(self, owner, name):
            self.name = "_" + name

        def __get__(self, instance, owner=None):
            return self if instance is None else getattr(instance, self.name) * 2

        def __set__(self, instance, value):
            setattr(instance, self.name, value)

    class Lazy:
        def __init__(self, function):
            self.function = function

        def __get__(self, instance, owner=None):
            value = instance.__dict__[self.function.__name__] = self.function(instance)
            return value

    class Box:
        size = Doubling()

        @Lazy
        def total(self):
            return self.size + 1

    def f(x):
        box = Box()
        box.size = x
        return box.total + box.total, sorted(box.__dict__)

    check(f, floats(2))


def test_slots():
    class Dual:
        __slots__ = ("d", "v")

        def __init__(self, v, d):
            self.v, self.d = v, d

    def f(x):
        dual = Dual(x, x + 1)
        dual.v = dual.v * 2
        try:
            dual.other = 1
        except AttributeError:
            return dual, dual.v + dual.d

    check(f, floats(2))


def test_super_and_the_resolution_order():
    class A:
        def step(self, x):
            return x + 1

    class B(A):
        def step(self, x):
            return super().step(x) * 2

    class C(A):
        def step(self, x):
            return super().step(x) * 3

    class D(B, C):
        def step(self, x):
            return super(D, self).step(x) - 1

    def f(x):
        return D().step(x), [cls.__name__ for cls in D.__mro__]

    check(f, floats(2))


def test_getattr_and_setattr_hooks():
    class Record:
        def __init__(self):
            object.__setattr__(self, "values", {})

        def __getattr__(self, name):
            try:
                return self.values[name]
            except KeyError:
                raise AttributeError(name) from None

        def __setattr__(self, name, value):
            self.values[name] = value

        def __delattr__(self, name):
            del self.values[name]

    def f(x):
        record = Record()
        record.a = x
        record.b = x + 1
        del record.b
        return record.a * 2, hasattr(record, "b"), getattr(record, "c", 5), record

    check(f, floats(2))


def test_getattribute():
    class Counting:
        def __init__(self):
            self.reads = 0
            self.factor = 2.0

        def __getattribute__(self, name):
            if name == "factor":
                self.reads += 1
            return object.__getattribute__(self, name)

    def f(x):
        one = Counting()
        return x * one.factor * one.factor, one.reads

    check(f, floats(2))


def test_metaclass_with_registry_and_call():
    class Meta(abc.ABCMeta):
        registry = {}

        def __new__(mcs, name, bases, namespace):
            cls = super().__new__(mcs, name, bases, namespace)
            mcs.registry[name] = cls
            return cls

        def __call__(cls, *args):
            made = super().__call__(*args)
            made.made_by = "meta"
            return made

    class Op(metaclass=Meta):
        @abc.abstractmethod
        def __call__(self, x): ...

    class Neg(Op):
        def __call__(self, x):
            return -x

    class Pow(Op):
        def __init__(self, p=2):
            self.p = p

        def __call__(self, x):
            return x**self.p

    def f(x, names):
        for name in names:
            op = Meta.registry[name]()
            assert isinstance(op, Op) and not issubclass(int, Op)  # noqa: PT018
            x = op(x)
        return x, op.made_by

    check(f, floats(2), ["Neg", "Pow"])


def test_operator_overloading():
    class Dual:
        def __init__(self, v, d):
            self.v, self.d = v, d

        def __mul__(self, other):
            other = other if isinstance(other, Dual) else Dual(other, 0)
            return Dual(self.v * other.v, self.v * other.d + self.d * other.v)

        __rmul__ = __mul__

        def __add__(self, other):
            other = other if isinstance(other, Dual) else Dual(other, 0)
            return Dual(self.v + other.v, self.d + other.d)

        def __iadd__(self, other):
            self.v = self.v + other
            return self

        def __getitem__(self, index):
            return Dual(self.v[index], self.d[index])

        def __eq__(self, other):
            return isinstance(other, Dual)

        __hash__ = None

        def __bool__(self):
            return True

        def __len__(self):
            return 2

        def __neg__(self):
            return Dual(-self.v, -self.d)

        def __contains__(self, item):
            return item == 3

    def f(x):
        a = Dual(x, torch.ones_like(x))
        y = 3 * a * a + a + 2
        y += 1
        if y and y == a and 3 in y:
            y = -y[:2]
        return y.v, y.d, len(y)

    check(f, floats(4))


def test_reflected_operators_prefer_subclasses():
    class Base:
        def __add__(self, other):
            return "base"

        def __radd__(self, other):
            return "base reflected"

    class Derived(Base):
        def __radd__(self, other):
            return "derived reflected"

    class Stubborn:
        def __add__(self, other):
            return NotImplemented

    def f(x):
        results = [Base() + Derived(), Base() + Base(), Stubborn() + Base(), 1 + Base()]
        try:
            Stubborn() + 1
        except TypeError as error:
            results.append(str(error))
        return x + 1, results

    check(f, floats(2))


def test_comparison_methods_and_sorting():
    class Version:
        def __init__(self, number):
            self.number = number

        def __lt__(self, other):
            return self.number < other.number

        def __repr__(self):
            return f"v{self.number}"

    def f(x):
        ordered = sorted([Version(3), Version(1), Version(2)])
        return x * max(ordered).number, repr(ordered)

    check(f, floats(2))


def test_new_and_init():
    class Single:
        made = []

        def __new__(cls, value):
            one = super().__new__(cls)
            one.history = [value]
            return one

        def __init__(self, value):
            self.history.append(value + 1)

    def f(x):
        return x + 1, Single(3).history

    check(f, floats(2))


def test_subclass_of_list_and_dict():
    class Stack(list):
        def peek(self):
            return self[-1]

    class Defaults(dict):
        def __missing__(self, key):
            return key * 2

    def f(x):
        stack = Stack([x, x + 1])
        stack.append(x * 2)
        table = Defaults(a=1)
        return stack.peek(), stack, table["b"], table["a"], table

    check(f, floats(2))


def test_class_attributes_and_instance_attributes():
    def build():
        class Counter:
            total = 0
            names: list = []  # noqa: RUF012

            def __init__(self):
                self.total += 1
                self.names.append("made")

        def f(x):
            one = Counter()
            return x * one.total, Counter.total, list(one.names)

        return Program(f, Counter.names)

    check(fresh(build), floats(2), calls=1)


def test_isinstance_issubclass_and_type():
    class A: ...

    class B(A): ...

    def f(x, one):
        if isinstance(one, (A, int)) and issubclass(type(one), A) and type(one) is B:
            x = x + 1
        return (
            x,
            type(x) is torch.Tensor,
            isinstance(x, torch.Tensor),
            callable(one),
            isinstance(x, (int, str)),
        )

    check(f, floats(2), made(lambda k: B()))


def test_attributes_by_name():
    class Box: ...

    def f(x, names):
        box = Box()
        for index, name in enumerate(names):
            setattr(box, name, x * index)
        delattr(box, names[0])
        return getattr(box, names[1]), hasattr(box, names[0]), vars(box), sorted(box.__dict__)

    check(f, floats(2), ["a", "b", "c"])


def test_object_argument_is_changed():
    class Box:
        def __init__(self, k):
            self.values = [k]
            self.count = 0

    def f(box, x):
        box.values.append(x)
        box.latest = x * 2
        box.values = [*box.values, "end"]
        del box.count
        return x + 1

    check(f, made(lambda k: Box("k")), floats(2))


def test_iteration_protocols():
    class Countdown:
        def __init__(self, n):
            self.n = n

        def __iter__(self):
            return self

        def __next__(self):
            if self.n == 0:
                raise StopIteration
            self.n -= 1
            return self.n

    class Indexed:
        def __getitem__(self, index):
            if index == 3:
                raise IndexError
            return index * 10

    def f(x):
        return x + sum(Countdown(4)), list(Indexed()), 20 in Indexed(), list(zip(Countdown(2), "abc"))

    check(f, floats(2))


def test_call_and_class_getitem():
    class Typed:
        def __class_getitem__(cls, item):
            return (cls.__name__, item)

        def __call__(self, x, *args, **kwargs):
            return x * len(args) + len(kwargs)

    def f(x):
        return Typed()(x, 1, 2, a=3), Typed[int]

    check(f, floats(2))


def test_init_subclass_and_abstract():
    class Plugin:
        found = []

        def __init_subclass__(cls, **kwargs):
            super().__init_subclass__()
            Plugin.found.append(kwargs.get("name", cls.__name__))

    class One(Plugin, name="one"): ...

    def f(x):
        return x + len(Plugin.found), Plugin.found[0], One.__bases__

    check(f, floats(2))


def test_cached_property():
    import functools

    class Box:
        def __init__(self):
            self.computed = 0

        @functools.cached_property
        def weight(self):
            self.computed += 1
            return 3.0

    def f(x):
        box = Box()
        return x * box.weight + box.weight, box.computed, sorted(vars(box))

    check(f, floats(2))


def test_context_variables_of_objects_with_bool_and_len():
    class Empty:
        def __len__(self):
            return 0

    def f(x, one):
        return x + 1 if one else x - 1

    check(f, floats(2), made(lambda k: Empty()))


def test_identity_and_hash_of_objects():
    class Key: ...

    def f(x):
        a, b = Key(), Key()
        table = {a: 1, b: 2}
        return x * table[a] + table[b], a is b, a == a, a != b, len({a, b, a})

    check(f, floats(2))


def test_weak_references_from_outside():
    class Part:
        def __init__(self, size):
            self.size = size

    kept = [Part(2), Part(3)]

    class Owner:
        def __init__(self, k):
            self.part = weakref.ref(kept[k % 2])
            self.gone = weakref.ref(Part(0))

    def f(x, owner):
        return x * owner.part().size, owner.gone() is None

    check(f, floats(2), made(lambda k: Owner(k)), calls=4, graphs=None, recompiles=None)


def test_methods_of_c_classes_behind_a_break():
    """Each access makes another function, whether it is bound to an object or to a class."""

    class Squared(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    class Keyed(dict):
        @classmethod
        def made(cls):
            return super().fromkeys

    def f(x):
        squared, parse, join, made = Squared.apply, float.fromhex, ",".join, Keyed.made()
        y = x + 1
        framelift.graph_break()
        return squared(y) * parse("0x10"), join(["a", "b"]), type(made("ab"))

    report = check(f, floats(2), graphs=None, breaks=None)
    assert not report.counts.fallbacks

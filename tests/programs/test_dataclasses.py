"""Dataclasses, containers in the manner of ModelOutput, named tuples, enums.

PYTEST_DONT_REWRITE: the assertions here belong to the programs.
"""

import collections
import dataclasses
import enum
import typing

import torch

from tests.harness import check, floats, made


@dataclasses.dataclass
class State:
    hidden: torch.Tensor
    step: int = 0
    log: list = dataclasses.field(default_factory=list)

    def advance(self, change):
        self.log.append(self.step)
        return dataclasses.replace(self, hidden=self.hidden + change, step=self.step + 1)


@dataclasses.dataclass(frozen=True, order=True)
class Config:
    width: int
    scale: float = 2.0
    names: tuple = ("a", "b")


@dataclasses.dataclass(slots=True)
class Slotted:
    value: torch.Tensor
    weight: float = 1.0


class Output(collections.OrderedDict):
    """Attributes and items of one set of fields, those that are None left out."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                self[field.name] = value

    def __getitem__(self, key):
        if isinstance(key, str):
            return dict(self.items())[key]
        return self.to_tuple()[key]

    def __setattr__(self, name, value):
        if name in self.keys() and value is not None:
            super().__setitem__(name, value)
        super().__setattr__(name, value)

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def to_tuple(self):
        return tuple(self[key] for key in self.keys())


@dataclasses.dataclass
class Logits(Output):
    logits: torch.Tensor = None
    loss: torch.Tensor = None
    states: tuple = None


class Pair(typing.NamedTuple):
    left: torch.Tensor
    right: int = 3

    def total(self):
        return self.left + self.right


Point = collections.namedtuple("Point", "x y")


class Mode(enum.Enum):
    TRAIN = "train"
    EVAL = "eval"

    @property
    def rate(self):
        return 0.5 if self is Mode.TRAIN else 0.0


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Flags(enum.Flag):
    A = enum.auto()
    B = enum.auto()


def test_dataclass_made_and_returned():
    def f(x):
        return State(x + 1, step=3)

    check(f, floats(2))


def test_dataclass_methods_and_replace():
    def f(x):
        state = State(x)
        for i in range(3):
            state = state.advance(x * i)
        return state.hidden, state.step, state.log

    check(f, floats(2))


def test_dataclass_argument_is_read_and_changed():
    def f(state, x):
        state.hidden = state.hidden * 2 + x
        state.log.append("seen")
        return state.hidden + 1

    check(f, made(lambda k: State(torch.full((2,), float(k)))), floats(2))


def test_frozen_dataclass():
    def f(x, config):
        assert config == Config(4) and config > Config(3)  # noqa: PT018
        try:
            config.width = 5
        except dataclasses.FrozenInstanceError:
            x = x + 1
        return x * config.scale + config.width, config.names, repr(config), hash(config) == hash(Config(4))

    check(f, floats(2), Config(4))


def test_slotted_dataclass():
    def f(x):
        box = Slotted(x, weight=2.0)
        box.value = box.value * box.weight
        return box, dataclasses.astuple(Slotted(x, 1.0))[1]

    check(f, floats(2))


def test_fields_and_asdict():
    def f(x, config):
        names = [field.name for field in dataclasses.fields(config)]
        return x + len(names), names, dataclasses.asdict(config), dataclasses.is_dataclass(config)

    check(f, floats(2), Config(4))


def test_model_output_like_container():
    def f(x):
        output = Logits(logits=x * 2, states=(x, x + 1))
        output["loss"] = output.logits.sum()
        return output, output[0], list(output.keys()), "loss" in output, output.to_tuple()

    check(f, floats(2))


def test_model_output_like_argument():
    def f(output):
        return output.logits + output["states"][0], len(output), output.loss is None

    check(f, made(lambda k: Logits(logits=torch.ones(2) * k, states=(torch.ones(2),))))


def test_typed_named_tuple():
    def f(x):
        pair = Pair(x + 1)
        left, right = pair
        return pair, left * right, pair.total(), pair._replace(right=5), pair._asdict(), Pair._fields

    check(f, floats(2))


def test_named_tuple_argument():
    def f(point):
        return point.x + point.y, point[0] is point.x, Point(*point), isinstance(point, tuple), len(point)

    check(f, made(lambda k: Point(torch.ones(2) * k, 2.0)))


def test_enum_dispatch():
    def f(x, mode):
        if mode is Mode.TRAIN:
            x = x * mode.rate
        elif mode == Mode.EVAL:
            x = x + 1
        return x, mode.name, mode.value, Mode("eval"), Mode["TRAIN"], [m.value for m in Mode]

    check(f, floats(2), Mode.TRAIN)
    check(f, floats(2), Mode.EVAL)


def test_int_enum_and_flags():
    def f(x, level):
        both = Flags.A | Flags.B
        return (
            x * level,
            level + 1,
            level > Level.LOW,
            Flags.A in both,
            both.value,
            int(level),
            f"{level.name}",
        )

    check(f, floats(2), Level.HIGH)


def test_enum_as_a_key():
    def f(x, mode):
        table = {Mode.TRAIN: torch.sin, Mode.EVAL: torch.cos}
        return table[mode](x)

    check(f, floats(2), Mode.EVAL)


def test_dataclass_with_post_init_and_inheritance():
    @dataclasses.dataclass
    class Base:
        a: int

        def __post_init__(self):
            self.doubled = self.a * 2

    @dataclasses.dataclass
    class Derived(Base):
        b: float = 0.5

        def __post_init__(self):
            super().__post_init__()
            self.total = self.a + self.b

    def f(x):
        one = Derived(3)
        return x * one.total + one.doubled, one == Derived(3), one

    check(f, floats(2))

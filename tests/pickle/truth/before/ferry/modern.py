"""What needs the syntax of Python 3, before it was changed: see `../../after`."""
import dataclasses
from typing import Generic, NamedTuple, TypeVar

T = TypeVar('T')


class Slot(NamedTuple):
    hour: int
    pier: str


class Line(NamedTuple):
    name: str
    colour: str = 'blue'


@dataclasses.dataclass
class Trip:
    route: str
    seats: int = 40


@dataclasses.dataclass
class Haul:
    tons: int

    def total(self):
        return self.tons


@dataclasses.dataclass(frozen=True)
class Code:
    letters: str


@dataclasses.dataclass
class Ranked:
    rank: int
    name: str = dataclasses.field(default='', compare=False)


@dataclasses.dataclass
class Sum:
    left: int
    right: int
    total: int = dataclasses.field(init=False)

    def __post_init__(self):
        self.total = self.left + self.right


@dataclasses.dataclass
class Renamed:
    size: int

    def tell(self):
        return [self.size]


@dataclasses.dataclass
class Parent:
    name: str


@dataclasses.dataclass
class Child(Parent):
    age: int = 0


class Box(Generic[T]):
    def __init__(self, content: T):
        self.content = content

    def tell(self):
        return [self.content]


class Keyed:
    def __init__(self, *, key):
        self.key = key

    def __getnewargs_ex__(self):
        return (), {'key': self.key}

    def __new__(cls, *, key):
        self = object.__new__(cls)
        self.made_for = key
        return self

    def tell(self):
        return [self.key, self.made_for]


class Described:
    """An attribute with a descriptor of its own now."""

    def __init__(self, value):
        self.value = value

    def tell(self):
        return [self.value]


class Base:
    def __init_subclass__(cls, **options):
        cls.options = options


class Sub(Base, kind='x'):
    def __init__(self, a):
        self.a = a

    def tell(self):
        return [self.a, self.options['kind']]


class Lazily:
    """Computes once what it is asked for."""

    def __init__(self, n):
        self.n = n

    def __getattr__(self, name):
        if name != 'square':
            raise AttributeError(name)
        self.square = self.n ** 2
        return self.square

    def tell(self):
        return [self.square]

"""What needs the syntax of Python 3, after it was changed: see `../../before`."""
import dataclasses
from typing import Dict, Generic, NamedTuple, Optional, TypeVar

T = TypeVar('T')


class Slot(NamedTuple):
    hour: int
    pier: str
    gate: str = 'A'


class Line(NamedTuple):
    name: str


@dataclasses.dataclass
class Trip:
    route: str
    seats: int = 40
    wheelchair: bool = False


@dataclasses.dataclass
class Haul:
    tons: int
    stops: list = dataclasses.field(default_factory=list)

    def total(self):
        return self.tons + len(self.stops)


@dataclasses.dataclass(frozen=True)
class Code:
    letters: str
    digits: int = 0


@dataclasses.dataclass(order=True)
class Ranked:
    rank: int
    name: str = dataclasses.field(default='', compare=False)


@dataclasses.dataclass
class Sum:
    left: int
    right: int

    @property
    def total(self):
        return self.left + self.right


@dataclasses.dataclass
class Renamed:
    length: int

    def tell(self):
        return [self.length]


@dataclasses.dataclass
class Parent:
    name: str


@dataclasses.dataclass
class Child(Parent):
    age: int = 0
    school: Optional[str] = None


class Box(Generic[T]):
    def __init__(self, content: T):
        self.content = content
        self.label: Optional[str] = None

    def tell(self):
        return [self.content]


class Keyed:
    def __init__(self, *, key, extra=None):
        self.key = key

    def __getnewargs_ex__(self):
        return (), {'key': self.key, 'extra': None}

    def __new__(cls, *, key, extra=None):
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

    class Stored:
        def __get__(self, owner, kind=None):
            return self if owner is None else owner.__dict__['_value']

        def __set__(self, owner, value):
            owner.__dict__['_value'] = value

    value = Stored()


class Base:
    def __init_subclass__(cls, **options):
        cls.options = options


class Sub(Base, kind='x', more=1):
    def __init__(self, a):
        self.a = a

    def tell(self):
        return [self.a, self.options['kind']]


class Lazily:
    """Computes once what it is asked for."""

    def __init__(self, n):
        self.n = n

    def __getattr__(self, name):
        if name != 'square' or 'n' not in self.__dict__:
            raise AttributeError(name)
        self.square = self.n ** 2
        return self.square

    def tell(self):
        return [self.square]

# -*- coding: utf-8 -*-
"""Classes of an application that are the same on both sides, whatever Python and
whatever libraries are there. What an environment cannot define, it does not have.
"""
import abc
import collections
import datetime
import decimal
import functools
import sys

from optional import attr, dataclasses, enum, make_dataclass, model, pydantic, typing

text = type(u'')

Visit = collections.namedtuple('Visit', 'path when referrer')


class Reading(object):
    unit = u'kWh'

    def __init__(self, meter, value, previous=None):
        self.meter = meter
        self.value = value
        self.previous = previous

    def tell(self):
        return [self.meter, self.value, self.unit, self.previous and self.previous.tell()]


class Ring(object):
    """Knows itself through its members."""

    def __init__(self, names):
        self.members = []
        for name in names:
            self.members.append((name, self))

    def tell(self):
        return [name for name, ring in self.members if ring is self]


class Lazy(object):
    """Fills in what it is asked for."""

    def __init__(self, source):
        self.source = source

    def __getattr__(self, name):
        if name.startswith('__') or name == 'source':
            raise AttributeError(name)
        return self.source[name]

    def tell(self):
        return [self.colour, self.source]


class Cell(object):
    __slots__ = ('row', 'column', '__weakref__')

    def __init__(self, row, column):
        self.row = row
        self.column = column

    def tell(self):
        return [self.row, self.column]


class Wide(Cell):
    __slots__ = ('span',)

    def __init__(self, row, column, span):
        super(Wide, self).__init__(row, column)
        self.span = span

    def tell(self):
        return [self.row, self.column, self.span]


class Noted(Cell):
    """Slots and a `__dict__`."""

    def tell(self):
        return [self.row, self.column, self.note]


class Sealed(object):
    """Sets its attributes once."""

    def __init__(self, name, level):
        object.__setattr__(self, 'name', name)
        object.__setattr__(self, 'level', level)

    def __setattr__(self, name, value):
        raise AttributeError('sealed')

    def tell(self):
        return [self.name, self.level]


class Account(object):
    def __init__(self, owner, balance):
        self.owner = owner
        self.balance = balance
        self.handle = object()

    def __getstate__(self):
        return {'owner': self.owner, 'balance': self.balance, 'version': 2}

    def __setstate__(self, state):
        if state['version'] != 2:
            raise ValueError('version')
        self.owner = state['owner']
        self.balance = state['balance']

    def tell(self):
        return [self.owner, self.balance]


class Route(object):
    """Its state is a tuple."""

    def __init__(self, start, *stops):
        self.start, self.stops = start, stops

    def __getstate__(self):
        return self.start, self.stops

    def __setstate__(self, state):
        self.start, self.stops = state

    def tell(self):
        return [self.start, list(self.stops)]


def rebuild(kind, shape, cells):
    return Grid(shape, cells)


class Grid(object):
    def __init__(self, shape, cells):
        self.shape, self.cells = shape, cells

    def __reduce__(self):
        return rebuild, (self.__class__, self.shape, self.cells)

    def tell(self):
        return [self.shape, self.cells]


class Score(int):
    def __new__(cls, value, label=u''):
        self = int.__new__(cls, value)
        self.label = label
        return self

    def tell(self):
        return [int(self), self.label]


class Version(tuple):
    def __new__(cls, *parts):
        return tuple.__new__(cls, parts)

    def __getnewargs__(self):
        return tuple(self)

    def tell(self):
        return list(self)


class Registry(dict):
    def __init__(self, name=None):
        dict.__init__(self)
        self.name = name

    def __setitem__(self, key, value):
        dict.__setitem__(self, key.lower(), value)

    def tell(self):
        return [self.name, sorted(self.items())]


class Counted(dict):
    """Needs what only `__init__` sets to take an item."""

    def __init__(self):
        dict.__init__(self)
        self.changes = 0

    def __setitem__(self, key, value):
        self.changes += 1
        dict.__setitem__(self, key, value)

    def tell(self):
        return [sorted(self.items()), self.changes]


class Stack(list):
    def __init__(self, limit):
        list.__init__(self)
        self.limit = limit

    def tell(self):
        return [list(self), self.limit]


class Window(collections.deque):
    def tell(self):
        return [list(self), self.maxlen]


class Bag(collections.Counter):
    def tell(self):
        return sorted(self.items())


class Defaults(collections.defaultdict):
    def tell(self):
        return [sorted(self.items()), self.default_factory]


class Moment(datetime.datetime):
    def tell(self):
        return self.isoformat()


class Price(decimal.Decimal):
    def tell(self):
        return text(self)


class Missing(LookupError):
    def tell(self):
        return list(self.args)


class Rejected(ValueError):
    def __init__(self, field, code=u'invalid', **details):
        ValueError.__init__(self, field, code)
        self.field, self.code, self.details = field, code, details

    def tell(self):
        return [self.field, self.code, self.details]


class Conflict(Exception):
    """Cannot be made of its own arguments."""

    def __init__(self, left, right):
        Exception.__init__(self, u'%s and %s' % (left, right))


class Shape(abc.ABCMeta('Abstract', (object,), {})):
    @abc.abstractmethod
    def area(self):
        """Its area."""


class Square(Shape):
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side ** 2

    def tell(self):
        return [self.area()]


class Handler(object):
    """Refers to functions and bound methods of its own."""

    def __init__(self, then):
        self.then = then

    def twice(self, value):
        return value * 2

    def tell(self):
        return [self.then(4)]


def double(value, times=2):
    return value * times


class Outer(object):
    class Inner(object):
        def __init__(self, depth):
            self.depth = depth

        def tell(self):
            return [self.depth]


class Old:
    """Old-style on Python 2."""

    def __init__(self, left):
        self.left = left

    def tell(self):
        return [self.left]


class OldMade:
    def __init__(self, left, right):
        self.left, self.right = left, right

    def __getinitargs__(self):
        return self.left, self.right

    def tell(self):
        return [self.left, self.right]


class Blob(object):
    """Holds bytes, and needs them."""

    def __init__(self, data):
        self.data = data

    def tell(self):
        return [self.data.decode('ascii')]


class Title(object):
    """Holds text, and needs it."""

    def __init__(self, words):
        self.words = words

    def tell(self):
        return [u' '.join(self.words)]


if enum:
    class State(enum.Enum):
        DRAFT = u'draft'
        LIVE = u'live'

        def tell(self):
            return [self.name, self.value]

    class Rank(enum.IntEnum):
        LOW = 1
        TOP = 9

    class Planet(enum.Enum):
        EARTH = (5.976e24, 6378140.0)
        MARS = (6.421e23, 3397200.0)

if hasattr(enum, 'Flag'):
    class Rights(enum.Flag):
        READ = 1
        WRITE = 2
        RUN = 4

if typing:
    Stay = typing.NamedTuple('Stay', [('room', int), ('nights', int)])
    Stay.__module__ = __name__

if dataclasses:
    Parcel = make_dataclass(__name__, 'Parcel', [
        ('to', str), ('grams', int, 0), ('items', list, dataclasses.field(default_factory=list))])
    Stamp = make_dataclass(__name__, 'Stamp', [('country', str), ('cents', int)], frozen=True)
    if sys.version_info >= (3, 10):
        Label = make_dataclass(__name__, 'Label', [('width', int), ('height', int)], slots=True)
        Seal = make_dataclass(__name__, 'Seal', [('wax', str)], slots=True, frozen=True)

if attr:
    @attr.s
    class Tree(object):
        kind = attr.ib()
        height = attr.ib(default=1)
        fruit = attr.ib(factory=list)

    @attr.s(slots=True)
    class Leaf(object):
        colour = attr.ib()
        area = attr.ib(default=0.5)

    @attr.s(frozen=True)
    class Seed(object):
        kind = attr.ib()
        grams = attr.ib(default=2)

    @attr.s(slots=True, frozen=True)
    class Bud(object):
        colour = attr.ib()

if pydantic:
    Login = model(__name__, 'Login', name=(str, Ellipsis), tries=(int, 0))
    Group = model(__name__, 'Group', title=(str, Ellipsis), logins=(typing.List[Login], []))

partial = functools.partial(double, times=3)

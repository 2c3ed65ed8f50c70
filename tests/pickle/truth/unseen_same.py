# -*- coding: utf-8 -*-
"""Classes of a library's own application, a weather service, the same on both sides."""
import abc
import array
import collections
import datetime
import decimal
import functools
import operator
import sys
import threading
import uuid
import weakref

import copyreg_
from optional import attr, dataclasses, enum, make_dataclass, model, pydantic, typing

try:
    from collections import abc as containers
except ImportError:
    containers = collections

text = type(u'')
Decimal = decimal.Decimal

Observation = collections.namedtuple('Observation', 'station at celsius')
Bounds = collections.namedtuple('Bounds', 'north east south west')
Empty = collections.namedtuple('Empty', '')


class Extent(Bounds):
    @property
    def height(self):
        return self.north - self.south

    def tell(self):
        return [self.height] + list(self)


class Station(object):
    def __init__(self, code, place):
        self.code = code
        self.place = place
        self.sensors = {}

    def add(self, sensor):
        sensor.station = self
        self.sensors[sensor.name] = sensor

    def tell(self):
        return [self.code, self.place, sorted((name, s.station is self) for name, s in self.sensors.items())]


class Sensor(object):
    __slots__ = ('name', 'station', 'gain')

    def __init__(self, name, gain=1.0):
        self.name = name
        self.gain = gain

    def tell(self):
        return [self.name, self.gain, hasattr(self, 'station')]


class Probe(Sensor):
    """Slots with a state of its own."""
    __slots__ = ('depth',)

    def __init__(self, name, depth):
        Sensor.__init__(self, name)
        self.depth = depth

    def __getstate__(self):
        return [self.name, self.gain, self.depth]

    def __setstate__(self, state):
        self.name, self.gain, self.depth = state

    def tell(self):
        return [self.name, self.gain, self.depth]


class Private(object):
    __slots__ = ('__secret', 'shown')

    def __init__(self, secret):
        self.__secret = secret
        self.shown = None

    def tell(self):
        return [self.__secret, self.shown]


class Forecast(object):
    def __init__(self, days, **chances):
        self.days = days
        self.__dict__.update(chances)

    def tell(self):
        return [self.days, self.rain, self.snow]


class Model(object):
    """Its default state, and what must not be kept."""
    steps = 3

    def __init__(self, name):
        self.name = name
        self.lock = threading.RLock()
        self.grid = array.array('d', [1.5, 2.5])

    def __getstate__(self):
        return dict((k, v) for k, v in self.__dict__.items() if k != 'lock')

    def __setstate__(self, state):
        self.__dict__ = state
        self.lock = threading.RLock()

    def tell(self):
        with self.lock:
            return [self.name, list(self.grid), self.steps]


class Falsy(object):
    """A state that is false is not given back."""

    def __init__(self):
        self.seen = False

    def __getstate__(self):
        return ()

    def __setstate__(self, state):
        self.seen = True

    def tell(self):
        return [getattr(self, 'seen', None)]


class Nobody(object):
    def __getstate__(self):
        return None

    def tell(self):
        return [sorted(vars(self))]


class Counted(object):
    """Numbers its instances, but for those that are loaded."""
    made = 0

    def __init__(self, label):
        type(self).made += 1
        self.label = label

    def tell(self):
        return [self.label]


class Interned(object):
    known = {}

    def __new__(cls, code):
        if code not in cls.known:
            cls.known[code] = object.__new__(cls)
        return cls.known[code]

    def __init__(self, code):
        self.code = code

    def __getnewargs__(self):
        return self.code,

    def tell(self):
        return [self.code, self is Interned(self.code)]


class Celsius(float):
    def tell(self):
        return [float(self)]


class Degrees(Decimal):
    """A built-in base with a `__dict__`."""

    def tell(self):
        return [text(self), getattr(self, 'source', None)]


class Code(text):
    def __new__(cls, value, country):
        self = text.__new__(cls, value)
        self.country = country
        return self

    def __getnewargs__(self):
        return text(self), self.country

    def tell(self):
        return [text(self)[:], self.country]


class Phrase(text):
    """The arguments of `__new__` are not what it is made of."""

    def __new__(cls, *words):
        return text.__new__(cls, u' '.join(words))

    def tell(self):
        return [self.split()]


class Raw(bytes):
    def tell(self):
        return [self[:]]


class Buffer(bytearray):
    def tell(self):
        return [bytes(self)]


class Level(int):
    names = {0: u'none', 3: u'high'}

    def tell(self):
        return [self.names.get(self)]


class Samples(list):
    """Items and attributes."""

    def __init__(self, unit, items=()):
        list.__init__(self, items)
        self.unit = unit

    def tell(self):
        return [self.unit, list(self)]


class Checked(list):
    """Checks what it takes, by what it always has."""
    lowest = -90

    def append(self, item):
        if item < self.lowest:
            raise ValueError(item)
        list.append(self, item)

    def extend(self, items):
        for item in items:
            self.append(item)

    def tell(self):
        return list(self)


class Index(dict):
    def __missing__(self, key):
        value = self[key] = []
        return value

    def tell(self):
        return [self[u'x'], self[u'nothing'], len(self)]


class Folded(dict):
    """Takes keys in any case, from the start."""

    def __setitem__(self, key, value):
        dict.__setitem__(self, key.lower(), value)

    def __getitem__(self, key):
        return dict.__getitem__(self, key.lower())

    def tell(self):
        return [self[u'WIND'], len(self)]


class Indented(dict):
    """Sets an item by what `__init__` gave it: its pickles do not load."""

    def __init__(self, by=2):
        dict.__init__(self)
        self.by = by

    def __setitem__(self, key, value):
        dict.__setitem__(self, u' ' * self.by + key, value)

    def tell(self):
        return sorted(self)


class Series(collections.OrderedDict):
    def __init__(self, *args, **kwargs):
        self.title = kwargs.pop('title', None)
        super(Series, self).__init__(*args, **kwargs)

    def tell(self):
        return [self.title, list(self.items())]


class Recent(collections.deque):
    def tell(self):
        return [list(self), self.maxlen]


class Grouped(collections.defaultdict):
    def tell(self):
        return [sorted(self), self[u'none']]


class Tally(collections.Counter):
    def tell(self):
        return [sorted(self.items()), self[u'none']]


class Frozen(frozenset):
    def tell(self):
        return sorted(self)


class Names(set):
    def __init__(self, items=(), owner=None):
        set.__init__(self, items)
        self.owner = owner

    def tell(self):
        return [sorted(self), self.owner]


class Vector(tuple):
    def __new__(cls, x, y):
        return tuple.__new__(cls, (x, y))

    def __reduce__(self):
        return Vector, tuple(self)

    def tell(self):
        return list(self)


class Mapping(containers.Mapping):
    """An abstract class with all that it asks for."""

    def __init__(self, **items):
        self.items_ = items

    def __getitem__(self, key):
        return self.items_[key]

    def __iter__(self):
        return iter(sorted(self.items_))

    def __len__(self):
        return len(self.items_)

    def tell(self):
        return [list(self), self[u'a']]


class Shape(abc.ABCMeta('Shapes', (object,), {'area': abc.abstractmethod(lambda self: 0)})):
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side ** 2

    def tell(self):
        return [self.area()]


class Local(datetime.tzinfo):
    """A zone that is made of nothing."""

    def utcoffset(self, moment):
        return datetime.timedelta(hours=2)

    def dst(self, moment):
        return datetime.timedelta(0)

    def tzname(self, moment):
        return 'LOC'


class Instant(datetime.datetime):
    def tell(self):
        return [self.isoformat(), type(self).__name__]


class Holiday(datetime.date):
    name = None

    def tell(self):
        return [self.isoformat(), self.name]


class Lasting(datetime.timedelta):
    def tell(self):
        return [self.total_seconds()]


class Id(uuid.UUID):
    def tell(self):
        return [self.hex]


class Bad(Exception):
    pass


class Offline(Bad):
    def __init__(self, station, retry=None):
        super(Offline, self).__init__(u'%s is offline' % station)
        self.station = station
        self.retry = retry

    def __reduce__(self):
        return Offline, (self.station, self.retry)

    def tell(self):
        return [list(self.args), self.station, self.retry]


class OutOfRange(Bad, ValueError):
    """Called with what it is not made of: its pickles do not load."""

    def __init__(self, low, high):
        super(OutOfRange, self).__init__(u'%s to %s' % (low, high))

    def tell(self):
        return list(self.args)


class Timed(Bad):
    """Attributes beside its arguments, and defaults for those it lacks."""

    def __init__(self, message=u'', **more):
        Bad.__init__(self, message)
        self.more = more

    def tell(self):
        return [list(self.args), self.more]


class Missing(IOError):
    def tell(self):
        return [self.errno, self.filename, list(self.args)]


class Key(KeyError):
    def __str__(self):
        return 'no %s' % self.args

    def tell(self):
        return [str(self)]


class Many(Bad):
    def __init__(self, *errors):
        Bad.__init__(self, *errors)

    def tell(self):
        return [[type(error).__name__ for error in self.args]]


def tripled(value):
    return 3 * value


def rebuilt(kind, state):
    made = kind.__new__(kind)
    made.__dict__.update(state)
    return made


class Rebuilt(object):
    """Six parts of a reduction are too many: five are used."""

    def __init__(self):
        self.rows = []
        self.cells = {}

    def append(self, row):
        self.rows.append(row)

    def __setitem__(self, key, value):
        self.cells[key] = value

    def __reduce__(self):
        return rebuilt, (Rebuilt, {'rows': [], 'cells': {}}), None, iter(self.rows), iter(sorted(self.cells.items()))

    def tell(self):
        return [self.rows, sorted(self.cells.items())]


class Versioned(object):
    def __init__(self, body):
        self.body = body

    def __reduce_ex__(self, protocol):
        return operator.methodcaller('title') if protocol < 0 else restored, (1, {'body': self.body})

    def tell(self):
        return [self.body]


def restored(version, state):
    made = Versioned(None)
    made.__dict__.update(state)
    return made


class External(object):
    """Of which somebody else says how it is pickled."""

    def __init__(self, *parts):
        self.parts = parts

    def tell(self):
        return list(self.parts)


copyreg_.pickle(External, lambda value: (External, value.parts))


class Chain(object):
    """A list of many links."""

    def __init__(self, value, then=None):
        self.value = value
        self.then = then

    def tell(self):
        found = []
        while self:
            found.append(self.value)
            self = self.then
        return found


class Loop(object):
    def __init__(self):
        self.me = self
        self.pairs = [(self, {u'me': self})]

    def tell(self):
        return [self.me is self, self.pairs[0][0] is self, self.pairs[0][1][u'me'] is self]


class Group(object):
    class Kind(object):
        class Detail(object):
            def __init__(self, x):
                self.x = x

            def tell(self):
                return [self.x]

    @classmethod
    def named(cls, name):
        return cls, name

    @staticmethod
    def plain(name):
        return [name]

    def bound(self):
        return [u'bound']


class Old:
    def __init__(self, a, b):
        self.a = a
        self.b = b

    def tell(self):
        return [self.a, self.b]


class OldState:
    def __init__(self):
        self.a = 1

    def __getstate__(self):
        return {'z': 26}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.b = 2

    def tell(self):
        return sorted(self.__dict__.items())


class Meta(type):
    def __new__(meta, name, bases, members):
        members['kind'] = name.lower()
        return super(Meta, meta).__new__(meta, name, bases, members)


Tagged = Meta('Tagged', (object,), {'__module__': __name__, 'tell': lambda self: [self.kind, sorted(vars(self).items())]})
called = functools.partial(tripled, 4)
by_code = operator.attrgetter('code')

if enum:
    class Sky(enum.Enum):
        CLEAR = 1
        CLOUDY = 2
        GREY = 2

    class Unit(text, enum.Enum):
        METRE = u'm'
        FOOT = u'ft'

    class Step(enum.IntEnum):
        HOUR = 1
        DAY = 24

    class Source(enum.Enum):
        RADAR = (u'radar', 5)
        SHIP = (u'ship', 60)

        def __init__(self, name_, minutes):
            self.minutes = minutes

    Made = enum.Enum('Made', 'ONE TWO', module=__name__)

    if hasattr(enum, 'Flag'):
        class Alarm(enum.Flag):
            WIND = 1
            RAIN = 2
            STORM = WIND | RAIN

        class Mode(enum.IntFlag):
            X = 1
            R = 4

if attr:
    @attr.s
    class Gauge(object):
        name = attr.ib()
        unit = attr.ib(default=u'm')
        readings = attr.ib(default=attr.Factory(list))

    @attr.s(slots=True)
    class Mark(object):
        x = attr.ib()
        y = attr.ib(default=0)

    @attr.s(slots=True, frozen=True, hash=True)
    class Spot(object):
        lat = attr.ib()
        lon = attr.ib()

    @attr.s(frozen=True)
    class Sealed(object):
        name = attr.ib(converter=text)

    @attr.s(hash=False, init=False)
    class Bare(object):
        one = attr.ib(default=1)

    @attr.s(slots=True)
    class Taller(Mark):
        z = attr.ib(default=5)

if dataclasses:
    Wave = make_dataclass(__name__, 'Wave', [('height', float), ('period', float, 5.0)])
    Fixed = make_dataclass(__name__, 'Fixed', [('a', int), ('b', list, dataclasses.field(default_factory=list))], frozen=True)
    Ordered = make_dataclass(__name__, 'Ordered', [('a', int)], order=True)

if pydantic:
    Settings = model(__name__, 'Settings', url=(text, Ellipsis), port=(int, 80))
    Nested = model(__name__, 'Nested', settings=(Settings, Ellipsis), tags=(list, []))

if typing and hasattr(typing, 'NamedTuple'):
    Typed = typing.NamedTuple('Typed', [('a', int), ('b', text)])

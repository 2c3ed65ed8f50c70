# -*- coding: utf-8 -*-
"""Classes of an application, before they were changed: see `../../after`."""
import abc
import collections
import copyreg_ as copyreg
import datetime
import sys

from optional import attr, dataclasses, enum, make_dataclass, model, pydantic, typing

Grown = collections.namedtuple('Grown', 'sku count')
Shrunk = collections.namedtuple('Shrunk', 'sku count colour')
Turned = collections.namedtuple('Turned', 'width height')
Eased = collections.namedtuple('Eased', 'sku count')


class Gained(object):
    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


class GainedDefault(object):
    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


class Lost(object):
    def __init__(self, name):
        self.name = name
        self.old = 3

    def tell(self):
        return [self.name]


class Renamed(object):
    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


class StateAdded(object):
    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


class StateStricter(object):
    def __init__(self, name):
        self.name = name

    def __getstate__(self):
        return {'name': self.name}

    def __setstate__(self, state):
        self.name = state['name']

    def tell(self):
        return [self.name]


class StateToDict(object):
    def __init__(self, name):
        self.name = name
        self.rank = 1

    def __getstate__(self):
        return self.name, self.rank

    def __setstate__(self, state):
        self.name, self.rank = state

    def tell(self):
        return [self.name, self.rank]


class StateLonger(object):
    def __init__(self, name):
        self.name = name

    def __getstate__(self):
        return self.name, 1

    def __setstate__(self, state):
        self.name, _ = state

    def tell(self):
        return [self.name]


class ToFunction(object):
    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


def to_class(name):
    return [name]


class ToAbstract(object):
    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


class LostDict(dict):
    def tell(self):
        return sorted(self.items())


class GainedDict(object):
    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


class LostList(list):
    def tell(self):
        return list(self)


class LostText(type(u'')):
    def tell(self):
        return [self[:]]


class LostInt(int):
    def tell(self):
        return [int(self)]


class ToFrozen(set):
    def tell(self):
        return sorted(self)


class SlotsGained(object):
    def __init__(self, x):
        self.x = x
        self.y = 2

    def tell(self):
        return [self.x, self.y]


class SlotsLost(object):
    __slots__ = ('x', 'y')

    def __init__(self, x):
        self.x = x
        self.y = 2

    def tell(self):
        return [self.x, self.y]


class SlotDropped(object):
    __slots__ = ('x', 'y')

    def __init__(self, x):
        self.x = x
        self.y = 2

    def tell(self):
        return [self.x]


class SlotAdded(object):
    __slots__ = ('x',)

    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


class Moved(object):
    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


class Kept(object):
    """Moved, and still to be had here."""

    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


class NeedsMore(ValueError):
    def __init__(self, code):
        ValueError.__init__(self, code)
        self.code = code

    def tell(self):
        return [self.code]


class NeedsMoreOrNot(ValueError):
    def __init__(self, code):
        ValueError.__init__(self, code)
        self.code = code

    def tell(self):
        return [self.code]


class KeywordOnly(ValueError):
    def __init__(self, code, field=None):
        ValueError.__init__(self, code, field)
        self.code = code

    def tell(self):
        return [self.code]


def make_reduced(x):
    return Reduced(x)


class Reduced(object):
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return make_reduced, (self.x,)

    def tell(self):
        return [self.x]


def make_longer(x):
    return Longer(x)


class Longer(object):
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return make_longer, (self.x,)

    def tell(self):
        return [self.x]


class NewArgs(object):
    def __new__(cls, x):
        self = object.__new__(cls)
        self.x = x
        return self

    def __getnewargs__(self):
        return (self.x,)

    def tell(self):
        return [self.x]


class NewArgsOrNot(object):
    def __new__(cls, x):
        self = object.__new__(cls)
        self.x = x
        return self

    def __getnewargs__(self):
        return (self.x,)

    def tell(self):
        return [self.x]


class NewGained(object):
    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


class ToProperty(object):
    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


class AsksItself(object):
    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


class Guarded(object):
    __slots__ = ('x',)

    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


class Parent(object):
    def __init__(self, x):
        self.x = x


class Child(Parent):
    def __init__(self, x, y):
        super(Child, self).__init__(x)
        self.y = y

    def tell(self):
        return [self.x, self.y]


class Orphan(Parent):
    """Never calls its parent's."""

    def __init__(self, y):
        self.y = y

    def tell(self):
        return [self.y]


class Helped(object):
    def __init__(self, x):
        self.x = x
        self.reset()

    def reset(self):
        self.seen = 0

    def tell(self):
        return [self.x, self.seen]


class Picky(dict):
    def tell(self):
        return sorted(self.items())


class Appends(list):
    def tell(self):
        return list(self)


class Registered(object):
    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


def registered(x):
    return Registered(x)


copyreg.pickle(Registered, lambda value: (registered, (value.x,)))


class Zone(datetime.tzinfo):
    def __init__(self, minutes=0):
        self.minutes = minutes

    def utcoffset(self, when):
        return datetime.timedelta(minutes=self.minutes)

    def dst(self, when):
        return None

    def tzname(self, when):
        return 'zone'


class Group(object):
    class Badge(object):
        def __init__(self, x):
            self.x = x

        def tell(self):
            return [self.x]

    class Gone(object):
        def __init__(self, x):
            self.x = x

        def tell(self):
            return [self.x]


class Comparing(object):
    """A key of dicts: hashes what it has."""

    def __init__(self, x):
        self.x = x

    def __hash__(self):
        return hash(self.x)

    def __eq__(self, other):
        return self.x == other.x

    def tell(self):
        return [self.x]


class Single(object):
    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


if enum:
    class ValueLost(enum.Enum):
        NEW = u'new'
        OLD = u'old'

    class ValueGained(enum.Enum):
        NEW = u'new'

    class ValueRenamed(enum.Enum):
        NEW = u'new'

    class ValueChanged(enum.Enum):
        NEW = u'new'

    class LostInteger(enum.IntEnum):
        ONE = 1

    class GainedText(enum.Enum):
        NEW = u'new'

if hasattr(enum, 'Flag'):
    class Bits(enum.Flag):
        A = 1
        B = 2

if typing:
    Typed = typing.NamedTuple('Typed', [('room', int), ('nights', int)])
    Typed.__module__ = __name__

if dataclasses:
    DataGrown = make_dataclass(__name__, 'DataGrown', [('sku', str)])
    DataEased = make_dataclass(__name__, 'DataEased', [('sku', str)])
    DataFilled = make_dataclass(__name__, 'DataFilled', [('sku', str)])
    DataShrunk = make_dataclass(__name__, 'DataShrunk', [('sku', str), ('count', int)])
    DataFrozen = make_dataclass(__name__, 'DataFrozen', [('sku', str)])
    if sys.version_info >= (3, 10):
        DataSlots = make_dataclass(__name__, 'DataSlots', [('sku', str)], slots=True)
        DataToSlots = make_dataclass(__name__, 'DataToSlots', [('sku', str)])

if attr:
    @attr.s
    class AttrGrown(object):
        kind = attr.ib()

    @attr.s
    class AttrEased(object):
        kind = attr.ib()

    @attr.s(slots=True)
    class AttrSlots(object):
        kind = attr.ib()

    @attr.s
    class AttrToSlots(object):
        kind = attr.ib()

    @attr.s
    class AttrShrunk(object):
        kind = attr.ib()
        height = attr.ib(default=1)

if pydantic:
    ModelGrown = model(__name__, 'ModelGrown', name=(str, Ellipsis))
    ModelEased = model(__name__, 'ModelEased', name=(str, Ellipsis))
    ModelShrunk = model(__name__, 'ModelShrunk', name=(str, Ellipsis), tries=(int, 1))

# -*- coding: utf-8 -*-
"""Classes of an application, after they were changed: see `../../before`."""
import abc
import collections
import copyreg_ as copyreg
import datetime
import sys

from optional import attr, dataclasses, enum, make_dataclass, model, pydantic, typing

Grown = collections.namedtuple('Grown', 'sku count colour')
Shrunk = collections.namedtuple('Shrunk', 'sku count')
Turned = collections.namedtuple('Turned', 'height width')
Eased = collections.namedtuple('Eased', 'sku count colour')
Eased.__new__.__defaults__ = (u'red',)


class Gained(object):
    def __init__(self, name):
        self.name = name
        self.size = 1

    def tell(self):
        return [self.name][:self.size]


class GainedDefault(object):
    size = 1

    def __init__(self, name):
        self.name = name
        self.size = 2

    def tell(self):
        return [self.name][:self.size]


class Lost(object):
    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


class Renamed(object):
    def __init__(self, name):
        self.title = name

    def tell(self):
        return [self.title]


class StateAdded(object):
    def __init__(self, name):
        self.name = name

    def __getstate__(self):
        return {'v': 1, 'name': self.name}

    def __setstate__(self, state):
        if state['v'] == 1:
            self.name = state['name']

    def tell(self):
        return [self.name]


class StateStricter(object):
    def __init__(self, name):
        self.name = name
        self.rank = 1

    def __getstate__(self):
        return {'name': self.name, 'rank': self.rank}

    def __setstate__(self, state):
        self.name = state['name']
        self.rank = state['rank']

    def tell(self):
        return [self.name]


class StateToDict(object):
    def __init__(self, name):
        self.name = name
        self.rank = 1

    def __getstate__(self):
        return {'name': self.name, 'rank': self.rank}

    def __setstate__(self, state):
        self.name, self.rank = state['name'], state['rank']

    def tell(self):
        return [self.name, self.rank]


class StateLonger(object):
    def __init__(self, name):
        self.name = name

    def __getstate__(self):
        return self.name, 1, 2

    def __setstate__(self, state):
        self.name, _, _ = state

    def tell(self):
        return [self.name]


def ToFunction(name):
    return [name]


class to_class(object):
    def __init__(self, name):
        self.name = name


class ToAbstract(abc.ABCMeta('Abstract', (object,), {})):
    def __init__(self, name):
        self.name = name

    @abc.abstractmethod
    def weight(self):
        """To be said by others."""

    def tell(self):
        return [self.name]


class LostDict(object):
    def tell(self):
        return sorted(vars(self).items())


class GainedDict(dict):
    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


class LostList(object):
    def tell(self):
        return []


class LostText(object):
    def tell(self):
        return []


class LostInt(object):
    def tell(self):
        return []


class ToFrozen(frozenset):
    def tell(self):
        return sorted(self)


class SlotsGained(object):
    __slots__ = ('x', 'y')

    def __init__(self, x):
        self.x = x
        self.y = 2

    def tell(self):
        return [self.x, self.y]


class SlotsLost(object):
    def __init__(self, x):
        self.x = x
        self.y = 2

    def tell(self):
        return [self.x, self.y]


class SlotDropped(object):
    __slots__ = ('x',)

    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


class SlotAdded(object):
    __slots__ = ('x', 'y')

    def __init__(self, x):
        self.x = x
        self.y = 1

    def tell(self):
        return [self.x][:self.y]


from orchard.sheds import Kept  # noqa: E402


class NeedsMore(ValueError):
    def __init__(self, code, field):
        ValueError.__init__(self, code)
        self.code = code

    def tell(self):
        return [self.code]


class NeedsMoreOrNot(ValueError):
    def __init__(self, code, field=None):
        ValueError.__init__(self, code)
        self.code = code

    def tell(self):
        return [self.code]


class KeywordOnly(ValueError):
    def __init__(self, code, **options):
        ValueError.__init__(self, code)
        self.code = code

    def tell(self):
        return [self.code]


def make_anew(x):
    return Reduced(x)


class Reduced(object):
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return make_anew, (self.x,)

    def tell(self):
        return [self.x]


def make_longer(x, y):
    return Longer(x)


class Longer(object):
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return make_longer, (self.x, 1)

    def tell(self):
        return [self.x]


class NewArgs(object):
    def __new__(cls, x, y):
        self = object.__new__(cls)
        self.x = x
        return self

    def __getnewargs__(self):
        return (self.x, 1)

    def tell(self):
        return [self.x]


class NewArgsOrNot(object):
    def __new__(cls, x, y=1):
        self = object.__new__(cls)
        self.x = x
        return self

    def __getnewargs__(self):
        return (self.x,)

    def tell(self):
        return [self.x]


class NewGained(object):
    def __new__(cls, x):
        self = object.__new__(cls)
        self.x = x
        return self

    def __getnewargs__(self):
        return (self.x,)

    def tell(self):
        return [self.x]


class ToProperty(object):
    def __init__(self, x):
        self._x = x

    @property
    def x(self):
        return self._x

    def tell(self):
        return [self.x]


class AsksItself(object):
    def __init__(self, x):
        self.x = x

    def __getattr__(self, name):
        return self.inner

    def tell(self):
        return [self.x]


class Guarded(object):
    __slots__ = ('x',)

    def __init__(self, x):
        self.x = x

    def __setattr__(self, name, value):
        if hasattr(self, name) or name != 'x' or not isinstance(value, int):
            raise AttributeError(name)
        object.__setattr__(self, name, value)

    def tell(self):
        return [self.x]


class Parent(object):
    def __init__(self, x):
        self.x = x
        self.z = 1


class Child(Parent):
    def __init__(self, x, y):
        super(Child, self).__init__(x)
        self.y = y

    def tell(self):
        return [self.x, self.y][:self.z + 1]


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
        self.unseen = 0

    def tell(self):
        return [self.x, self.seen + self.unseen]


class Picky(dict):
    def __init__(self):
        self.order = []

    def __setitem__(self, key, value):
        self.order.append(key)
        dict.__setitem__(self, key, value)

    def tell(self):
        return sorted(self.items())


class Appends(list):
    def __init__(self):
        self.seen = 0

    def append(self, value):
        self.seen += 1
        list.append(self, value)

    def extend(self, values):
        for value in values:
            self.append(value)

    def tell(self):
        return list(self)


class Registered(object):
    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


class Zone(datetime.tzinfo):
    def __init__(self, minutes=0):
        self.minutes = minutes
        self.name = 'zone'

    def utcoffset(self, when):
        return datetime.timedelta(minutes=self.minutes)

    def dst(self, when):
        return None

    def tzname(self, when):
        return self.name


class Group(object):
    class Badge(object):
        def __init__(self, x):
            self.x = x

        def tell(self):
            return [self.x]


class Comparing(object):
    """A key of dicts: hashes what it has."""

    def __init__(self, x):
        self.x = x
        self.y = 1

    def __hash__(self):
        return hash((self.x, self.y))

    def __eq__(self, other):
        return self.x == other.x

    def tell(self):
        return [self.x]


class Only(type):
    def __call__(cls):
        return object.__new__(cls)


class Single(Only('Base', (object,), {})):
    def tell(self):
        return [self.x]


if enum:
    class ValueLost(enum.Enum):
        NEW = u'new'

    class ValueGained(enum.Enum):
        NEW = u'new'
        OLD = u'old'

    class ValueRenamed(enum.Enum):
        FRESH = u'new'

    class ValueChanged(enum.Enum):
        NEW = u'New'

    class LostInteger(enum.Enum):
        ONE = 1

    class GainedText(type(u''), enum.Enum):
        NEW = u'new'

if hasattr(enum, 'Flag'):
    class Bits(enum.Flag):
        A = 1

if typing:
    Typed = typing.NamedTuple('Typed', [('room', int), ('nights', int), ('beds', int)])
    Typed.__module__ = __name__

if dataclasses:
    DataGrown = make_dataclass(__name__, 'DataGrown', [('sku', str), ('count', int)])
    DataEased = make_dataclass(__name__, 'DataEased', [('sku', str), ('count', int, 1)])
    DataFilled = make_dataclass(__name__, 'DataFilled', [('sku', str), ('tags', list, dataclasses.field(default_factory=list))])
    DataShrunk = make_dataclass(__name__, 'DataShrunk', [('sku', str)])
    DataFrozen = make_dataclass(__name__, 'DataFrozen', [('sku', str)], frozen=True)
    if sys.version_info >= (3, 10):
        DataSlots = make_dataclass(__name__, 'DataSlots', [('sku', str), ('count', int)], slots=True)
        DataToSlots = make_dataclass(__name__, 'DataToSlots', [('sku', str)], slots=True)

if attr:
    @attr.s
    class AttrGrown(object):
        kind = attr.ib()
        height = attr.ib()

    @attr.s
    class AttrEased(object):
        kind = attr.ib()
        height = attr.ib(default=1)

    @attr.s(slots=True)
    class AttrSlots(object):
        kind = attr.ib()
        height = attr.ib(default=1)

    @attr.s(slots=True)
    class AttrToSlots(object):
        kind = attr.ib()

    @attr.s
    class AttrShrunk(object):
        kind = attr.ib()

if pydantic:
    ModelGrown = model(__name__, 'ModelGrown', name=(str, Ellipsis), tries=(int, Ellipsis))
    ModelEased = model(__name__, 'ModelEased', name=(str, Ellipsis), tries=(int, 1))
    ModelShrunk = model(__name__, 'ModelShrunk', name=(str, Ellipsis))

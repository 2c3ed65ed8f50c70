# -*- coding: utf-8 -*-
"""A ferry company's code after it was changed, and `../../before`."""
import abc
import collections
import datetime
import decimal
import threading

import copyreg_
from optional import attr, enum, pydantic

text = type(u'')


# Changes that stored objects survive, as a rule


class Booking(object):
    def __init__(self, code, seats):
        self.code = code
        self.seats = seats
        self.agent = None

    def tell(self):
        return [self.code, self.seats] + ([self.agent] if getattr(self, 'agent', None) else [])


class Invoice(object):
    def __init__(self, number, cents, currency=u'EUR', *lines):
        self.number = number
        self.cents = cents

    def is_due(self):
        return self.cents > 0

    def tell(self):
        return [self.number, self.cents]


class Weather(object):
    """What it says comes from other attributes now."""

    def __init__(self, knots):
        self.knots = knots

    def tell(self):
        return [self.knots]

    @property
    def beaufort(self):
        return int((self.knots / 1.6) ** 0.66)


class Place(object):
    def is_free(self):
        return self.taken is None


class Seat(Place):
    def __init__(self, row, taken=None):
        self.row = row
        self.taken = taken

    def tell(self):
        return [self.row, self.taken]


class Captain(object):
    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


class Log(object):
    """Reads what it was and what it is."""

    def __init__(self, lines):
        self.lines = lines

    def __getstate__(self):
        return {'version': 2, 'text': u'\n'.join(self.lines)}

    def __setstate__(self, state):
        if state.get('version', 1) == 1:
            self.lines = state['lines']
        else:
            self.lines = state['text'].split(u'\n')

    def tell(self):
        return list(self.lines)


class Cache(object):
    def __init__(self, size):
        self.size = size
        self.lock = threading.Lock()
        self.hits = 0

    def __getstate__(self):
        state = dict(self.__dict__)
        del state['lock']
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.lock = threading.Lock()

    def tell(self):
        with self.lock:
            return [self.size, vars(self).get('hits', 0) and 1][:1]


class Distance(float):
    def miles(self):
        return round(self / 1.852, 2)

    def metres(self):
        return self * 1000

    def tell(self):
        return [float(self), self.miles()]


def make_route(stops, express=False):
    return Route(stops, express)


class Route(object):
    def __init__(self, stops, express=False):
        self.stops = stops
        self.express = express

    def __reduce__(self):
        return make_route, (self.stops,)

    def tell(self):
        return list(self.stops)


Leg = collections.namedtuple('Leg', 'start end minutes')
Leg.hours = property(lambda self: self.minutes / 60.0)


class Stop(collections.namedtuple('Stop', 'pier at')):
    __slots__ = ()

    def is_night(self):
        return self.at > 22

    def tell(self):
        return list(self)


class Crew(dict):
    def lead(self):
        return sorted(self)[0]

    def __repr__(self):
        return 'Crew(%d)' % len(self)

    def tell(self):
        return [self.lead(), len(self)]


class Delay(Exception):
    def __init__(self, minutes, reason=None):
        super(Delay, self).__init__(minutes, reason)
        self.minutes = minutes
        self.reason = reason

    def tell(self):
        return list(self.args)


class Aboard(set):
    def tell(self):
        return sorted(self)

    def count(self):
        return len(self)


class Deck(object):
    class Level(object):
        def __init__(self, number):
            self.number = number

        def tell(self):
            return [self.number]

    class Roof(Level):
        """One more."""


class Signal(object):
    __slots__ = ('flag', 'light')

    def __init__(self, flag, light):
        self.flag = flag
        self.light = light

    def __eq__(self, other):
        return isinstance(other, Signal) and self.flag == other.flag

    def __hash__(self):
        return hash(self.flag)

    def tell(self):
        return [self.flag, self.light]


class Radio(object):
    channel = 16

    def __init__(self, call):
        self.call = call

    def tell(self):
        return [self.call, self.channel]


class Menu(object):
    def __init__(self, dishes):
        self.dishes = dishes

    def tell(self):
        return list(self.dishes)


# Changes that take something away, or ask for more


class Berth(object):
    def __init__(self, number):
        self.number = number
        self.power = 0

    def tell(self):
        return [self.number + self.power]


class Cargo(object):
    """Its weight became one of several units."""

    def __init__(self, weight):
        self.weight = weight

    @property
    def weight(self):
        return self._kg

    @weight.setter
    def weight(self, kg):
        self._kg = kg

    def tell(self):
        return [self.weight]


class Deckhand(object):
    def __init__(self, name, rank=1):
        self.name = name
        self.rank = rank

    def __setstate__(self, state):
        self.__init__(**state)

    def tell(self):
        return [self.name, self.rank]


class Engine(object):
    def __init__(self, hours):
        self.hours = hours

    def __getstate__(self):
        return [2, self.hours, 0]

    def __setstate__(self, state):
        self.hours = state[1]
        self.repairs = state[2] if state[0] == 2 else 0

    def tell(self):
        return [self.hours]


class Fender(object):
    __slots__ = ('size', 'soft')

    def __init__(self, size):
        self.size = size
        self.soft = True

    def tell(self):
        return [self.size, self.soft]


class Gauge(object):
    __slots__ = ('value', 'unit', 'scale')

    def __init__(self, value):
        self.value = value
        self.unit = u'm'
        self.scale = 1

    def tell(self):
        return [self.value * self.scale, self.unit]


class Hatch(object):
    __slots__ = ('open', 'bolts', '__dict__')

    def __init__(self, bolts):
        self.open = False
        self.bolts = bolts

    def tell(self):
        return [self.open, self.bolts]


def hoist_line(name, height):
    return Halyard(name, height)


class Halyard(object):
    def __init__(self, name, height):
        self.name = name
        self.height = height

    def __reduce__(self):
        return hoist_line, (self.name, self.height)

    def tell(self):
        return [self.name, self.height]


class Floe(object):
    def __init__(self, mass):
        self.mass = mass

    def tell(self):
        return [self.mass]


Iceberg = Floe


from ferry.piers import Jetty  # noqa: E402: it was here


class Kiosk(dict):
    """Has to know its open hours before it takes something."""

    def __init__(self, opens=8):
        self.opens = opens
        self.log = []

    def __setitem__(self, key, value):
        self.log.append(key)
        dict.__setitem__(self, key, value)

    def tell(self):
        return sorted(self)


class Locker(list):
    """Takes no negative numbers any more."""

    def append(self, value):
        if value < 0:
            raise ValueError('less than nothing')
        list.append(self, value)

    def extend(self, values):
        for value in values:
            self.append(value)

    def tell(self):
        return list(self)


class Manifest(list):
    most = 100

    def append(self, value):
        if len(self) < self.most:
            list.append(self, value)

    def extend(self, values):
        for value in values:
            self.append(value)

    def tell(self):
        return list(self)


class Notice(Exception):
    def __init__(self, code, lines):
        Exception.__init__(self, code, lines)
        self.lines = lines
        self.code = code

    def tell(self):
        return [self.code]


class Overboard(Exception):
    """Says more than it is made of."""

    def __init__(self, name, where):
        Exception.__init__(self, u'%s at %s' % (name, where))
        self.name = name

    def tell(self):
        return [self.name]


class Refused(LookupError):
    def tell(self):
        return list(self.args)


class Broken(ValueError):
    def tell(self):
        return [list(self.args), getattr(self, 'errno', None)]


class Passenger(object):
    def __new__(cls, *args):
        return object.__new__(cls)

    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]

    def __getattr__(self, name):
        return self.extra[name]


class Quota(object):
    def __new__(cls, amount, unit):
        self = object.__new__(cls)
        self.amount = amount
        return self

    def tell(self):
        return [self.amount]


class Rope(object):
    """Frozen now, with slots on both sides."""
    __slots__ = ('metres',)

    def __init__(self, metres):
        object.__setattr__(self, 'metres', metres)

    def __setattr__(self, name, value):
        raise AttributeError('a rope stays as it is')

    def tell(self):
        return [self.metres]


class Ship(object):
    """There is one."""

    def __reduce__(self):
        return 'OUR_SHIP'

    def tell(self):
        return [self is OUR_SHIP]


OUR_SHIP = Ship()


class Table(object):
    """Its seats are by name now."""

    def __init__(self, seats):
        self.seats = dict((seat, None) for seat in seats)

    def tell(self):
        return sorted(self.seats.keys())


class Unit(abc.ABCMeta('Units', (object,), {'factor': abc.abstractproperty()})):
    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


class Valve(object):
    def __init__(self, parts):
        self.parts = parts

    def __setstate__(self, state):
        self.parts = tuple(state.pop('parts'))
        if state:
            raise TypeError('unknown: %s' % sorted(state))

    def tell(self):
        return list(self.parts)


class Watch(object):
    def __init__(self, hour, mate=None):
        self.hour = hour
        self.mate = mate

    def __eq__(self, other):
        return self.hour == other.hour

    def __hash__(self):
        return hash((self.hour, self.side))

    def tell(self):
        return [self.hour]

    side = u'port'


class Yard(object):
    def __init__(self, x):
        self.x = x

    def __hash__(self):
        return hash((self.x, self.y))

    def __eq__(self, other):
        return self.x == other.x

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)
        if name == 'x':
            object.__setattr__(self, 'y', value)

    def tell(self):
        return [self.x]


# Tuples


Fare = collections.namedtuple('Fare', 'zone price currency')
Rate = collections.namedtuple('Rate', 'day night')
Span = collections.namedtuple('Span', 'last first')
Price = collections.namedtuple('Price', 'cents vat')
Price.__new__.__defaults__ = (0,)


class Position(object):
    __slots__ = ('lat', 'lon')

    def __init__(self, lat, lon):
        self.lat = lat
        self.lon = lon


Course = collections.namedtuple('Course', 'degrees knots')


class Pair(tuple):
    def __new__(cls, left, right, note=u''):
        self = tuple.__new__(cls, (left, right))
        self.note = note
        return self

    def __getnewargs__(self):
        return tuple(self) + (self.note,)

    def tell(self):
        return list(self)


# What is built in changes


class Label(object):
    def __init__(self, said=u''):
        self.said = said

    def tell(self):
        return [self.said]


class Digest(text):
    def tell(self):
        return [self[:].encode('latin-1')]


class Number(int):
    def __new__(cls, value=0):
        if value > 1000:
            raise ValueError('too many')
        return int.__new__(cls, value)

    def tell(self):
        return [int(self)]


class Balance(decimal.Decimal):
    def tell(self):
        return [text(self)]

    def __new__(cls, value='0', context=None):
        return decimal.Decimal.__new__(cls, value, context).quantize(decimal.Decimal('0.1'))


class Departure(datetime.datetime):
    def tell(self):
        return [self.replace(microsecond=0).isoformat()]


class Queue(collections.deque):
    def __init__(self, items=(), maxlen=9, fair=True):
        collections.deque.__init__(self, items, maxlen)

    def tell(self):
        return list(self)


class Groups(collections.defaultdict):
    def __init__(self):
        collections.defaultdict.__init__(self, list)

    def tell(self):
        return sorted(self)


class Steps(collections.OrderedDict):
    def tell(self):
        return list(self)

    def __init__(self, name):
        collections.OrderedDict.__init__(self)
        self.name = name


class Members(list):
    def tell(self):
        return sorted(self)


class Options(dict):
    def __getattr__(self, name):
        return self[name]

    def tell(self):
        return sorted(self)


# Functions, and what is named

def discount(price, share=2):
    return price // share


def surcharge(price, season):
    return price + season


to_object = dict(price=1)


class Tools(object):
    @staticmethod
    def plus(x):
        return x + 1

    @classmethod
    def built(cls, x):
        return [cls.__name__, x]


class Mark(object):
    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


class Beacon(object):
    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


def restore_mark(x, y):
    return Mark(x + y)


def restore_beacon(x, *rest):
    return Beacon(x)


copyreg_.pickle(Mark, lambda mark: (restore_mark, (mark.x, 0)))
copyreg_.pickle(Beacon, lambda beacon: (restore_beacon, (beacon.x, 1, 2)))


# Enumerations

if enum:
    class Pilot(enum.Enum):
        HARBOUR = u'harbour'
        SEA = u'sea'
        RIVER = u'river'

    class Quay(enum.Enum):
        NORTH = u'n'
        EAST = u'e'

    class Rudder(enum.Enum):
        LEFT = u'left'
        RIGHT = u'right'

    class Sail(enum.Enum):
        MAIN = 1
        JIB = 2

    class Tide(enum.Enum):
        LOW = 0
        HIGH = 5

    class Umpire(enum.Enum):
        FIRST = (1, u'a')
        SECOND = (2, u'c')

    class Vessel(text, enum.Enum):
        CAR = u'car'
        FOOT = u'foot'
        BIKE = u'bike'
        __str__ = lambda self: self.value

    class Wind(enum.Enum):
        CALM = 0
        GALE = 8

        # The one of Python 2 has no such thing.
        if hasattr(enum, 'Flag'):
            @classmethod
            def _missing_(cls, value):
                return cls.GALE if value > 8 else None

    class Turned(enum.Enum):
        UP = 2
        DOWN = 1

    if hasattr(enum, 'Flag'):
        class Access(enum.IntFlag):
            READ = 1
            WRITE = 2
            OWN = 4

        class Lights(enum.Flag):
            RED = 1
            WHITE = 4

# attrs

if attr:
    @attr.s
    class Ticket(object):
        code = attr.ib()
        seat = attr.ib(default=0)

    @attr.s(slots=True)
    class Voucher(object):
        code = attr.ib()
        worth = attr.ib(default=5)

    @attr.s(slots=True)
    class Coupon(object):
        code = attr.ib()

    @attr.s(frozen=True)
    class Permit(object):
        number = attr.ib(converter=int)

    @attr.s(slots=True)
    class Swapped(object):
        second = attr.ib()
        first = attr.ib()

    @attr.s
    class Checked(object):
        number = attr.ib()

        @number.validator
        def check(self, attribute, value):
            if value > 10:
                raise ValueError('too many')

    @attr.s(hash=True)
    class Hashed(object):
        number = attr.ib()
        kind = attr.ib(default=u'x')

if pydantic:
    from optional import model

    Card = model(__name__, 'Card', **{
        'number': (int, Ellipsis),
        'holder': (text, u'nobody'),
    })
    Pass = model(__name__, 'Pass', **{
        'days': (int, Ellipsis),
    })
    Claim = model(__name__, 'Claim', **{
        'cents': (text, Ellipsis),
    })

# -*- coding: utf-8 -*-
"""A ferry company's code before it was changed, and `../../after`."""
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

    def tell(self):
        return [self.code, self.seats]


class Invoice(object):
    def __init__(self, number, cents):
        self.number = number
        self.cents = cents

    def tell(self):
        return [self.number, self.cents]


class Weather(object):
    """What it says comes from other attributes now."""

    def __init__(self, knots):
        self.knots = knots
        self.beaufort = int((knots / 1.6) ** 0.66)

    def tell(self):
        return [self.knots]


class Seat(object):
    def __init__(self, row, taken=None):
        self.row = row
        self.taken = taken

    def tell(self):
        return [self.row, self.taken]


class Person(object):
    company = u'Ferry'


class Captain(Person):
    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


class Log(object):
    """Reads what it was and what it is."""

    def __init__(self, lines):
        self.lines = lines

    def __getstate__(self):
        return {'lines': self.lines}

    def __setstate__(self, state):
        self.lines = state['lines'] if 'lines' in state else state['text'].split(u'\n')

    def tell(self):
        return list(self.lines)


class Cache(object):
    def __init__(self, size):
        self.size = size
        self.lock = threading.Lock()

    def __getstate__(self):
        state = dict(self.__dict__)
        del state['lock']
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.lock = threading.Lock()

    def tell(self):
        with self.lock:
            return [self.size]


class Distance(float):
    unit = 'km'

    def miles(self):
        return round(self / 1.852, 2)

    def tell(self):
        return [float(self), self.miles()]


def make_route(stops):
    return Route(stops)


class Route(object):
    def __init__(self, stops):
        self.stops = stops

    def __reduce__(self):
        return make_route, (self.stops,)

    def tell(self):
        return list(self.stops)


Leg = collections.namedtuple('Leg', 'start end minutes')


class Stop(collections.namedtuple('Stop', 'pier at')):
    __slots__ = ()

    def tell(self):
        return list(self)


class Crew(dict):
    def lead(self):
        return sorted(self)[0]

    def tell(self):
        return [self.lead(), len(self)]


class Delay(Exception):
    def __init__(self, minutes, reason=None):
        super(Delay, self).__init__(minutes, reason)
        self.minutes = minutes

    def tell(self):
        return list(self.args)


class Aboard(set):
    def tell(self):
        return sorted(self)


class Deck(object):
    class Level(object):
        def __init__(self, number):
            self.number = number

        def tell(self):
            return [self.number]


class Signal(object):
    __slots__ = ('flag', 'light')

    def __init__(self, flag, light):
        self.flag = flag
        self.light = light

    def tell(self):
        return [self.flag, self.light]


class Radio(object):
    channel = 16

    def __init__(self, call):
        self.call = call
        self.channel = 16

    def tell(self):
        return [self.call, self.channel]


class Menu:
    def __init__(self, dishes):
        self.dishes = dishes

    def tell(self):
        return list(self.dishes)


# Changes that take something away, or ask for more


class Berth(object):
    def __init__(self, number):
        self.number = number

    def tell(self):
        return [self.number]


class Cargo(object):
    """Its weight became one of several units."""

    def __init__(self, weight):
        self.weight = weight

    def tell(self):
        return [self.weight]


class Deckhand(object):
    def __init__(self, name, rank=1):
        self.name = name
        self.rank = rank
        self.badge = u'%s-%d' % (name, rank)

    def tell(self):
        return [self.name, self.rank]


class Engine(object):
    def __init__(self, hours):
        self.hours = hours

    def __getstate__(self):
        return (1, self.hours)

    def __setstate__(self, state):
        version, self.hours = state
        if version != 1:
            raise ValueError('an engine of version %r' % version)

    def tell(self):
        return [self.hours]


class Fender(object):
    def __init__(self, size):
        self.size = size
        self.soft = True

    def tell(self):
        return [self.size, self.soft]


class Gauge(object):
    __slots__ = ('value', 'unit')

    def __init__(self, value):
        self.value = value
        self.unit = u'm'

    def tell(self):
        return [self.value, self.unit]


class Hatch(object):
    __slots__ = ('open', 'bolts')

    def __init__(self, bolts):
        self.open = False
        self.bolts = bolts

    def tell(self):
        return [self.open, self.bolts]


def hoist(name, height):
    return Halyard(name, height)


class Halyard(object):
    def __init__(self, name, height):
        self.name = name
        self.height = height

    def __reduce__(self):
        return hoist, (self.name, self.height)

    def tell(self):
        return [self.name, self.height]


class Iceberg(object):
    def __init__(self, mass):
        self.mass = mass

    def tell(self):
        return [self.mass]


class Jetty(object):
    def __init__(self, length):
        self.length = length

    def tell(self):
        return [self.length]


class Kiosk(dict):
    """Has to know its open hours before it takes something."""

    def __init__(self, opens=8):
        self.opens = opens

    def __setitem__(self, key, value):
        dict.__setitem__(self, key, value)

    def tell(self):
        return sorted(self)


class Locker(list):
    """Takes no negative numbers any more."""

    def tell(self):
        return list(self)


class Manifest(list):
    most = 100

    def tell(self):
        return list(self)


class Notice(Exception):
    def __init__(self, code):
        Exception.__init__(self, code)
        self.code = code

    def tell(self):
        return [self.code]


class Overboard(Exception):
    """Says more than it is made of."""

    def __init__(self, name, where):
        Exception.__init__(self, name, where)
        self.name = name

    def tell(self):
        return [self.name]


class Refused(KeyError):
    def tell(self):
        return list(self.args)


class Broken(EnvironmentError):
    def tell(self):
        return [list(self.args), getattr(self, 'errno', None)]


class Passenger(object):
    def __new__(cls, *args):
        return object.__new__(cls)

    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


class Quota(object):
    def __new__(cls, amount=0):
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

    def tell(self):
        return [self.metres]


class Ship(object):
    """There is one."""

    def __reduce__(self):
        return 'THE_SHIP'

    def tell(self):
        return [self is THE_SHIP]


THE_SHIP = Ship()


class Table(object):
    """Its seats are by name now."""

    def __init__(self, seats):
        self.seats = list(seats)

    def tell(self):
        return sorted(self.seats)


class Unit(abc.ABCMeta('Units', (object,), {})):
    def __init__(self, name):
        self.name = name

    def tell(self):
        return [self.name]


class Valve(object):
    def __init__(self, parts):
        self.parts = parts

    def __setstate__(self, state):
        self.__dict__.update(state)

    def tell(self):
        return list(self.parts)


class Watch(object):
    def __init__(self, hour, mate=None):
        self.hour = hour
        self.mate = mate

    def __eq__(self, other):
        return self.hour == other.hour

    def __hash__(self):
        return hash(self.hour)

    def tell(self):
        return [self.hour]


class Yard(object):
    def __init__(self, x):
        self.x = x

    def __hash__(self):
        return hash(self.x)

    def __eq__(self, other):
        return self.x == other.x

    def tell(self):
        return [self.x]


# Tuples


Fare = collections.namedtuple('Fare', 'zone price')

Rate = collections.namedtuple('Rate', 'day night weekend')
Span = collections.namedtuple('Span', 'first last')
Price = collections.namedtuple('Price', 'cents')
Position = collections.namedtuple('Position', 'lat lon')


class Course(object):
    def __init__(self, degrees, knots):
        self.degrees = degrees
        self.knots = knots


class Pair(tuple):
    def __new__(cls, left, right):
        return tuple.__new__(cls, (left, right))

    def __getnewargs__(self):
        return tuple(self)

    def tell(self):
        return list(self)


# What is built in changes


class Label(text):
    def tell(self):
        return [self[:]]


class Digest(bytes):
    def tell(self):
        return [bytes(self)]


class Number(int):
    def __new__(cls, value=0):
        return int.__new__(cls, value)

    def tell(self):
        return [int(self)]


class Balance(decimal.Decimal):
    def tell(self):
        return [text(self)]


class Departure(datetime.datetime):
    def tell(self):
        return [self.isoformat()]


class Queue(collections.deque):
    def __init__(self, items=(), maxlen=9):
        collections.deque.__init__(self, items, maxlen)

    def tell(self):
        return list(self)


class Groups(collections.defaultdict):
    def __init__(self, *args):
        collections.defaultdict.__init__(self, *(args or (list,)))

    def tell(self):
        return sorted(self)


class Steps(collections.OrderedDict):
    def tell(self):
        return list(self)


class Members(set):
    def tell(self):
        return sorted(self)


class Options(dict):
    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name)

    def tell(self):
        return sorted(self)


# Functions, and what is named

def discount(price):
    return price // 2


def surcharge(price):
    return price + 1


def dropped(price):
    return price


def to_object(price):
    return [price]


class Tools(object):
    @staticmethod
    def plus(x):
        return x + 1

    @classmethod
    def made(cls, x):
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


def restore_mark(x):
    mark = Mark(x)
    return mark


def restore_beacon(x, *rest):
    return Beacon(x)


copyreg_.pickle(Mark, lambda mark: (restore_mark, (mark.x,)))
copyreg_.pickle(Beacon, lambda beacon: (restore_beacon, (beacon.x,)))


# Enumerations

if enum:
    class Pilot(enum.Enum):
        HARBOUR = u'harbour'
        SEA = u'sea'

    class Quay(enum.Enum):
        NORTH = u'n'
        SOUTH = u's'

    class Rudder(enum.Enum):
        LEFT = 1
        RIGHT = 2

    class Sail(enum.Enum):
        MAIN = 1
        FORE = 2

    class Tide(enum.IntEnum):
        LOW = 0
        HIGH = 5

    class Umpire(enum.Enum):
        FIRST = (1, u'a')
        SECOND = (2, u'b')

    class Vessel(text, enum.Enum):
        CAR = u'car'
        FOOT = u'foot'

    class Wind(enum.Enum):
        CALM = 0
        GALE = 8
        STORM = 10

    class Turned(enum.Enum):
        UP = 1
        DOWN = 2

    if hasattr(enum, 'Flag'):
        class Access(enum.IntFlag):
            READ = 1
            WRITE = 2

        class Lights(enum.Flag):
            RED = 1
            GREEN = 2

# attrs

if attr:
    @attr.s
    class Ticket(object):
        code = attr.ib()

    @attr.s(slots=True)
    class Voucher(object):
        code = attr.ib()

    @attr.s(slots=True)
    class Coupon(object):
        code = attr.ib()
        used = attr.ib(default=False)

    @attr.s(frozen=True)
    class Permit(object):
        number = attr.ib()

    @attr.s(slots=True)
    class Swapped(object):
        first = attr.ib()
        second = attr.ib()

    @attr.s
    class Checked(object):
        number = attr.ib()

    @attr.s(hash=True)
    class Hashed(object):
        number = attr.ib()

if pydantic:
    from optional import model

    Card = model(__name__, 'Card', **{
        'number': (int, Ellipsis),
    })
    Pass = model(__name__, 'Pass', **{
        'days': (int, Ellipsis),
        'note': (text, u'n'),
    })
    Claim = model(__name__, 'Claim', **{
        'cents': (int, Ellipsis),
    })

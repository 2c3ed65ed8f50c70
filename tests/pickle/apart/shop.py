# -*- coding: utf-8 -*-
"""The classes of an application, a shop, of which some values in `cases.py` are.
The same file is imported by Python 2.7 and by 3.6 and later; what a Python cannot
define, it does not have.
"""
import collections
import datetime
import decimal
import sys

try:
    import copyreg
except ImportError:
    import copy_reg as copyreg
try:
    import dataclasses
except ImportError:
    dataclasses = None
try:
    import enum
except ImportError:
    enum = None
try:
    import typing
except ImportError:
    typing = None

text = type(u'')

Line = collections.namedtuple('Line', 'sku quantity price')
OrderRow = collections.namedtuple('OrderRow', ['id', 'placed', 'total', 'note'])


class Cart(object):
    """Refers to its lines, they to it."""

    def __init__(self, owner):
        self.owner = owner
        self.lines = []

    def put(self, **attributes):
        self.lines.append(CartLine(self, **attributes))
        return self


class CartLine(object):
    def __init__(self, cart, **attributes):
        self.cart = cart
        self.__dict__.update(attributes)


class Address:
    """Old-style on Python 2."""

    def __init__(self, street, city):
        self.street = street
        self.city = city


class Parcel:
    """The same, and made anew with arguments there."""

    def __init__(self, weight, to):
        self.weight = weight
        self.to = to

    def __getinitargs__(self):
        return self.weight, self.to


class Money(object):
    """Has slots, and says itself what its state is."""
    __slots__ = ('amount', 'currency')

    def __init__(self, amount, currency):
        self.amount = amount
        self.currency = currency

    def __getstate__(self):
        return [self.amount, self.currency]

    def __setstate__(self, state):
        self.amount, self.currency = state


class Size(object):
    """Has slots and leaves them to pickle."""
    __slots__ = ('width', 'height')

    def __init__(self, width, height):
        self.width = width
        self.height = height


class Box(Size):
    """Has slots and a `__dict__`."""


class Sku(str):
    """Text on Python 3, bytes on Python 2."""


class Label(text):
    pass


class Checksum(bytes):
    pass


class Amount(decimal.Decimal):
    pass


class Grams(float):
    pass


class Quantity(int):
    pass


class Tags(set):
    pass


class Path(list):
    pass


class Pair(tuple):
    pass


class Preferences(dict):
    """Keys are attributes as well."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name)


class Catalog(collections.OrderedDict):
    pass


class OutOfStock(Exception):
    pass


class PaymentDeclined(ValueError):
    """Is made of other arguments than it keeps."""

    def __init__(self, code, reason):
        ValueError.__init__(self, code, reason)
        self.code = code
        self.reason = reason


class ApiError(RuntimeError):
    """Says itself how it is made."""

    def __init__(self, status, body=None):
        RuntimeError.__init__(self, u'HTTP %d' % status)
        self.status = status
        self.body = body

    def __reduce__(self):
        return ApiError, (self.status, self.body)


class Anonymous(object):
    """There is one."""

    def __reduce__(self):
        return 'ANONYMOUS'


ANONYMOUS = Anonymous()


class Category(object):
    """A tree that knows its parents, with a nested class."""

    class Badge(object):
        def __init__(self, colour):
            self.colour = colour

    def __init__(self, name, parent=None):
        self.name = name
        self.parent = parent
        self.children = []
        self.badge = Category.Badge(u'red')
        if parent is not None:
            parent.children.append(self)


class Interval(object):
    """Is made by `__new__`, with arguments."""

    def __new__(cls, first, last):
        self = object.__new__(cls)
        self.days = (last - first).days
        self.ends = (first, last)
        return self

    def __getnewargs__(self):
        return self.ends


class Window(object):
    """The same, by their names."""

    def __new__(cls, start=0, stop=None):
        self = object.__new__(cls)
        self.start, self.stop = start, stop
        return self

    def __getnewargs_ex__(self):
        return (self.start,), {'stop': self.stop}


class Point(object):
    """Pickled by a function that is registered for it."""

    def __init__(self, x, y):
        self.x = x
        self.y = y


def point(x, y):
    return Point(x, y)


copyreg.pickle(Point, lambda value: (point, (value.x, value.y)))


class Offset(datetime.tzinfo):
    """A zone as applications wrote them before there was one."""

    def __init__(self, minutes=0, name='local'):
        self.minutes = minutes
        self.name = name

    def utcoffset(self, when):
        return datetime.timedelta(minutes=self.minutes)

    def dst(self, when):
        return datetime.timedelta(0)

    def tzname(self, when):
        return self.name


def discount(price, percent=10):
    return price * (100 - percent) / 100


if enum:
    class Status(enum.Enum):
        NEW = u'new'
        PAID = u'paid'
        SENT = u'sent'

    class Priority(enum.IntEnum):
        LOW = 1
        HIGH = 9

    class Colour(str, enum.Enum):
        RED = u'red'
        BLUE = u'blue'

if hasattr(enum, 'Flag'):
    class Access(enum.Flag):
        READ = 1
        WRITE = 2
        ADMIN = 4

if typing:
    Rate = typing.NamedTuple('Rate', [('code', str), ('value', float)])
    Rate.__module__ = __name__

if dataclasses:
    # By a call: Python 2 does not know the syntax.
    Coupon = dataclasses.make_dataclass('Coupon', [('code', str), ('percent', int), ('uses', list)])
    Shelf = dataclasses.make_dataclass('Shelf', [('aisle', int), ('level', int)], frozen=True)
    Coupon.__module__ = Shelf.__module__ = __name__

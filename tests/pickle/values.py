# -*- coding: utf-8 -*-
"""Makes values, pickles them in every way there is, and says what a pickle means
to whoever loads it. The same file runs on Python 2.7 and 3.6 and later, needs
nothing that they do not bring, and takes Django and NumPy along where they are.

    values.py write SEED COUNT   a line for each pickle: its case, protocol and
                                 pickler, and in base64 the pickle, and the one
                                 that Python itself writes at protocol 2 and 4
    values.py read FILE [as2|as3]  for each line of base64, in JSON what it means,
                                 or "!" and the error. as3: a str of Python 2
                                 counts as text if it is UTF-8, else as bytes;
                                 as2: what Python 2 makes of it
"""
import array
import base64
import collections
import datetime
import decimal
import fractions
import io
import json
import operator
import os
import pickle
import pickletools
import struct
import sys
import types
import uuid

PY2 = sys.version_info[0] == 2
if PY2:
    import cPickle
    text, long_, chr_ = unicode, long, unichr  # noqa: F821
else:
    text, long_, chr_ = str, int, chr

try:
    from django.conf import settings
    if 'DJANGO_SETTINGS_MODULE' not in os.environ:
        settings.configure(INSTALLED_APPS=[], USE_TZ=True)
    from django.utils import safestring
except ImportError:
    safestring = None
try:
    import numpy
except ImportError:
    numpy = None


# What is pickled ---------------------------------------------------------------


class Point(object):
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Slots(object):
    __slots__ = ('left', 'right')


class Both(Slots):
    pass


class Classic:
    """Old-style on Python 2."""


class State(object):
    def __getstate__(self):
        return self.held

    def __setstate__(self, held):
        self.held = held


class Keyword(object):
    """Made with keyword arguments, which Python 2 does not pickle."""
    def __new__(cls, a=None, b=None):
        self = object.__new__(cls)
        self.a, self.b = a, b
        return self

    def __getnewargs_ex__(self):
        return (self.a,), {'b': self.b}


class Outer(object):
    class Inner(object):
        class Core(object):
            pass


class Text(text):
    pass


class Number(int):
    pass


class List(list):
    pass


class Dict(dict):
    pass


class Set(set):
    pass


class Error(ValueError):
    pass


class Zone(datetime.tzinfo):
    def __init__(self, minutes=0):
        self.minutes = minutes

    def __getinitargs__(self):
        return (self.minutes,)

    def utcoffset(self, _):
        return datetime.timedelta(minutes=self.minutes)

    def dst(self, _):
        return datetime.timedelta(0)

    def tzname(self, _):
        return 'Z%d' % self.minutes


Pair = collections.namedtuple('Pair', 'left right')


# The same numbers on every Python.
class Dice(object):
    def __init__(self, seed):
        self.state = (seed * 2862933555777941757 + 3037000493) % 2 ** 64

    def __call__(self, sides):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        return (self.state >> 33) % sides

    def of(self, options):
        return options[self(len(options))]


ALPHABETS = [u'abcdefghij', u'_.-/\\\'"\n\r\t\0 ', u'\xe9\xfc\xff\x80\x7f', u'\u0436\u65e5\u20ac', u'\U0001f600\U00010000']
INTS = [0, 1, -1, 2, 127, 128, 255, 256, 65535, 65536, -128, -129, -32769, 2 ** 31 - 1, 2 ** 31, -2 ** 31, -2 ** 31 - 1,
        2 ** 32, 2 ** 53 + 1, 2 ** 63 - 1, 2 ** 63, -2 ** 63, -2 ** 63 - 1, 10 ** 40, -10 ** 700]
FLOATS = [0.0, -0.0, 1.5, -1e308, 5e-324, 1 / 3.0, float('inf'), float('-inf'), float('nan')]
GLOBALS = [len, dict, list, int, text, bytes, bytearray, set, object, ValueError, OSError, KeyError, operator.itemgetter,
           collections.OrderedDict, datetime.datetime, decimal.Decimal, Point, Classic, Pair, uuid.UUID]


class Maker(object):
    """Makes one value, of which parts may be shared or contain themselves."""

    def __init__(self, seed):
        self.dice = Dice(seed)
        self.made = []
        self.hashable = []

    def text(self):
        dice = self.dice
        letters = ALPHABETS[0] if dice(3) else dice.of(ALPHABETS)
        return u''.join(dice.of(letters) for _ in range(dice.of([0, 1, 1, 3, 5, 8, 20, 300])))

    def bytes(self):
        dice = self.dice
        size = dice.of([0, 1, 2, 4, 10, 10, 255, 256, 300])
        kind = dice(3)
        if kind == 0:
            return self.text().encode('utf-8')
        return bytes(bytearray(dice(256 if kind == 1 else 128) for _ in range(size)))

    def native(self):
        value = self.bytes() if PY2 else self.text()
        return value

    def datetime(self):
        dice = self.dice
        zone = dice.of([None, None, Zone(dice(1400) - 700)])
        what = dice(4)
        if what == 0:
            return datetime.date(1 + dice(9999), 1 + dice(12), 1 + dice(28))
        if what == 1:
            value = datetime.time(dice(24), dice(60), dice(60), dice.of([0, dice(10 ** 6)]), zone)
        elif what == 2:
            return datetime.timedelta(dice(2000) - 1000, dice(86400), dice(10 ** 6))
        else:
            year = dice.of([1 + dice(9999), 1900 + dice(200)])
            value = datetime.datetime(year, 1 + dice(12), 1 + dice(28), dice(24), dice(60), dice(60),
                                      dice(10 ** 6), zone)
        if not PY2 and dice(3) == 0:
            value = value.replace(fold=1)
        return value

    def key(self, depth):
        """Something hashable that is equal on all Pythons to what it becomes."""
        dice = self.dice
        what = dice(8)
        if what < 3:
            return self.text()
        if what == 3:
            return dice.of(INTS)
        if what == 4:
            return b'k' + self.bytes()
        if what == 5 and depth > 0:
            return tuple(self.key(depth - 1) for _ in range(dice(5)))
        if what == 6 and depth > 0:
            return frozenset(self.key(depth - 1) for _ in range(dice(5)))
        return dice.of([None, True, 2.5, dice(10 ** 6), Pair(1, u'x'), datetime.date(2020, 1, 1 + dice(28))])

    def value(self, depth):
        dice = self.dice
        if self.made and dice(6) == 0:
            return dice.of(self.made)
        if depth <= 0 or dice(3) == 0:
            value = self.atom()
        else:
            value = self.container(depth - 1)
        if dice(2):
            self.made.append(value)
        return value

    def atom(self):
        dice = self.dice
        what = dice(16)
        if what < 3:
            return self.text()
        if what < 5:
            return self.bytes()
        if what == 5:
            return self.native()
        if what < 8:
            return dice.of([dice.of(INTS), dice(100), dice(10 ** 9)])
        if what == 8:
            return dice.of(FLOATS)
        if what == 9:
            return self.datetime()
        if what == 10:
            return bytearray(self.bytes())
        if what == 11:
            return dice.of(GLOBALS)
        if what == 12:
            return dice.of([decimal.Decimal('%d.%02d' % (dice(1000), dice(100))), decimal.Decimal('NaN'),
                            fractions.Fraction(dice(99), 7), uuid.UUID(int=dice(2 ** 31) ** 4), 1.5 - 2j])
        if what == 13:
            return self.array()
        if what == 14 and safestring:
            return safestring.mark_safe(self.text())
        if what == 15 and numpy:
            return self.numpy()
        return dice.of([None, True, False])

    def array(self):
        dice = self.dice
        code = dice.of('bBhHiIlLfd')
        size = dice.of([0, 1, 5, 300])
        if code in 'fd':
            return array.array(code, [dice(1000) / 8.0 for _ in range(size)])
        top = 2 ** (8 * array.array(code).itemsize)
        lowest = 0 if code.isupper() else -(top // 2)
        wide = [dice(2 ** 31) ** 3 for _ in range(size)]
        return array.array(code, [lowest + n % top for n in wide])

    def numpy(self):
        dice = self.dice
        kind = dice.of(['u1', '<i4', '>i8', '<f8', '>f4', 'S3', 'U2', 'M8[s]', 'b1'])
        value = numpy.array([dice(100) for _ in range(dice(8))]).astype(kind)
        return value[0] if len(value) and dice(3) == 0 else value

    def container(self, depth):
        dice = self.dice
        what = dice(18)
        count = dice.of([0, 1, 2, 3, 4, 8, 8, 40])
        if depth == 0 and dice(40) == 0:
            count = 2100
        if what < 3:
            return tuple(self.value(depth) for _ in range(min(count, 8)))
        if what < 6:
            value = List() if dice(5) == 0 else []
            self.made.append(value)
            value.extend(self.value(depth) for _ in range(count))
            return value
        if what < 9:
            value = Dict() if dice(5) == 0 else collections.OrderedDict() if dice(5) == 0 else {}
            self.made.append(value)
            for _ in range(count):
                value[self.key(depth)] = self.value(depth)
            return value
        if what < 11:
            value = Set() if dice(5) == 0 else set()
            value.update(self.key(depth) for _ in range(count))
            if dice(4) == 0:
                value.add(Point(home=value, also=self.value(depth)))
            return value
        if what == 11:
            return frozenset([self.key(depth) for _ in range(count)] + ([Point(x=self.text())] if dice(2) else []))
        if what == 12:
            value = Point() if dice(4) else Both()
            self.made.append(value)
            for name in ['a', 'name', 'caf\xe9' if PY2 else 'caf', 'self_'][:count]:
                setattr(value, name.replace('\xe9', ''), self.value(depth))
            if isinstance(value, Both):
                value.left = self.value(depth)
            return value
        if what == 13:
            value = Classic()
            self.made.append(value)
            value.x = self.value(depth)
            return value
        if what == 14:
            value = dice.of([Slots, State, Outer.Inner, Outer.Inner.Core])()
            if isinstance(value, Slots):
                value.right = self.value(depth)
            elif isinstance(value, State):
                value.held = self.value(depth) or [1]
            else:
                value.y = self.value(depth)
            return value
        if what == 15:
            return Keyword(self.value(depth), b=self.value(depth))
        if what == 16:
            return dice.of([Pair(self.value(depth), self.value(depth)), Text(self.text()), Number(dice(1000))])
        return dice.of([
            collections.deque([self.value(depth), self.value(depth)], dice.of([None, 5])),
            collections.defaultdict(list, {self.text(): [self.value(depth)]}),
            Error(self.text(), dice(9)), KeyError(self.text()), ValueError(), OSError(2, u'no', u'/x'),
        ])


# How it is pickled -------------------------------------------------------------


def pure(value, protocol):
    out = io.BytesIO()
    getattr(pickle, '_Pickler', pickle.Pickler)(out, protocol).dump(value)
    return out.getvalue()


def fast(value, protocol):
    return (cPickle if PY2 else pickle).dumps(value, protocol)


def optimized(value, protocol):
    return pickletools.optimize(fast(value, protocol))


def attempt(how, value, protocol):
    try:
        return how(value, protocol)
    except Exception:  # Some values have no pickle here.
        return None


def highest():
    return 2 if PY2 else pickle.HIGHEST_PROTOCOL


def write(seed, count):
    print('# seed %d' % seed)
    for case in range(count):
        value = Maker(seed * 100003 + case).value(4)
        plain = [attempt(fast, value, 2), attempt(fast, value, min(4, highest()))]
        for protocol in range(0 if PY2 else 3, highest() + 1):
            for how in (fast, pure, optimized):
                if how is pure and protocol == 5 and sys.version_info < (3, 10):
                    continue  # It forgets that a bytearray is shared.
                found = attempt(how, value, protocol)
                if found is None:
                    continue
                parts = [base64.b64encode(part).decode() if part else '-' for part in [found] + plain]
                print('%d %d %s %s' % (case, protocol, how.__name__, ' '.join(parts)))


# What it means -----------------------------------------------------------------

MODULES = {'__builtin__': 'builtins', 'exceptions': 'builtins', '_functools': 'functools', 'copy_reg': 'copyreg'}
ALIASES = {'builtins.unicode': 'builtins.str', 'builtins.long': 'builtins.int', 'builtins.IOError': 'builtins.OSError',
           'builtins.FileNotFoundError': 'builtins.OSError', 'django.utils.safestring.SafeText': 'django.utils.safestring.SafeString',
           'django.utils.safestring.SafeBytes': 'django.utils.safestring.SafeString'}


def title(what):
    module = str(what.__module__ or 'builtins')
    name = MODULES.get(module, module) + '.' + str(what.__name__)
    return ALIASES.get(name, name)


class Meaning(object):
    """A tree that says what a value means: types, contents, what is shared."""

    def __init__(self, flags=()):
        self.flags = flags
        self.as2 = PY2 or 'as2' in flags
        self.as3 = 'as3' in flags
        self.seen = {}
        self.kept = []

    def of(self, value):
        kind = type(value)
        if value is None or kind is bool:
            return repr(value)
        if kind in (int, long_):
            return ['i', '%x' % value]
        if kind is float:
            return ['f', 'nan' if value != value else struct.pack('>d', value).hex() if not PY2
                    else struct.pack('>d', value).encode('hex')]
        if kind is complex:
            return ['c', self.of(value.real), self.of(value.imag)]
        if kind is text:
            return ['u', value]
        if kind is bytes:
            if PY2 and self.as3:
                try:
                    return ['u', value.decode('utf-8')]
                except UnicodeDecodeError:
                    return ['b', value.decode('latin-1')]
            return ['s' if self.as2 else 'b', value.decode('latin-1')]
        if kind is tuple:
            return ['t'] + [self.of(part) for part in value]
        if kind is frozenset:
            return ['fs'] + self.sorted(value)
        if isinstance(value, type) or PY2 and kind is types.ClassType:
            return ['G', 'builtins.str' if self.as2 and value is bytes else title(value)]
        if kind in (types.FunctionType, types.BuiltinFunctionType):
            return ['G', title(value)]
        if isinstance(value, (datetime.datetime, datetime.time)):
            zone = value.tzinfo and [title(type(value.tzinfo)), value.tzinfo.minutes]
            return ['dt', title(kind), value.replace(tzinfo=None).isoformat(), 0 if self.as2 else value.fold, zone]
        if isinstance(value, (datetime.date, datetime.timedelta, decimal.Decimal, fractions.Fraction, uuid.UUID)):
            return ['v', title(kind), text(value)]
        number = self.seen.get(id(value))
        if number is not None:
            return ['r', number]
        self.seen[id(value)] = number = len(self.seen)
        self.kept.append(value)
        return [title(value.__class__), number] + self.parts(value)

    def parts(self, value):
        if isinstance(value, bytearray):
            return [bytes(value).decode('latin-1')]
        if isinstance(value, array.array):
            return [value.typecode, [self.of(part) for part in value.tolist()]]
        if numpy and isinstance(value, (numpy.ndarray, numpy.generic)):
            return [value.dtype.str, list(value.shape), value.tobytes().decode('latin-1')]
        parts = []
        if isinstance(value, dict):
            if isinstance(value, collections.OrderedDict):
                parts.append([[self.of(key), self.of(part)] for key, part in value.items()])
            else:
                keys = sorted(value, key=lambda key: self.order(key))
                parts.append([[self.of(key), self.of(value[key])] for key in keys])
        elif isinstance(value, set):
            parts.append(self.sorted(value))
        elif isinstance(value, (list, tuple, collections.deque)):
            parts.append([self.of(part) for part in value])
        elif isinstance(value, (text, bytes)):
            # A safe string of Django 2 and later is read as ASCII bytes by 1.11 on Python 2.
            parts.append(u'' + value[:])
        elif isinstance(value, int):
            parts.append('%x' % value)
        elif isinstance(value, BaseException):
            parts.append([self.of(part) for part in value.args])
        parts.append(self.of(getattr(value, 'default_factory', None)))
        parts.append(getattr(value, 'maxlen', None))
        state = {}
        if not isinstance(value, (collections.OrderedDict, tuple)):
            state.update(getattr(value, '__dict__', {}))
        for name in ('left', 'right'):
            if isinstance(value, Slots) and hasattr(value, name):
                state[name] = getattr(value, name)
        parts.append([[str(name), self.of(state[name])] for name in sorted(state)])
        return parts

    def order(self, value):
        """The same order everywhere, whatever else has been seen."""
        if isinstance(value, Point):
            return 'point'
        return json.dumps(type(self)(self.flags).of(value), sort_keys=True)

    def sorted(self, members):
        return [self.of(member) for member in sorted(members, key=self.order)]


def load(pickled):
    if PY2:
        return cPickle.loads(pickled)
    return pickle.loads(pickled)


def read(path, flags):
    with io.open(path, 'rb') as lines:
        for line in lines:
            try:
                meaning = json.dumps(Meaning(flags).of(load(base64.b64decode(line))))
            except Exception as error:
                meaning = '!%s: %s' % (type(error).__name__, repr(error)[:200])
            print(meaning.replace('\n', ' '))


if __name__ == '__main__':
    sys.setrecursionlimit(5000)
    if sys.argv[1] == 'write':
        write(int(sys.argv[2]), int(sys.argv[3]))
    else:
        read(sys.argv[2], sys.argv[3:])

# -*- coding: utf-8 -*-
"""Owns the table of values that the client tests store, and the application
classes among them. Runs unchanged on CPython 2.7 and 3; its name is part of
every pickle of those classes, so both sides of a migration import it.
"""
import collections
import datetime
import decimal
import fractions
import sys
import types
import uuid

LONG = type(2 ** 70)
# What a client adds: longer than any lock, compressed as well.
OWN = [u"".join(u"%c" % (33 + number) for number in range(90))]


class New(object):
    """A new-style class on either Python."""

    def __init__(self, **fields):
        self.__dict__.update(fields)

    def __eq__(self, other):
        return self.__class__ is other.__class__ and self.__dict__ == other.__dict__

    def __ne__(self, other):
        return not self == other

    __hash__ = None


class Old:
    """Old-style on Python 2: its pickles do not mean the same to Python 3."""

    def __init__(self, **fields):
        self.__dict__.update(fields)

    def __eq__(self, other):
        return self.__class__ is other.__class__ and self.__dict__ == other.__dict__

    def __ne__(self, other):
        return not self == other

    __hash__ = None


if sys.version_info[0] == 2:
    class OnlyOn2(New):
        """The migration dropped it."""
else:
    class OnlyOn3(New):
        """The migration brought it."""


# Every client pickles these, at any protocol, and either Python reads the
# other's pickle of them as an equal value, if it knows the protocol.
PORTABLE = {
    "nested": {u"list": [1, -2.5, None, True], u"tuple": (u"a", (u"ü",)), u"set": {1, 2}},
    "ordered": collections.OrderedDict([(u"b", 1), (u"a", [2, 3])]),
    "object": New(name=u"Grüße", parts=[decimal.Decimal("1.10"), frozenset([u"x"])]),
    "compressible": [u"the same words again"] * 200,
}

# Each Python reads its own back, type and all.
VALUES = dict(PORTABLE, **{
    "text-ascii": u"plain",
    "text": u"Grüße, 世界",
    "text-empty": u"",
    "native": "native string",
    "bytes": bytes(bytearray(range(256))),
    "bytes-empty": b"",
    "bytes-like-wire": b"END\r\nVALUE x 0 1\r\n",
    "bytes-compressible": b"0123456789" * 100,
    "int": 42,
    "int-negative": -7,
    "int-64": 2 ** 62,
    "long": LONG(5),
    "long-wide": 2 ** 70,
    "float": 3.141592653589793,
    "float-infinite": float("inf"),
    "none": None,
    "true": True,
    "false": False,
    "list-empty": [],
    "tuple": (1, u"two", b"three", (None,)),
    "set": {u"a", u"b"},
    "frozenset": frozenset([1, 2]),
    "dict": {u"key": {1: [b"\xff\x80"]}, 2: u"ü"},
    "datetime": datetime.datetime(2024, 2, 29, 12, 30, 59, 999999),
    "date": datetime.date(1999, 12, 31),
    "time": datetime.time(23, 59, 59),
    "timedelta": datetime.timedelta(days=-1, microseconds=5),
    "decimal": decimal.Decimal("-0.10"),
    "old": Old(name="old", parts=[1, {u"a": b"\x80"}]),
    "object-nested": New(child=Old(leaf=New())),
})


def dated(year):
    """All kinds of dates and times: Python 2 keeps their state in a str."""
    return [
        datetime.datetime(year, 2, 28, 12, 30, 59, 999999), datetime.date(year, 12, 31),
        datetime.time(23, 59, 59, 200), datetime.timedelta(days=-1, microseconds=5),
    ]


def counted(**counts):
    found = collections.defaultdict(list)
    for name, count in counts.items():
        found[u"" + name].append(count)
    return found


TWIN = [u"twin"]

# What Pythons hand each other where values are transcoded: every one of them
# reads what any other stored as the same, type by type at any depth.
CROSSING = dict(PORTABLE, **{
    "containers": {u"list": [1, -2.5, None, True, 2 ** 70], u"tuple": (u"a", (u"\xfc",), ()),
                   u"deep": [[[[{u"x": [{}]}]]]], 1: {2: [3]}},
    "text": [u"plain", u"Gr\xfc\xdfe, \u4e16\u754c", u"\U0001f40d", u""],
    "dated": dated(2024), "dated-ascii": dated(1900),
    "decimals": [decimal.Decimal("-0.10"), decimal.Decimal("1E+6"), decimal.Decimal("Infinity"),
                 fractions.Fraction(1, 3), 1.5 + 2j],
    "sets": [{1, 2}, frozenset([u"\xfc", (1, u"a")]), set()],
    "counter": collections.Counter({u"a": 2, u"b": 1}),
    "defaultdict": counted(a=1, b=2),
    "uuid": [uuid.UUID(int=2 ** 127 + 5)],
    "bytes-binary": [bytes(bytearray(range(128, 256))), b"\xff" * 300],
    "old": [Old(name=u"old", parts=[1])],
    "twins": [TWIN, TWIN],
    # These two are text for Python 3 where Python 2 wrote them, unless the rule
    # says that they are bytes.
    "bytes-ascii": [b"plain", b""],
    "bytes-utf8": [b"Gr\xc3\xbc\xc3\x9fe"],
})
STR_IS_TEXT = ("bytes-ascii", "bytes-utf8")


def crossed(name, writer, as_text=True):
    """What a value of `CROSSING` is here when Python `writer` stored it."""
    value = CROSSING[name]
    if as_text and name in STR_IS_TEXT and writer < (3,) <= sys.version_info:
        return [each.decode("utf-8") for each in value]
    return value


# What only some Pythons have, nor anything that means the same: the first, the
# last, and what makes one.
BOUND = {
    "chain-map": ((3, 3), (3, 99), lambda: collections.ChainMap({u"a": 1})),
    "namespace": ((3, 3), (3, 99), lambda: types.SimpleNamespace(a=1)),
    "generic-alias": ((3, 9), (3, 99), lambda: list[int]),
    "only-on-3": ((3, 0), (3, 99), lambda: OnlyOn3(a=1)),
    "only-on-2": ((2, 0), (2, 7), lambda: OnlyOn2(a=1)),
    "old-set": ((2, 0), (2, 7), lambda: __import__("sets").Set([1])),
}


def bound():
    """The values of `BOUND` that this Python has."""
    return {name: make() for name, (first, last, make) in BOUND.items()
            if first <= sys.version_info[:2] <= last}


def meaning(value):
    """What is equal only for what means the same, type by type at any depth."""
    name = type(value).__name__
    if isinstance(value, type(u"")):
        return name, value
    if isinstance(value, (int, LONG)) and not isinstance(value, bool):
        return "whole", LONG(value)
    if isinstance(value, dict):
        items = [(meaning(each), meaning(value[each])) for each in value]
        if not isinstance(value, collections.OrderedDict):
            items.sort(key=repr)
        return name, getattr(value, "default_factory", None), items
    if isinstance(value, (list, tuple)):
        return name, [meaning(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return name, sorted([meaning(each) for each in value], key=repr)
    if isinstance(value, (New, Old)):
        return name, sorted((str(field), meaning(each)) for field, each in value.__dict__.items())
    return name, value


def same(left, right):
    """Whether a value came back as what it was: equal, and of the same type.
    Python 2 has two types of whole numbers, and clients take one for the other."""
    return kind(left) is kind(right) and left == right


def kind(value):
    return LONG if type(value) is int else type(value)

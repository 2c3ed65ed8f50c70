# -*- coding: utf-8 -*-
"""Owns the table of values that the client tests store, and the application
classes among them. Runs unchanged on CPython 2.7 and 3; its name is part of
every pickle of those classes, so both sides of a migration import it.
"""
import collections
import datetime
import decimal

LONG = type(2 ** 70)


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


def same(left, right):
    """Whether a value came back as what it was: equal, and of the same type.
    Python 2 has two types of whole numbers, and clients take one for the other."""
    return kind(left) is kind(right) and left == right


def kind(value):
    return LONG if type(value) is int else type(value)

# -*- coding: utf-8 -*-
"""Keeps cases: how a value is made and what it is used for, by `family/name`. What it
holds differs by release: what its use needs and it lacks makes it unusable.
"""
import collections
import datetime
import decimal
import functools
import importlib
import sys

PY2 = sys.version_info[0] == 2
Decimal = decimal.Decimal
Day, Moment, Span = datetime.date, datetime.datetime, datetime.timedelta
text = type(u'')

CASES, USES = collections.OrderedDict(), {}


def case(family, name, make, use):
    name = family + '/' + name
    assert name not in CASES, name
    CASES[name], USES[name] = make, use


def get(module, name=''):
    """What a module has, names in turn."""
    return functools.reduce(getattr, name.split('.') if name else [], importlib.import_module(module))


def found(modules, name):
    """The same in whichever of these modules there is."""
    for module in modules.split():
        try:
            return get(module, name)
        except (AttributeError, ImportError):
            continue
    raise ImportError(name)


def later(module, name=''):
    """The same when it is called."""
    return lambda *args, **kwargs: get(module, name)(*args, **kwargs)


def set_up(value, *steps):
    for step in steps:
        step(value)
    return value


def attributes(*names):
    return lambda value: [functools.reduce(getattr, name.split('.'), value) for name in names]


def tell(value):
    return value.tell()


def given(value):
    """What an error was made of, and what it says."""
    return [list(value.args), text(value)]

# -*- coding: utf-8 -*-
"""Pickles the values of `cases.py` and `django_cases.py`, or of another module, and
says what pickles of them mean to whoever loads them. The same file on Python 2.7, and
3.6 and later.

    apart.py write [MODULE]
                         a line for each case and protocol: the protocol, what the
                         C pickler writes, in base64, and the case
    apart.py read FILE [MODULE]
                         Django's series; then for each line of FILE, base64 and the
                         case, digests of what it means to Pythons like this one,
                         and across 2 and 3; or how it does not load (E), or fails
                         in use (unusable)

Runs with PYTHONHASHSEED=0 write the same bytes again.
"""
import base64
import hashlib
import importlib
import io
import json
import os
import re
import sys

sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import values  # noqa: E402: it configures Django
from cases import CASES  # noqa: E402

try:
    import django
    django.setup()
    import django_cases  # noqa: F401: adds to the cases
    SERIES = '%d.%d' % django.VERSION[:2]
except ImportError:
    SERIES = None

import meaning  # noqa: E402


def write(cases):
    for case, make in cases.items():
        try:
            value = make()
        except Exception:  # Not to be had here.
            continue
        for protocol in range(values.highest() + 1):
            pickled = values.attempt(values.fast, value, protocol)
            if pickled is not None:
                print('%d %s %s' % (protocol, base64.b64encode(pickled).decode(), case))


def told(kind, error):
    """An error in a line, without addresses and paths."""
    told = '%s %s: %s' % (kind, type(error).__name__, error)
    return re.sub(" from '[^']*'| at 0x[0-9a-f]+", '', told.replace('\n', ' '))[:120]


def read_one(pickled, case, uses):
    try:
        value = values.load(pickled)
    except Exception as error:
        return told('E', error)
    try:
        if case in uses:
            value = uses[case](value)
        trees = meaning.trees(value, case)
    except Exception as error:
        return told('unusable', error)
    encoded = [json.dumps(tree).encode('ascii') for tree in trees]
    return ' '.join(hashlib.sha1(tree).hexdigest()[:8] for tree in encoded)


def read(path, uses):
    print('django %s' % SERIES)
    with io.open(path, encoding='utf-8') as lines:
        for line in lines:
            pickled, case = line.rstrip('\n').split(' ', 1)
            print(read_one(base64.b64decode(pickled), case, uses))


if __name__ == '__main__':
    sys.setrecursionlimit(5000)
    module = sys.argv[3 if sys.argv[1] == 'read' else 2:]
    module = importlib.import_module(module[0]) if module else None
    if sys.argv[1] == 'write':
        write(module.CASES if module else CASES)
    else:
        read(sys.argv[2], getattr(module, 'USES', {}))

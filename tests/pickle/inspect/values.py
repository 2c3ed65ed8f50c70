# -*- coding: utf-8 -*-
"""Values that mean the same to every Python, for tests/pickle/inspect.rs.

    values.py write DIRECTORY      pickles each at every protocol
    values.py load FILE...         loads each, and compares
    values.py literal FILE         compares the renderings in what inspect printed
"""
from __future__ import print_function, unicode_literals

import ast
import datetime
import decimal
import io
import json
import os
import pickle
import sys

PLAIN = {
    'numbers': [0, -1, 255, 65536, 2 ** 31, -2 ** 70, 1.5, True, None],
    'texts': {'name': 'caf\xe9', 'quotes': 'it\'s "so"\n', 'snowman': '\u2603'},
    'nested': {'rows': [(1, 'a'), (2, 'b')], 'none': (), 'one': (1,), 'set': {1, 2}},
}
OBJECTS = {
    'when': [datetime.datetime(2024, 1, 2, 3, 4, 5), decimal.Decimal('1.50')],
}
if sys.version_info[0] == 3:
    PLAIN['bytes'] = [b'\x00\xffb\'']


def write(directory):
    for name, value in list(PLAIN.items()) + list(OBJECTS.items()):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            path = os.path.join(directory, '%s.%d.pickle' % (name, protocol))
            with io.open(path, 'wb') as file:
                file.write(pickle.dumps(value, protocol))


def expected(path):
    name = os.path.basename(path).split('.')[0]
    return PLAIN[name] if name in PLAIN else OBJECTS[name]


def load(paths):
    for path in paths:
        with io.open(path, 'rb') as file:
            value = pickle.load(file)
        if os.path.basename(path).startswith('bytes') and sys.version_info[0] == 2:
            same = value == [b'\x00\xffb\'']
        else:
            same = value == expected(path)
        if not same:
            sys.exit('%s: %r' % (path, value))


def literal(path):
    with io.open(path, encoding='utf-8') as file:
        for line in file:
            report = json.loads(line)
            name = os.path.basename(report['input']).split('.')[0]
            if name in PLAIN and ast.literal_eval(report['value']) != PLAIN[name]:
                sys.exit(line)
            if name in OBJECTS and 'value' in report:
                sys.exit(line)


if sys.argv[1] == 'write':
    write(sys.argv[2])
elif sys.argv[1] == 'load':
    load(sys.argv[2:])
else:
    literal(sys.argv[2])

# -*- coding: utf-8 -*-
"""The Python side of pickles.rs. Runs on Python 2.7 and 3.6 and later.

    pickles.py write DIRECTORY           pickles the values that this Python is to
                                         write: 3 all of them, 2 those with -py2
    pickles.py time ROUNDS FILE...       for each pickle, in nanoseconds, the best
                                         of so many rounds of pickle.loads and of
                                         pickletools.genops
"""
from __future__ import print_function, unicode_literals

import datetime
import decimal
import io
import os
import pickle
import pickletools
import sys
import time

PY2 = sys.version_info[0] == 2
if PY2:
    import cPickle as pickle  # noqa: F811
    text = unicode  # noqa: F821
else:
    text = str

WORDS = ['order', 'shipped', 'invoice', 'customer', 'basket', 'discount', 'returned', 'stock']
FOREIGN = ['Straße', 'größer', 'заказ', 'доставка', '注文', '在庫', 'niño', '€uro']
WHEN = datetime.datetime(2024, 5, 17, 8, 30, 12, 250000)


def prose(words, seed, length):
    """Text of this many characters, another for each seed."""
    picked = (words[(seed + n * n) % len(words)] for n in range(length))
    return text(' ').join(picked)[:length]


def session():
    return {
        '_auth_user_id': '42',
        '_auth_user_backend': 'django.contrib.auth.backends.ModelBackend',
        '_auth_user_hash': '5f3c9b0a7d' * 4,
        'last_seen': WHEN,
        'language': 'de',
        'cart': [
            {
                'sku': 'SKU-%04d' % n,
                'name': prose(WORDS, n, 24),
                'price': decimal.Decimal('19.99') + n,
                'quantity': n + 1,
                'added': WHEN + datetime.timedelta(hours=n),
            }
            for n in range(4)
        ],
    }


def users():
    """Rows of a table as a view caches them."""
    from django.conf import settings

    settings.configure(INSTALLED_APPS=['django.contrib.contenttypes', 'django.contrib.auth'])
    import django

    django.setup()
    from django.contrib.auth.models import User

    return [
        User(
            id=n,
            username='user%04d' % n,
            first_name=FOREIGN[n],
            last_name=WORDS[n].title(),
            email='user%04d@example.com' % n,
            password='pbkdf2_sha256$720000$' + '5f3c9b0a7d' * 4,
            date_joined=WHEN,
            last_login=WHEN + datetime.timedelta(days=n),
        )
        for n in range(5)
    ]


def values():
    """Each value's name, what makes it, and its protocol."""
    if PY2:
        return [('session-py2', session, 2), ('users-py2', users, 2)]
    return [
        ('strings', lambda: [prose(WORDS, n, 2048) for n in range(16)], 5),
        ('text', lambda: [prose(FOREIGN, n, 2048) for n in range(16)], 5),
        ('ints', lambda: [n % 256 for n in range(8192)], 5),
        ('dicts', lambda: [
            {'id': n, 'name': 'name%d' % n, 'active': n % 2 == 0, 'parent': None}
            for n in range(600)
        ], 5),
        ('tuples', lambda: [(n % 256, n % 7, True) for n in range(2048)], 5),
        ('floats', lambda: [n / 7.0 for n in range(2048)], 5),
        ('session-py3', session, 5),
        ('users-py3', users, 5),
    ]


def write(directory):
    for name, make, protocol in values():
        with io.open(os.path.join(directory, name + '.pickle'), 'wb') as out:
            out.write(pickle.dumps(make(), protocol))


def best(rounds, run):
    """Nanoseconds that the fastest of some rounds took for each run."""
    clock = time.time if PY2 else time.perf_counter
    started = clock()
    run()
    times = max(1, int(0.01 / max(clock() - started, 1e-7)))
    fastest = float('inf')
    for _ in range(rounds):
        started = clock()
        for _ in range(times):
            run()
        fastest = min(fastest, (clock() - started) / times)
    return fastest * 1e9


def time_all(rounds, files):
    try:
        users()
    except ImportError:
        print('no Django')
    # Python 2 has written dates as byte strings.
    options = {} if PY2 else {'encoding': 'latin1'}
    for name in files:
        with io.open(name, 'rb') as source:
            value = source.read()

        def scan():
            for _ in pickletools.genops(value):
                pass

        try:
            loads = best(rounds, lambda: pickle.loads(value, **options))
        except ImportError:
            loads = float('nan')
        print(name, loads, best(rounds, scan))


if __name__ == '__main__':
    if sys.argv[1] == 'write':
        write(sys.argv[2])
    else:
        # What Django says of another series is not of interest here.
        import warnings

        warnings.simplefilter('ignore')
        time_all(int(sys.argv[2]), sys.argv[3:])

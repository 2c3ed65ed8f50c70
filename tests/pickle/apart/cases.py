# -*- coding: utf-8 -*-
"""Values as applications cache them, kept apart: no rule about who can load what
was made for one of them before they were measured.

The same file on Python 2.7 and on 3.6 and later. '' is what a program writes
without thinking: bytes on 2, text on 3. A value that raises is not to be had here.
"""
import array
import base64
import calendar
import collections
import datetime
import decimal
import fractions
import functools
import hashlib
import importlib
import io
import json
import logging
import math
import operator
import os
import re
import struct
import sys
import time
import uuid
import zlib

import shop

PY2 = sys.version_info[0] == 2
if not PY2:
    xrange = range

Day, Moment, Clock, Span = datetime.date, datetime.datetime, datetime.time, datetime.timedelta
Decimal = decimal.Decimal

# By family and name, what makes the value.
CASES = collections.OrderedDict()


def case(family, name, make):
    assert (family + '/' + name) not in CASES, name
    CASES[family + '/' + name] = make


def of(module, name):
    """What a module has, wherever it is on this Python: names in turn."""
    for candidate in module.split():
        try:
            return functools.reduce(getattr, name.split('.'), importlib.import_module(candidate))
        except (AttributeError, ImportError):
            pass
    raise ImportError(module)


def set_up(value, *steps):
    """A value after some steps."""
    for step in steps:
        step(value)
    return value


# Plain data ------------------------------------------------------------------

case('app', 'web session', lambda: {
    'sid': 'b7c1', 'uid': 90210, 'roles': ['editor', 'author'], 'seen': Moment(2023, 11, 5, 1, 59, 59, 999999),
    'ip': u'2001:db8::1', 'flash': [(u'info', u'Gespeichert \u2713')], 'remember': False})
case('app', 'session of text', lambda: {u'nonce': u'f0' * 16, u'steps': [1, 2, 5], u'origin': None, u'ttl': 1209600})
case('app', 'basket', lambda: {
    u'lines': [{u'sku': u'TEE-%02d' % n, u'count': n, u'each': Decimal('7.%02d' % n)} for n in xrange(1, 7)],
    u'sum': Decimal('154.21'), u'vouchers': set([u'SUMMER', u'WELCOME']), u'ship_on': Day(2024, 2, 29)})
case('app', 'settings tree', lambda: {
    'db': {'host': 'db1', 'port': 5432, 'options': {'ssl': True, 'timeout': 2.5}},
    'debug': False, 'admins': (('Zo\xc3\xab' if PY2 else 'Zo\xeb', 'zoe@example.org'),), 'weights': [0.1, 0.2, 0.7]})
case('app', 'api page', lambda: {
    u'data': [{u'id': n * 37, u'type': u'track', u'attributes': {u'title': u'\u30c8\u30e9\u30c3\u30af %d' % n,
               u'length': n * 61.75, u'explicit': n % 2 == 0}} for n in xrange(25)],
    u'links': {u'next': u'https://api.example.org/tracks?page=3', u'prev': None}, u'meta': {u'total': 2 ** 33}})
case('app', 'flags', lambda: {'checkout-v3': {'on': True, 'share': 0.125, 'teams': frozenset(['core', 'qa'])},
                              'dark': {'on': False, 'share': 0.0, 'teams': frozenset()}})
case('app', 'rows as dicts', lambda: [
    {'id': n, 'email': 'u%d@example.org' % n, 'born': Day(1960 + n, 1 + n % 12, 1 + n),
    'score': None if n % 3 else n / 8.0,
     'balance': Decimal(n) / 8} for n in xrange(12)])
case('app', 'rows as tuples', lambda: [
    (n, u'note \xfc%d' % n, Moment(2022, 3, 27, 2, n), Clock(n, 59, n), Span(0, n, n)) for n in xrange(20)])
case('app', 'leaderboard', lambda: [(u'player%d' % n, 10 ** n) for n in xrange(20, 0, -1)])
case('app', 'rate limit', lambda: {('10.1.2.3', '/login'): collections.deque([1700000000.25, 1700000001.5], 5)})
case('app', 'lock', lambda: ('worker-7', 4711, 1699999999.125))
case('app', 'etag', lambda: ('W/"5f3-%s"' % hashlib.sha1(b'body').hexdigest(), 'Sun, 05 Nov 2023 01:59:59 GMT'))
case('app', 'negative answer', lambda: {'found': None, 'until': Moment.max, 'tries': -1})
case('app', 'money by currency', lambda: dict((code, Decimal('1.%d' % (n * 977))) for n, code in enumerate([u'EUR',
    u'CHF', u'JPY'])))
case('app', 'search hits', lambda: {u'q': u'na\xefve caf\xe9', u'hits': [(0.987 - n / 100.0, uuid.UUID(int=n ** 9))
    for n in xrange(9)]})
case('app', 'inverted index', lambda: dict((u'w%d' % n, frozenset(xrange(n, n * 3))) for n in xrange(15)))
case('app', 'counters', lambda: collections.Counter([u'de', u'fr', u'de', u'it', u'de']))
case('app', 'grouped', lambda: set_up(collections.defaultdict(list), lambda d: d[u'x'].append(1),
    lambda d: d[u'y'].extend([2, 3])))
case('app', 'nested default', lambda: collections.defaultdict(set, {7: set([u'a']), 8: set()}))
case('app', 'ordered menu', lambda: collections.OrderedDict([('home', '/'), ('shop', collections.OrderedDict([('new',
    '/new'), ('sale', '/sale')]))]))
case('app', 'geo', lambda: {u'type': u'Polygon', u'coordinates': [[[9.5 + n, 47.25 - n / 3.0] for n in xrange(8)]],
    u'crs': None})
case('app', 'calendar', lambda: dict((Day(2024, m, 1), calendar.monthrange(2024, m)) for m in xrange(1, 13)))
case('app', 'shared parts', lambda: (lambda part: {'a': part, 'b': [part, part], 'c': (part,)})({u'unit': u'kg'}))
case('app', 'translations', lambda: {u'ru': u'\u041a\u043e\u0440\u0437\u0438\u043d\u0430',
    u'ar': u'\u0633\u0644\u0629', u'he': u'\u05e1\u05dc', u'el': u'\u03ba\u03b1\u03bb\u03ac\u03b8\u03b9'})
case('app', 'task', lambda: {'id': str(uuid.UUID(int=5)), 'name': 'mail.send', 'args': (1, [u'\u2603']),
    'kwargs': {'cc': None}, 'eta': Moment(1999, 12, 31, 23, 59)})
case('app', 'histogram', lambda: [[n, math.sin(n), -n ** 3] for n in xrange(70)])
case('app', 'falsehoods', lambda: {True: 1, False: 0, None: (), (): u'', u'': []})
case('app', 'versions', lambda: {(1, 0, 0): u'old', (2, 10, 0, u'rc', 1): u'new'})
case('app', 'large page', lambda: u'<ul>' + u''.join(u'<li>%d \u20ac</li>' % n for n in xrange(300)) + u'</ul>')
case('app', 'native page', lambda: '<ul>' + ''.join('<li>%d</li>' % n for n in xrange(400)) + '</ul>')
case('dict', 'keys of all kinds', lambda: {-5: 0, 2.25: 1, u'\u00df': 2, (): 3, (u'a', (1,)): 4, frozenset([3]): 5,
    Decimal('4.5'): 6, Day(2000, 1, 1): 7})
case('dict', 'many', lambda: dict((u'k%d' % n, -n) for n in xrange(1030)))
case('dict', 'native keys', lambda: dict(('column_%d' % n, n if n % 2 else 'v%d' % n) for n in xrange(64)))
case('list', 'ladder', lambda: functools.reduce(lambda inner, n: [n, inner], xrange(90), u'end'))
case('list', 'of dicts deep', lambda: functools.reduce(lambda inner, n: {u'n': n, u'in': [inner]}, xrange(40), None))
case('list', 'thousands', lambda: [u'%d' % (n * 7) for n in xrange(1003)])
case('list', 'same object', lambda: [[u'row']] * 6)
case('list', 'in itself', lambda: set_up([1], lambda a: a.append({u'up': a}), lambda a: a.append((a, a))))
case('tuple', 'in its list', lambda: (lambda a: set_up((a, u'x'), lambda t: a.extend([t, t])))([]))
case('tuple', 'of tuples', lambda: tuple((n, (n,), ((n,),)) for n in xrange(30)))
case('tuple', 'long', lambda: tuple(u'%d' % n for n in xrange(257)))
case('text', 'emoji', lambda: u'\U0001f469\u200d\U0001f4bb \U0001f1e8\U0001f1ed')
case('text', 'combining', lambda: u'Z\u0351\u036b\u0343\u036a\u0302')
case('text', 'right to left', lambda: u'\u202eabc\u202c \u0645\u0631\u062d\u0628\u0627')
case('text', 'controls', lambda: u''.join(u'%c' % n for n in xrange(32)) + u'\x7f\x80\x9f\xa0\xad')
case('text', 'like an escape', lambda: u'\\u00e9 \\\\U0001f600 %s {0} \\')
case('text', 'half a pair', lambda: u'cut \ud83d')
case('text', 'private use', lambda: u'\ue000\uf8ff\ufffd\U0010ffff')
case('text', 'csv', lambda: u'\r\n'.join(u'%d;"a ""b"" \xe4";%s' % (n, n / 4.0) for n in xrange(60)))
case('text', 'just over a length byte', lambda: u'\u00e4' * 127 + u'ab')
case('text', 'json', lambda: json.dumps({'b': [1, None, True], 'a': u'\xe9'}, sort_keys=True))
case('int', 'powers', lambda: [sign * 2 ** n + off for n in (7, 8, 15, 16, 31, 32, 62, 63, 64, 127, 2039, 2048)
    for sign in (1, -1) for off in (-1, 0, 1)])
case('int', 'factorial', lambda: math.factorial(300))
case('int', 'phone', lambda: 41446681800)
case('float', 'edges', lambda: [sys.float_info.max, sys.float_info.min, sys.float_info.epsilon, -1e-323, 1e22,
    123456789.123456789])
case('float', 'not finite', lambda: {u'nan': float('nan'), u'inf': [float('inf'), -float('inf')]})
case('scalar', 'mixed', lambda: [None, True, False, 0, -0.0, u'', (), 1j])

# Bytes -----------------------------------------------------------------------

case('bytes', 'compressed', lambda: zlib.compress(b'{"a": 1}' * 40, 9))
case('bytes', 'packed record', lambda: struct.pack('<HiQd8s', 513, -2, 2 ** 63, 0.1, b'name'))
case('bytes', 'hash and mac', lambda: {u'sha': hashlib.sha256(b'k').digest(), u'mac': hashlib.md5(b'm').digest(),
    u'of': b'k'})
case('bytes', 'base64', lambda: base64.b64encode(bytes(bytearray(range(200)))))
case('bytes', 'latin 1', lambda: u'Gr\xfc\xdfe aus K\xf6ln'.encode('latin-1'))
case('bytes', 'utf-8', lambda: u'\u0413\u0440\u044e\u0441\u0441\u0435'.encode('utf-8'))
case('bytes', 'utf-16', lambda: u'wide'.encode('utf-16'))
case('bytes', 'gif', lambda: b'GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01;')
case('bytes', 'http body', lambda: {'status': 200, 'headers': [('Content-Type', 'text/plain; charset=utf-8')],
    'body': u'\u20ac 5'.encode('utf-8')})
case('bytes', 'keys', lambda: {b'\x00\x01': b'', b'abc': [b'\x80', b'\x7f']})
case('bytes', 'mutable', lambda: [bytearray(b'frame\x00\xff'), bytearray(1000)])
case('bytes', 'words', lambda: [b'GET', b'/index.html', b'HTTP/1.1'])

# Dates -----------------------------------------------------------------------

case('date', 'moments', lambda: [Moment(1, 1, 1), Moment(1582, 10, 15, 12), Moment(2038, 1, 19, 3, 14, 8),
    Moment(9999, 12, 31, 23, 59, 59, 999999)])
case('date', 'months', lambda: [Day(2023, m, 28) for m in xrange(1, 13)])
case('date', 'clocks', lambda: [Clock(h, 60 - 1 - h, h * 2, h * 43210) for h in xrange(24)])
case('date', 'late seconds', lambda: {u'open': Clock(7, 30, 45), u'close': Clock(23, 0, 59)})
case('date', 'spans', lambda: [Span(-1), Span(0, -1), Span(999999999, 86399, 999999), Span(weeks=-7, hours=5,
    milliseconds=1)])
case('date', 'low byte year', lambda: [Moment(256 * n + 10, 10, 13, 10, 13) for n in (1, 5, 7, 8)])
case('date', 'own zone', lambda: Moment(2024, 6, 1, 12, tzinfo=shop.Offset(345, 'Kathmandu')))
case('date', 'clock in own zone', lambda: Clock(12, 0, tzinfo=shop.Offset(-210)))
case('date', 'utc', lambda: [Moment(2024, 6, n, tzinfo=datetime.timezone.utc) for n in (1, 2)])
case('date', 'offset', lambda: {u'at': Moment(2024, 6, 1, tzinfo=datetime.timezone(Span(0, 20700))),
    u'in': datetime.timezone(-Span(0, 12600), 'NST')})
case('date', 'zone', lambda: Moment(2024, 10, 27, 2, 30, fold=1, tzinfo=of('zoneinfo', 'ZoneInfo')('Europe/Zurich')))
case('date', 'zones', lambda: [of('zoneinfo', 'ZoneInfo')(name) for name in ('Asia/Tokyo', 'America/St_Johns')])
case('date', 'backported zone', lambda: of('backports.zoneinfo', 'ZoneInfo')('Asia/Tokyo'))
case('date', 'second time', lambda: [Moment(2023, 10, 29, 2, 5, fold=1), Clock(2, 5, fold=1)])
case('date', 'pytz moment', lambda: of('pytz', 'timezone')('Asia/Kolkata').localize(Moment(2024, 6, 1)))
case('date', 'pytz fixed', lambda: Moment(2024, 6, 1, tzinfo=of('pytz', 'FixedOffset')(-570)))
case('date', 'struct_time', lambda: time.gmtime(10 ** 9))
case('date', 'iso calendar', lambda: Day(2024, 12, 30).isocalendar())
case('date', 'parsed mail date', lambda: of('email.utils', 'parsedate_tz')('Sun, 05 Nov 2023 01:59:59 +0545'))

# Numbers, collections and other things of the library ------------------------

case('value', 'decimals', lambda: [Decimal('0E-18'), Decimal('-Infinity'), Decimal('sNaN'), Decimal((1, (3, 1, 4),
    -2)), Decimal(2) ** -60])
case('value', 'exact sum', lambda: sum([Decimal('0.1')] * 3))
case('value', 'ratios', lambda: {u'half': fractions.Fraction(1, 2), u'pi': fractions.Fraction('3.14159'),
    u'big': fractions.Fraction(3, 7 ** 40)})
case('value', 'complexes', lambda: [complex(0, -0.0), complex(1e-5, float('inf'))])
case('value', 'uuids', lambda: [uuid.uuid3(uuid.NAMESPACE_OID, 'x'),
    uuid.UUID('{00000000-0000-4000-8000-00000000002a}')])
case('value', 'uuid key', lambda: {uuid.UUID(int=2 ** 127 + 1): u'v'})
case('value', 'ints packed', lambda: [array.array(code, [1, 0, 77]) for code in 'bBhHiI'])
case('value', 'longs packed', lambda: array.array('l', [-2 ** 40, 2 ** 40]))
case('value', 'long longs packed', lambda: array.array('Q', [2 ** 64 - 1]))
case('value', 'floats packed', lambda: {u'x': array.array('d', [math.pi] * 9), u'y': array.array('f', [0.5])})
case('value', 'characters packed', lambda: array.array('u', u'\u20ac!'))
case('value', 'queue', lambda: collections.deque([{u'job': n} for n in xrange(4)], maxlen=4))
case('value', 'layers', lambda: collections.ChainMap({u'cli': 1}, {u'env': 2}, {}))
case('value', 'wrapped dict', lambda: set_up(of('collections UserDict', 'UserDict')(),
    lambda d: d.update({u'k': [1]})))
case('value', 'wrapped list', lambda: of('collections UserList', 'UserList')([3, 1, 2]))
case('value', 'wrapped text', lambda: of('collections UserString', 'UserString')(u'wrapped'))
case('value', 'most common', lambda: collections.Counter('mississippi').most_common())
case('value', 'ordered set', lambda: collections.OrderedDict.fromkeys([u'z', u'y', u'x']))
case('value', 'moved to end', lambda: set_up(collections.OrderedDict([(1, u'a'), (2, u'b')]),
    lambda d: d.move_to_end(1)))
case('value', 'range', lambda: xrange(-4, 40, 9))
case('value', 'ranges', lambda: {u'rows': xrange(0), u'cols': xrange(7)})
case('value', 'slices', lambda: [slice(5), slice(1, None, -1)])
case('value', 'namespace', lambda: of('types', 'SimpleNamespace')(host=u'h', ports=[1, 2]))
case('value', 'address', lambda: of('ipaddress', 'ip_interface')(u'10.9.8.7/22'))
case('value', 'allow list', lambda: [of('ipaddress', 'ip_network')(n) for n in (u'192.0.2.0/24', u'2001:db8::/32')])
case('value', 'addresses', lambda: {of('ipaddress', 'ip_address')(u'203.0.113.9'): 3})
case('value', 'route pattern', lambda: re.compile(u'^/p/(?P<slug>[-\\w]+)/$'))
case('value', 'ignoring case', lambda: [re.compile('(foo|bar)+?', re.I | re.S), re.compile(u'\u0436+', re.U | re.M)])
case('value', 'bytes pattern', lambda: re.compile(b'\\x00(.*)'))
case('value', 'ascii pattern', lambda: re.compile('\\w+', re.ASCII))
case('value', 'paths', lambda: [of('pathlib', 'PurePosixPath')('/srv/media/a b.jpg'), of('pathlib',
    'Path')('x/../y')])
case('value', 'windows path', lambda: of('pathlib', 'PureWindowsPath')(u'D:\\d\xe9p\xf4t'))
case('value', 'url', lambda: of('urllib.parse urlparse', 'urlparse')('https://u:p@example.org:8443/a;b?c=1&c=2#top'))
case('value', 'split url', lambda: of('urllib.parse urlparse', 'urlsplit')(u'//cdn.example.org/\xe9'))
case('value', 'bytes url', lambda: of('urllib.parse', 'urlsplit')(b'http://example.org/'))
case('value', 'defragged', lambda: of('urllib.parse', 'urldefrag')('http://example.org/#x'))
case('value', 'query', lambda: of('urllib.parse urlparse', 'parse_qs')('a=1&b=2&a=3'))
case('value', 'cookies', lambda: set_up(of('http.cookies Cookie', 'SimpleCookie')(),
    lambda c: c.load('theme=dark; lang=de'),
                                        lambda c: c['theme'].update({'path': '/', 'max-age': 3600,
                                        'httponly': True})))
case('value', 'morsel', lambda: of('http.cookies Cookie', 'SimpleCookie')('id=7')['id'])
case('value', 'samesite cookie', lambda: set_up(of('http.cookies', 'SimpleCookie')('id=7'),
    lambda c: c['id'].update({'samesite': 'Lax'})))
case('value', 'mail', lambda: of('email.mime.text', 'MIMEText')('Dear all,\nhello.\n'))
case('value', 'mail of parts', lambda: set_up(
    of('email.mime.multipart', 'MIMEMultipart')('mixed', 'BOUNDARY'), lambda m: m.__setitem__('Subject', 'report'),
    lambda m: m.attach(of('email.mime.text', 'MIMEText')('see file')),
    lambda m: m.attach(of('email.mime.application', 'MIMEApplication')(b'\x00\xff'))))
case('value', 'modern mail', lambda: set_up(of('email.message', 'EmailMessage')(), lambda m: m.__setitem__('To',
    'Zo\xeb <z@example.org>'),
                                            lambda m: m.set_content(u'gr\xfc\xdfe')))
case('value', 'mail address', lambda: of('email.headerregistry', 'Address')('Zo\xeb', 'z', 'example.org'))
case('value', 'log record', lambda: logging.makeLogRecord({
    'name': 'shop.pay', 'levelno': 30, 'levelname': 'WARNING', 'msg': 'late by %d', 'args': (3,),
    'created': 1.5, 'msecs': 500.0, 'relativeCreated': 250.0, 'process': 11, 'thread': 7}))
case('value', 'time stamp of xmlrpc', lambda: of('xmlrpc.client xmlrpclib', 'DateTime')('20240601T12:00:00'))
case('value', 'blob of xmlrpc', lambda: of('xmlrpc.client xmlrpclib', 'Binary')(b'\x89PNG'))
case('value', 'text file', lambda: set_up(io.StringIO(u'one\ntwo\n'), lambda f: f.readline()))
case('value', 'binary file', lambda: set_up(io.BytesIO(b'PK\x03\x04\xff'), lambda f: f.seek(2)))
case('value', 'terminal size', lambda: os.terminal_size((80, 24)))
case('value', 'element', lambda: set_up(of('xml.etree.ElementTree', 'Element')('item'), lambda e: e.set('id', '4'),
    lambda e: setattr(e, 'text', u't\xe9xt')))
case('value', 'distribution', lambda: of('statistics', 'NormalDist')(3.5, 1.25))
case('value', 'status', lambda: [of('http', 'HTTPStatus')(n) for n in (200, 418 if sys.version_info >= (3,
    9) else 404)])
case('value', 'method', lambda: of('http', 'HTTPMethod').PATCH)
case('value', 'command line', lambda: of('argparse', 'Namespace')(verbose=2, files=['a', 'b']))
case('value', 'zip entry', lambda: set_up(of('zipfile', 'ZipInfo')('a/b.txt', (2024, 6, 1, 0, 0, 0)),
                                          lambda z: setattr(z, 'CRC', 0), lambda z: setattr(z, 'compress_size', 0)))
case('value', 'match text', lambda: of('difflib', 'SequenceMatcher')(None, 'abcd', 'bcde').get_opcodes())
case('value', 'config', lambda: set_up(of('configparser ConfigParser', 'RawConfigParser')(),
    lambda c: c.add_section('a'), lambda c: c.set('a', 'b', 'c')))
case('value', 'named groups', lambda: re.match('(?P<y>\\d+)-(?P<m>\\d+)', '2024-06').groupdict())
case('value', 'not implemented', lambda: [NotImplemented, Ellipsis, type(None)])
case('value', 'iterator', lambda: iter([1, 2, 3]))
case('value', 'text iterator', lambda: iter((u'a', u'b')))
case('value', 'zipped', lambda: list(zip('ab', [1, 2])))
case('value', 'repeat', lambda: of('itertools', 'repeat')(u'x', 3))
case('value', 'chain', lambda: of('itertools', 'chain')([1, 2], (3,)))
case('value', 'typed', lambda: [of('typing', 'Dict')[str, int], of('typing', 'Optional')[bytes]])
case('value', 'types of today', lambda: [dict[str, list[int]], tuple[int, ...]])
case('value', 'union', lambda: int | None)

# Functions and classes as data -----------------------------------------------

case('ref', 'dumps', lambda: functools.partial(json.dumps, sort_keys=True, indent=2))
case('ref', 'parse in base 16', lambda: functools.partial(int, base=16))
case('ref', 'partial of the application', lambda: functools.partial(shop.discount, percent=25))
case('ref', 'sort key', lambda: [operator.itemgetter('price'), operator.itemgetter('price', 'name')])
case('ref', 'attribute', lambda: operator.attrgetter('real'))
case('ref', 'method call', lambda: operator.methodcaller('upper'))
case('ref', 'handlers', lambda: {'quote': of('urllib.parse urllib', 'quote'), 'join': os.path.join, 'now': time.time})
case('ref', 'types', lambda: {u's': str, u'b': bytes, u'i': int, u't': type(u''), u'o': object, u'x': Exception})
case('ref', 'column types', lambda: [Decimal, Moment, Day, Span, uuid.UUID, bool, float, list, dict, tuple, set])
case('ref', 'errors to retry', lambda: (IOError, OSError, KeyError, of('socket', 'timeout'), of('socket', 'error')))
case('ref', 'new errors to retry', lambda: (ConnectionResetError, BrokenPipeError, of('json', 'JSONDecodeError')))
case('ref', 'of the application', lambda: [shop.Line, shop.Address, shop.discount, shop.Money])
case('ref', 'nested class', lambda: shop.Category.Badge)
case('ref', 'numbers', lambda: [max, sum, abs, math.floor, operator.add, round])
case('ref', 'bound', lambda: Moment.fromtimestamp)
case('ref', 'of text', lambda: u'x'.upper)
case('ref', 'abstract', lambda: of('collections.abc', 'Mapping'))
case('ref', 'abstract of 2', lambda: of('collections', 'Mapping'))
case('ref', 'reduce', lambda: functools.reduce)
case('ref', 'loads', lambda: json.loads)
case('ref', 'izip', lambda: of('itertools', 'izip'))

# The application's objects ---------------------------------------------------

case('object', 'cart', lambda: shop.Cart(u'zo\xeb').put(sku=u'A', count=1).put(sku=u'B', count=2, note='fragile'))
case('object', 'address', lambda: shop.Address(u'Hauptstra\xdfe 1', 'Bern'))
case('object', 'addresses', lambda: {'to': [shop.Address('a', 'b')] * 2, u'from': shop.Address(1, None)})
case('object', 'parcel', lambda: shop.Parcel(2.5, u'x'))
case('object', 'line', lambda: [shop.Line(u'S%d' % n, n, Decimal(n)) for n in xrange(4)])
case('object', 'order row', lambda: shop.OrderRow(7, Moment(2024, 6, 1), Decimal('9.95'), 'gift'))
case('object', 'money', lambda: shop.Money(Decimal('12.50'), u'CHF'))
case('object', 'size', lambda: shop.Size(3, 4))
case('object', 'box', lambda: set_up(shop.Box(3, 4), lambda b: setattr(b, 'colour', u'red')))
case('object', 'sku', lambda: [shop.Sku('TEE-1'), shop.Sku('TEE-2')])
case('object', 'label', lambda: shop.Label(u'\u5e97'))
case('object', 'checksum', lambda: shop.Checksum(b'\x01\x02\xff'))
case('object', 'ascii checksum', lambda: shop.Checksum(b'c0ffee'))
case('object', 'amount', lambda: shop.Amount('3.30'))
case('object', 'grams', lambda: [shop.Grams(2.5), shop.Quantity(3)])
case('object', 'tags', lambda: shop.Tags([u'new', u'sale']))
case('object', 'path', lambda: set_up(shop.Path([1, 2]), lambda p: setattr(p, 'closed', True)))
case('object', 'pair', lambda: shop.Pair((u'l', u'r')))
case('object', 'preferences', lambda: shop.Preferences(theme=u'dark', size=12))
case('object', 'catalog', lambda: shop.Catalog([(u'b', 1), (u'a', 2)]))
case('object', 'anonymous', lambda: {'user': shop.ANONYMOUS})
case('object', 'category', lambda: shop.Category(u'shoes', shop.Category(u'all')))
case('object', 'badge', lambda: shop.Category.Badge(u'blue'))
case('object', 'interval', lambda: shop.Interval(Day(2024, 1, 1), Day(2024, 3, 1)))
case('object', 'window', lambda: shop.Window(1, stop=9))
case('object', 'point', lambda: [shop.Point(1, 2.5)] * 2)
case('object', 'zone', lambda: shop.Offset(60, 'CET'))
case('object', 'status', lambda: shop.Status.PAID)
case('object', 'by status', lambda: {shop.Status.NEW: 4, shop.Status.SENT: 0})
case('object', 'priority', lambda: [shop.Priority.LOW, shop.Priority.HIGH])
case('object', 'access', lambda: shop.Access.READ | shop.Access.ADMIN)
case('object', 'colour', lambda: shop.Colour.BLUE)
case('object', 'enum class', lambda: shop.Status)
case('object', 'rate', lambda: shop.Rate('CHF', 0.97))
case('object', 'coupon', lambda: shop.Coupon('X1', 15, [1, 2]))
case('object', 'shelf', lambda: {shop.Shelf(1, 2): u'here'})
case('object', 'object', lambda: [object(), object()])
case('object', 'in a set', lambda: set_up(shop.Cart(u'x'), lambda c: setattr(c, 'friends', set([c]))))

# Exceptions ------------------------------------------------------------------

case('error', 'out of stock', lambda: shop.OutOfStock(u'TEE-1', 3))
case('error', 'declined', lambda: shop.PaymentDeclined(51, u'insufficient'))
case('error', 'api', lambda: shop.ApiError(503, b'busy'))
case('error', 'with details', lambda: set_up(LookupError(u'no row'), lambda e: setattr(e, 'table', u'orders')))
case('error', 'file', lambda: IOError(13, 'denied', '/etc/shadow'))
case('error', 'errno only', lambda: OSError(28, u'No space left'))
case('error', 'reset', lambda: of('socket', 'error')(104, 'Connection reset by peer'))
case('error', 'not found', lambda: FileNotFoundError(2, 'gone', 'x.txt'))
case('error', 'broken pipe', lambda: BrokenPipeError('cut'))
case('error', 'timed out', lambda: of('socket', 'timeout')('timed out'))
case('error', 'built-in timeout', lambda: TimeoutError(110, 'slow'))
case('error', 'name lookup', lambda: of('socket', 'gaierror')(-2, 'Name or service not known'))
case('error', 'unicode', lambda: UnicodeDecodeError('ascii', b'caf\xc3\xa9', 3, 4, 'ordinal not in range'))
case('error', 'unicode encode', lambda: UnicodeEncodeError('ascii', u'\xe9', 0, 1, 'no'))
case('error', 'arithmetic', lambda: [ZeroDivisionError('division by zero'), OverflowError(u'big')])
case('error', 'syntax', lambda: SyntaxError('invalid', ('f.py', 3, 7, 'x =')))
case('error', 'exit', lambda: SystemExit(3))
case('error', 'stop', lambda: StopIteration(5))
case('error', 'json', lambda: of('json', 'JSONDecodeError')('Expecting value', '{', 1))
case('error', 'pattern', lambda: of('re', 'error')('missing )'))
case('error', 'decimal', lambda: decimal.DivisionByZero('x'))
case('error', 'url', lambda: of('urllib.error urllib2', 'URLError')('unreachable'))
case('error', 'http', lambda: of('http.client httplib', 'BadStatusLine')(u'xx'))
case('error', 'full', lambda: of('queue Queue', 'Full')())
case('error', 'no option', lambda: of('configparser ConfigParser', 'NoOptionError')('o', 's'))
case('error', 'process', lambda: of('subprocess', 'CalledProcessError')(1, ['ls'], b'out'))
case('error', 'warning', lambda: DeprecationWarning(u'old'))
case('error', 'module', lambda: ModuleNotFoundError("No module named 'x'"))
case('error', 'import', lambda: ImportError('cannot import name y'))
case('error', 'recursion', lambda: RecursionError('deep'))
case('error', 'group', lambda: ExceptionGroup('many', [KeyError(1), OSError(2, 'x')]))
case('error', 'assertion in dict', lambda: {'task': 4, 'failed': AssertionError(u'\u2260')})
case('error', 'struct', lambda: struct.error('short'))
case('error', 'zlib', lambda: zlib.error('Error -3'))
case('error', 'pickling', lambda: of('pickle', 'UnpicklingError')('bad'))
case('error', 'cancelled', lambda: of('concurrent.futures', 'CancelledError')())
case('error', 'timeout of futures', lambda: of('concurrent.futures', 'TimeoutError')())
case('error', 'timeout of asyncio', lambda: of('asyncio', 'TimeoutError')('late'))

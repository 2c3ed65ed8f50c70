# -*- coding: utf-8 -*-
"""Values that no rule and no proof was made with, to measure verdicts by: plain ones
and those of the standard library here, of libraries and of applications in two other
files. The same on Python 2.7 and on 3.6 and later; a value that raises is not to be
had there, and neither is one whose use fails where it was made.
"""
import collections
import datetime
import decimal
import fractions
import functools
import io
import itertools
import operator
import re

import time
import uuid

from making import CASES, PY2, USES, Day, Decimal, Moment, Span, attributes, case, found, get, set_up, text

plain = lambda name, make: CASES.setdefault('plain/' + name, make)  # noqa: E731
standard = functools.partial(case, 'standard')

# Plain --------------------------------------------------------------------------

plain('profile', lambda: {u'id': 91, u'mail': u'ida@example.org', u'roles': [u'admin', u'ops'], u'last': None, u'score': 0.75})
plain('profile by native keys', lambda: {'id': 91, 'mail': 'ida@example.org', 'tags': ('x', 'y')})
plain('nothing', lambda: None)
plain('truth', lambda: True)
plain('zero', lambda: 0)
plain('large number', lambda: 2 ** 100 + 7)
plain('negative large number', lambda: -(2 ** 64))
plain('number of a long', lambda: 2 ** 40)
plain('float', lambda: 2.25)
plain('infinite', lambda: [float('inf'), -float('inf'), -0.0])
plain('empty containers', lambda: [[], {}, (), set(), frozenset(), u'', b''])
plain('text', lambda: u'Z\xfcrich')
plain('text of an emoji', lambda: u'caf\xe9 \U0001f600')
plain('native text', lambda: 'plain')
plain('raw bytes', lambda: b'\x00\xff\xfe')
plain('bytes of ASCII', lambda: b'abc')
plain('bytes in a dict', lambda: {u'body': b'\x89PNG\r\n', u'size': 6})
plain('long bytes', lambda: b'\x01\x80' * 400)
plain('long text', lambda: u'lorem ipsum ' * 60)
plain('lines', lambda: u'a\r\nb\nc\td\\')
plain('table', lambda: [[row * column for column in range(6)] for row in range(5)])
plain('rows', lambda: [(1, u'a', 2.5), (2, u'b', None)])
plain('rows by name', lambda: [{u'id': n, u'name': u'n%d' % n} for n in range(12)])
plain('nested', lambda: {u'a': {u'b': {u'c': [1, {u'd': (2, 3)}]}}})
plain('shared', lambda: (lambda part: {u'x': part, u'y': part})([1, 2]))
plain('itself', lambda: set_up([1], lambda v: v.append(v)))
plain('itself in a dict', lambda: set_up({}, lambda v: v.__setitem__(u'me', v)))
plain('keys of numbers', lambda: {1: u'a', 2.5: u'b', None: u'c', True: u'd'})
plain('keys of tuples', lambda: {(1, u'a'): [u'x'], (2, u'b'): []})
plain('keys of bytes', lambda: {b'k\xff': 1})
plain('set of numbers', lambda: set([1, 2, 3]))
plain('set of texts', lambda: frozenset([u'a', u'\xe4']))
plain('set in a dict', lambda: {u'seen': set([u'x', 5])})
plain('day', lambda: Day(1999, 12, 31))
plain('moment', lambda: Moment(2023, 11, 5, 1, 30, 15, 250))
plain('clock', lambda: datetime.time(23, 59, 59, 999))
plain('span', lambda: Span(days=-1, seconds=5))
plain('days in a list', lambda: [Day(2024, 1, n) for n in range(1, 9)])
plain('session', lambda: {u'_auth_user_id': u'7', u'expires': Moment(2030, 1, 1), u'cart': [(u'sku-1', 2, Decimal('9.90'))]})
plain('session by native keys', lambda: {'_auth_user_id': '7', 'expires': Moment(2030, 1, 1)})
plain('money', lambda: Decimal('-1234.50'))
plain('money by currency', lambda: {u'EUR': Decimal('1E+3'), u'CHF': Decimal('0.00')})
plain('not a number', lambda: [Decimal('NaN'), Decimal('Infinity')])
plain('complex', lambda: 3 - 4j)
plain('bytearray', lambda: bytearray(b'\x00\x01\xf0'))
plain('in order', lambda: collections.OrderedDict([(u'z', 1), (u'a', 2)]))
plain('by default', lambda: collections.defaultdict(int, {u'a': 3}))
plain('lists by default', lambda: collections.defaultdict(list, {u'a': [1]}))
plain('queue', lambda: collections.deque([1, u'b'], 5))
plain('thousands', lambda: list(range(3000)))
plain('thousands by key', lambda: dict((u'k%d' % n, n) for n in range(1500)))
plain('same text often', lambda: [u'status'] * 30)
plain('deep', lambda: functools.reduce(lambda inner, n: [n, inner], range(40), None))
plain('feature flags', lambda: {u'on': True, u'share': 0.1, u'for': [u'beta', u'staff'], u'since': Day(2024, 2, 29)})
plain('JSON of an API', lambda: {u'data': [{u'id': 1, u'links': {u'self': u'/1'}}], u'meta': {u'next': None, u'total': 1}})

# The standard library -------------------------------------------------------------


def listed(value):
    return list(itertools.islice(value, 12))


def moment(value):
    return [value.isoformat(), str(value.utcoffset()), value.tzname(), getattr(value, 'fold', 0)]


def names(*modules_and_name):
    return lambda: found(*modules_and_name)


def made(modules, name, *args, **kwargs):
    return lambda: found(modules, name)(*args, **kwargs)


for name, make in [
        ('UTC', lambda: datetime.timezone.utc), ('minus five', lambda: datetime.timezone(Span(hours=-5), 'EST')),
        ('of a zone', lambda: found('zoneinfo backports.zoneinfo', 'ZoneInfo')('America/New_York')),
        ('of a second half', lambda: datetime.timezone(Span(seconds=3601))),
]:
    standard('moment ' + name, lambda make=make: Moment(2024, 11, 3, 1, 30, tzinfo=make()), moment)
    standard('zone ' + name, lambda make=make: [make()], lambda v: [str(v[0].utcoffset(Moment(2024, 1, 1))), v[0].tzname(Moment(2024, 1, 1))])
standard('later of two', lambda: Moment(2024, 11, 3, 1, 30, fold=1), moment)
standard('clock of UTC', lambda: datetime.time(1, 2, tzinfo=datetime.timezone.utc), lambda v: [v.isoformat()])
standard('week', lambda: Day(2024, 2, 29).isocalendar(), list)
standard('struct of time', lambda: time.gmtime(86400), list)
standard('resolution', lambda: Moment.resolution, lambda v: [v.total_seconds()])

for name, args in [('PurePosixPath', ('a', 'b.txt')), ('PureWindowsPath', ('C:\\x', 'y')), ('PosixPath', ('/etc', 'hosts')), ('Path', ('.',))]:
    standard('path ' + name, made('pathlib', name, *args), lambda v: [text(v), v.name, v.suffix])
standard('paths', lambda: {u'home': get('pathlib', 'PurePosixPath')('/home'), u'all': [get('pathlib', 'PurePosixPath')('x/y')]},
         lambda v: [text(v[u'home'] / 'ida'), [part.name for part in v[u'all']]])

standard('signalling', lambda: Decimal('sNaN12'), lambda v: [text(v), v.is_snan()])
standard('context', lambda: decimal.Context(prec=5, rounding=decimal.ROUND_DOWN), lambda v: [v.prec, v.rounding, text(v.divide(Decimal(2), Decimal(3)))])
standard('context with traps', lambda: decimal.Context(prec=3, traps=[decimal.Inexact], Emax=99, Emin=-99), lambda v: [v.prec, v.Emax, bool(v.traps[decimal.Inexact])])
standard('fraction', lambda: fractions.Fraction(-7, 21), lambda v: [v.numerator, v.denominator, v + 1])
standard('prices by fraction', lambda: {fractions.Fraction(1, 2): u'half'}, lambda v: [v[fractions.Fraction(2, 4)]])
standard('normal distribution', lambda: get('statistics', 'NormalDist')(10, 2), lambda v: [v.mean, v.stdev, round(v.cdf(10), 6), v.zscore(12)])
standard('sample of numbers', lambda: get('random', 'Random')(7), lambda v: [v.random(), v.random()])
standard('uuid of a name', lambda: uuid.uuid5(uuid.NAMESPACE_URL, 'x'), lambda v: [v.hex, v.version, text(v)])
standard('uuid that is safe', lambda: uuid.UUID(int=5, is_safe=uuid.SafeUUID.safe), lambda v: [v.int, v.is_safe.name])
standard('safety of a uuid', lambda: uuid.SafeUUID.unsafe, attributes('name', 'value'))

for kind, args in [('IPv4Address', (u'10.0.0.1',)), ('IPv6Address', (u'fe80::1',)), ('IPv4Network', (u'10.0.0.0/30',)),
                   ('IPv6Network', (u'fe80::/126',)), ('IPv4Interface', (u'10.0.0.1/24',)), ('IPv6Interface', (u'fe80::1/64',))]:
    standard(kind, made('ipaddress', kind, *args), lambda v: [text(v), v.version, v.is_private, getattr(v, 'num_addresses', 0)])
standard('address with a scope', lambda: get('ipaddress', 'IPv6Address')(u'fe80::1%eth0'), lambda v: [text(v), v.scope_id])
standard('networks', lambda: set(get('ipaddress', 'ip_network')(u'10.%d.0.0/16' % n) for n in range(3)), lambda v: sorted(text(n) for n in v))

# Syntax trees


def evaluates(tree):
    return [eval(compile(tree, 'x', 'eval'), {'x': [5, 3]})]


for name, source in [('a sum', '1 + x[0]'), ('a list', '[y for y in x if y > 3]'), ('a call', 'max(x, key=lambda y: -y)'), ('a text', '"a" "b"'), ('a slice', 'x[0:1]')]:
    standard('tree of ' + name, lambda source=source: get('ast', 'parse')(source, mode='eval'), evaluates)
standard('name in a tree', lambda: get('ast', 'Name')('x', get('ast', 'Load')()), lambda v: [v.id, type(v.ctx).__name__])
standard('constant in a tree', lambda: get('ast', 'parse')('3').body[0].value, lambda v: [get('ast', 'literal_eval')(v)])
standard('module of a tree', lambda: get('ast', 'parse')('def f(a, b=1):\n    return a + b\n'),
         lambda v: [(lambda space: [eval(compile(v, 'x', 'exec'), space), space['f'](2)][1])({})])

# Failures


def frame():
    return get('traceback', 'FrameSummary')('shop.py', 12, 'pay', lookup_line=False, line='pay(1)')


standard('frame', frame, lambda v: [v.filename, v.lineno, v.name, v.line])
standard('frame as a tuple', frame, lambda v: [list(v)])
standard('stack', lambda: get('traceback', 'StackSummary').from_list([frame(), frame()]), lambda v: [len(v), [''.join(v.format())[:60]]])


def failure(name, modules, kind, args, *more, **options):
    """An error that is caught as what it is, and what it says of itself."""
    state = options.get('state', {})

    def use(value):
        if not isinstance(value, found(modules, kind)):
            raise TypeError('not caught')
        text(value)
        return [list(value.args)] + attributes(*(list(more) + sorted(state)))(value)
    standard('failure: ' + name, lambda: set_up(found(modules, kind)(*args), lambda v: v.__dict__.update(state)), use)


BUILTIN = 'builtins exceptions'
for kind, args in [
        ('ValueError', ()), ('ValueError', (u'bad', 3)), ('KeyError', (u'k',)), ('IndexError', (u'out',)), ('TypeError', (u'a', u'b', u'c')),
        ('RuntimeError', (u'one', u'two', u'three', u'four', u'five')), ('AssertionError', (u'no',)), ('StopIteration', (5,)), ('SystemExit', (3,)),
        ('KeyboardInterrupt', ()), ('ZeroDivisionError', (u'by zero',)), ('OverflowError', (34, u'large')), ('MemoryError', ()),
        ('EOFError', ()), ('NotImplementedError', (u'later',)), ('RecursionError', (u'deep',)), ('StopAsyncIteration', (1,)),
        ('DeprecationWarning', (u'old',)), ('ResourceWarning', (u'open',)), ('EncodingWarning', (u'x',)), ('PythonFinalizationError', (u'x',)),
        ('UserWarning', (u'hm',)), ('BufferError', (u'x',)), ('GeneratorExit', ()), ('ReferenceError', (u'gone',)), ('BytesWarning', (b'x',)),
]:
    failure('%s of %d' % (kind, len(args)), BUILTIN, kind, args)
failure('with attributes', BUILTIN, 'ValueError', (u'x',), state={'code': 7, 'hint': u'none'})
failure('with another', BUILTIN, 'RuntimeError', (ValueError(u'inner'),))
failure('file', BUILTIN, 'OSError', (2, u'No such file', u'/x'), 'errno', 'strerror', 'filename')
failure('file that is there', BUILTIN, 'EnvironmentError', (17, u'File exists', u'/x'), 'errno', 'filename')
failure('two files', BUILTIN, 'OSError', (18, u'cross', u'/a', None, u'/b'), 'filename', 'filename2')
failure('of one argument', BUILTIN, 'OSError', (u'just said',), 'errno')
failure('not permitted', BUILTIN, 'PermissionError', (13, u'denied'), 'errno', 'strerror')
failure('would block', BUILTIN, 'BlockingIOError', (11, u'again', 5), 'characters_written')
failure('reset', BUILTIN, 'ConnectionResetError', (104, u'reset'), 'errno')
failure('child', BUILTIN, 'ChildProcessError', (10, u'none'), 'errno')
failure('cannot decode', BUILTIN, 'UnicodeDecodeError', ('utf-8', b'\xff', 0, 1, 'bad'), 'encoding', 'start', 'reason')
failure('cannot encode', BUILTIN, 'UnicodeEncodeError', ('ascii', u'\xe9', 0, 1, 'bad'), 'object', 'end')
failure('cannot translate', BUILTIN, 'UnicodeTranslateError', (u'\xe9', 0, 1, 'bad'), 'reason')
failure('syntax', BUILTIN, 'SyntaxError', (u'bad', (u'x.py', 3, 5, u'x = = 1')), 'msg', 'lineno', 'offset', 'text')
failure('syntax to an end', BUILTIN, 'SyntaxError', (u'bad', (u'x.py', 3, 5, u'x = = 1', 3, 6)), 'msg', 'end_lineno')
failure('indentation', BUILTIN, 'IndentationError', (u'bad', (u'x.py', 3, 5, u' x')), 'msg', 'filename')
standard('failure: import by name', lambda: ImportError(u'no', name='shop', path='/x'), lambda v: [v.name, v.path, v.args])
standard('failure: no module', lambda: found('builtins', 'ModuleNotFoundError')(u'no', name='shop'), lambda v: [v.name, list(v.args)])
standard('failure: no attribute', lambda: AttributeError(u'no', name='x', obj=3), lambda v: [v.name, list(v.args)])
standard('failure: no attribute, caught', lambda: AttributeError(u'no', name='x', obj=3), lambda v: [isinstance(v, AttributeError), list(v.args)])
standard('failure: no name', lambda: NameError(u'no', name='x'), lambda v: [isinstance(v, NameError), list(v.args)])
standard('failure: with a note', lambda: set_up(ValueError(u'x'), lambda v: v.add_note(u'noted')), lambda v: [v.__notes__, list(v.args)])
standard('failure: with a note, caught', lambda: set_up(ValueError(u'x'), lambda v: v.add_note(u'noted')), lambda v: [list(v.args)])
standard('failure: group', lambda: found('builtins', 'ExceptionGroup')(u'two', [ValueError(1), KeyError(u'k')]),
         lambda v: [v.message, [type(e).__name__ for e in v.exceptions]])
for name, modules, kind, args, more in [
        ('queue is empty', 'queue Queue', 'Empty', (), ()), ('queue is full', 'queue Queue', 'Full', (u'x',), ()),
        ('queue was shut', 'queue', 'ShutDown', (), ()), ('barrier', 'threading', 'BrokenBarrierError', (), ()),
        ('thread', 'threading', 'ThreadError', (u'x',), ()), ('cancelled', 'concurrent.futures', 'CancelledError', (), ()),
        ('executor', 'concurrent.futures', 'BrokenExecutor', (u'x',), ()), ('state of a future', 'concurrent.futures', 'InvalidStateError', (u'x',), ()),
        ('state of asyncio', 'asyncio', 'InvalidStateError', (u'x',), ()), ('cancelled in asyncio', 'asyncio', 'CancelledError', (u'x',), ()),
        ('read too little', 'asyncio', 'IncompleteReadError', (b'ab', 5), ('partial', 'expected')),
        ('limit', 'asyncio', 'LimitOverrunError', (u'x', 3), ('consumed',)), ('queue of asyncio', 'asyncio', 'QueueEmpty', (), ()),
        ('process', 'multiprocessing', 'ProcessError', (u'x',), ()), ('process in time', 'multiprocessing', 'TimeoutError', (u'x',), ()),
        ('weak reference', 'weakref', 'ReferenceError', (u'x',), ()), ('pickling', 'pickle', 'PicklingError', (u'x',), ()),
        ('copying', 'copy', 'Error', (u'x',), ()), ('struct', 'struct', 'error', (u'x',), ()), ('base64', 'binascii', 'Error', (u'x',), ()),
        ('zlib', 'zlib', 'error', (u'x',), ()), ('xz', 'lzma', 'LZMAError', (u'x',), ()), ('csv', 'csv', 'Error', (u'x',), ()),
        ('archive', 'zipfile', 'BadZipfile', (u'x',), ()), ('tar', 'tarfile', 'ReadError', (u'x',), ()), ('copying files', 'shutil', 'Error', ([(u'a', u'b', u'c')],), ()),
        ('database', 'sqlite3', 'IntegrityError', (u'UNIQUE',), ()), ('database is locked', 'sqlite3', 'OperationalError', (u'locked',), ()),
        ('section', 'configparser ConfigParser', 'NoSectionError', (u's',), ('section',)),
        ('twice', 'configparser', 'DuplicateOptionError', (u's', u'o', u'x.ini', 4), ('section', 'option', 'source', 'lineno')),
        ('interpolation', 'configparser ConfigParser', 'InterpolationDepthError', (u'o', u's', u'v'), ('option',)),
        ('process failed', 'subprocess', 'CalledProcessError', (2, u'ls', b'out'), ('returncode', 'cmd', 'output')),
        ('process took long', 'subprocess', 'TimeoutExpired', (u'ls', 3), ('cmd', 'timeout')),
        ('option', 'getopt', 'GetoptError', (u'm', u'o'), ('opt',)), ('argument', 'argparse', 'ArgumentTypeError', (u'x',), ()),
        ('named argument', 'argparse', 'ArgumentError', (None, u'x'), ('message', 'argument_name')),
        ('bad JSON', 'json', 'JSONDecodeError', (u'bad', u'{', 1), ('msg', 'pos', 'colno')),
        ('pattern', 're', 'error', (u'bad', u'(', 0), ('msg', 'pattern', 'pos')), ('pattern of one', 're', 'error', (u'bad',), ()),
        ('mail', 'smtplib', 'SMTPResponseException', (550, b'no'), ('smtp_code', 'smtp_error')),
        ('mail refused', 'smtplib', 'SMTPRecipientsRefused', ({u'a@b': (550, b'no')},), ('recipients',)),
        ('sender refused', 'smtplib', 'SMTPSenderRefused', (550, b'no', u'a@b'), ('sender',)),
        ('mail is broken', 'email.errors', 'MessageParseError', (u'x',), ()), ('file transfer', 'ftplib', 'error_perm', (u'550',), ()),
        ('name of a host', 'socket', 'gaierror', (-2, u'unknown'), ('errno', 'strerror')), ('socket took long', 'socket', 'timeout', (u'timed out',), ()),
        ('TLS', 'ssl', 'SSLError', (1, u'x'), ('errno',)), ('certificate', 'ssl', 'CertificateError', (u'x',), ()),
        ('URL', 'urllib.error urllib2', 'URLError', (u'refused',), ('reason',)),
        ('URL in HTTP', 'urllib.error urllib2', 'HTTPError', (u'http://x/', 404, u'gone', {}, None), ('code', 'msg', 'filename')),
        ('too short', 'urllib.error urllib', 'ContentTooShortError', (u'm', b'ab'), ('content',)),
        ('status line', 'http.client httplib', 'BadStatusLine', (u'x',), ('line',)), ('incomplete', 'http.client httplib', 'IncompleteRead', (b'ab', 9), ('partial', 'expected')),
        ('line is long', 'http.client httplib', 'LineTooLong', (u'x',), ()), ('cookie', 'http.cookies Cookie', 'CookieError', (u'x',), ()),
        ('call over XML', 'xmlrpc.client xmlrpclib', 'Fault', (4, u'no'), ('faultCode', 'faultString')),
        ('protocol of XML', 'xmlrpc.client xmlrpclib', 'ProtocolError', (u'http://x', 500, u'm', {}), ('errcode', 'url')),
        ('XML', 'xml.etree.ElementTree', 'ParseError', (u'x',), ()), ('XML of expat', 'xml.parsers.expat', 'ExpatError', (u'x',), ()),
        ('DOM', 'xml.dom', 'NotFoundErr', (u'x',), ('code',)), ('SAX', 'xml.sax', 'SAXException', (u'x',), ()),
        ('month', 'calendar', 'IllegalMonthError', (13,), ('month',)), ('weekday', 'calendar', 'IllegalWeekdayError', (9,), ('weekday',)),
        ('no median', 'statistics', 'StatisticsError', (u'x',), ()), ('address', 'ipaddress', 'AddressValueError', (u'x',), ()),
        ('no such zone', 'zoneinfo', 'ZoneInfoNotFoundError', (u'x',), ()), ('circle', 'graphlib', 'CycleError', (u'x', [1, 2]), ()),
        ('inexact', 'decimal', 'Inexact', (u'x',), ()), ('invalid', 'decimal', 'InvalidOperation', ([u'x'],), ()), ('locale', 'locale', 'Error', (u'x',), ()),
        ('unsupported', 'io', 'UnsupportedOperation', (u'x',), ()), ('end of tokens', 'tokenize', 'TokenError', (u'x', (1, 2)), ()),
        ('table of symbols', 'sqlite3', 'Warning', (u'x',), ()), ('netrc', 'netrc', 'NetrcParseError', (u'm', u'f', 3), ('msg', 'filename', 'lineno')),
        ('property list', 'plistlib', 'InvalidFileException', (u'x',), ()), ('pipe', 'signal', 'ItimerError', (u'x',), ()),
]:
    failure(name, modules, kind, args, *more)

# Mail, the web


def mail(kind, *args, **kwargs):
    return lambda: set_up(found(*kind.rsplit('.', 1))(*args, **kwargs), lambda v: v.__setitem__('Subject', 'Hello'))


standard('mail', mail('email.message.Message'), lambda v: [v['subject'], v.as_string()])
standard('mail of text', mail('email.mime.text.MIMEText', 'body'), lambda v: [v['subject'], v.get_payload(), v.get_content_type()])
standard('mail of two', lambda: set_up(mail('email.mime.multipart.MIMEMultipart')(), lambda v: v.attach(found('email.mime.text', 'MIMEText')('x'))),
         lambda v: [len(v.get_payload()), v.is_multipart()])
standard('mail of today', lambda: set_up(get('email.message', 'EmailMessage')(), lambda v: v.set_content('hi'), lambda v: v.__setitem__('To', 'a@b.ch')),
         lambda v: [v['to'], v.get_content()])
standard('header of mail', lambda: get('email.header', 'Header')(u'Gr\xfc\xdfe', 'utf-8'), lambda v: [v.encode()])
standard('character set', lambda: get('email.charset', 'Charset')('utf-8'), lambda v: [v.get_output_charset(), v.header_encode('x')])
standard('mail address', lambda: get('email.headerregistry', 'Address')('Ida', 'ida', 'example.org'), lambda v: [text(v), v.domain])
standard('policy of mail', lambda: get('email.policy', 'SMTP'), lambda v: [v.linesep, v.max_line_length])
standard('old policy of mail', lambda: get('email.policy', 'compat32'), lambda v: [v.linesep, v.cte_type])
standard('request', lambda: found('urllib.request urllib2', 'Request')('http://example.org/a?b=1', b'data', {'X-A': 'b'}),
         lambda v: [v.get_full_url(), v.data if not PY2 else v.get_data(), v.get_header('X-a'), v.get_method(), v.host if not PY2 else v.get_host()])
for name, address in [('urlparse', u'http://u:p@example.org:8080/p;x?q=1#f'), ('urlsplit', u'//h/p'), ('urldefrag', u'http://x/#f')]:
    standard('parts by ' + name, lambda name=name, address=address: found('urllib.parse urlparse', name)(address), lambda v: [list(v), v.geturl() if hasattr(v, 'geturl') else v[0]])
standard('parts in bytes', lambda: get('urllib.parse', 'urlparse')(b'http://x/y'), lambda v: [v.netloc, v.geturl()])
standard('cookies', lambda: set_up(found('http.cookies Cookie', 'SimpleCookie')(), lambda c: c.load('a=1; b=2')), lambda v: [v['b'].value, sorted(v)])
standard('cookie', lambda: set_up(found('http.cookies Cookie', 'SimpleCookie')(), lambda c: c.load('a=1'), lambda c: c['a'].__setitem__('path', '/'))['a'],
         lambda v: [v.key, v.value, v['path'], v.OutputString()])
standard('cookie to be partitioned', lambda: set_up(get('http.cookies', 'Morsel')(), lambda v: v.set('a', '1', '1'), lambda v: v.__setitem__('partitioned', True)),
         lambda v: [v.OutputString()])
standard('jar of cookies', lambda: found('http.cookiejar cookielib', 'CookieJar')(), lambda v: [len(v), v.make_cookies is not None, list(v)])
standard('policy of cookies', lambda: found('http.cookiejar cookielib', 'DefaultCookiePolicy')(blocked_domains=['x.ch']), lambda v: [list(v.blocked_domains()), v.is_blocked('x.ch')])
standard('status', lambda: get('http', 'HTTPStatus').TEAPOT if hasattr(get('http', 'HTTPStatus'), 'IM_A_TEAPOT') else get('http', 'HTTPStatus').OK, lambda v: [int(v), v.phrase])
standard('status of today', lambda: get('http', 'HTTPStatus').EARLY_HINTS, lambda v: [int(v), v.phrase])
standard('method', lambda: get('http', 'HTTPMethod').PATCH, lambda v: [v.value])
standard('headers of WSGI', lambda: get('wsgiref.headers', 'Headers')([('A', 'b')]), lambda v: [v['a'], v.items()])

# XML, files, logs, and what else programs keep

standard('element', lambda: get('xml.etree.ElementTree', 'fromstring')('<a x="1"><b>t</b>tail</a>'), lambda v: [v.tag, v.get('x'), v[0].text, v[0].tail])
standard('element tree', lambda: get('xml.etree.ElementTree', 'ElementTree')(get('xml.etree.ElementTree', 'Element')('r')), lambda v: [v.getroot().tag])
standard('document', lambda: get('xml.dom.minidom', 'parseString')('<a><b c="d"/></a>'), lambda v: [v.documentElement.toxml(), v.documentElement.firstChild.getAttribute('c')])
standard('time over XML', lambda: found('xmlrpc.client xmlrpclib', 'DateTime')('20240229T00:00:00'), lambda v: [v.value, text(v)])
standard('entry of an archive', lambda: get('zipfile', 'ZipInfo')('a.txt', (2024, 1, 2, 3, 4, 6)), lambda v: [v.filename, list(v.date_time), v.compress_type, v.FileHeader()])
standard('entry of a tar', lambda: set_up(get('tarfile', 'TarInfo')('a.txt'), lambda v: setattr(v, 'size', 3)), lambda v: [v.name, v.size, v.isfile(), len(v.tobuf())])
standard('status of a file', lambda: get('os', 'stat_result')(range(10)), lambda v: [list(v), v.st_size])
standard('terminal', lambda: get('os', 'terminal_size')((80, 24)), lambda v: [v.columns, v.lines])
standard('times', lambda: get('os', 'times_result')((1.0, 2.0, 3.0, 4.0, 5.0)), lambda v: [len(v)])
standard('system', lambda: get('platform', 'uname')(), lambda v: [v[0], len(list(v)), v.system])
standard('arguments', made('argparse', 'Namespace', level=3, who=u'x'), lambda v: [v.level, 'who' in v, sorted(vars(v))])
standard('old options', lambda: get('optparse', 'Values')({'level': 3}), lambda v: [v.level, v.ensure_value('x', 1)])
standard('namespace', lambda: get('types', 'SimpleNamespace')(a=1, b=[2]), lambda v: [v.a, v.b, repr(v)])
standard('template', lambda: get('string', 'Template')(u'$who likes ${what}'), lambda v: [v.substitute(who=u'tim', what=u'kung pao')])
standard('formatter', lambda: get('string', 'Formatter')(), lambda v: [v.format(u'{0} {a}', 1, a=2)])
standard('wrapper', lambda: get('textwrap', 'TextWrapper')(width=20, max_lines=1), lambda v: [v.fill(u'a few words that need two lines')])
standard('printer', lambda: get('pprint', 'PrettyPrinter')(indent=2, width=40), lambda v: [v.pformat({u'a': 1} if not PY2 else {'a': 1})])
standard('encoder of JSON', lambda: get('json', 'JSONEncoder')(sort_keys=True), lambda v: [v.encode({'b': 1, 'a': [2]})])
standard('record of a log', lambda: get('logging', 'LogRecord')('shop', 30, 'x.py', 7, 'paid %s', ('ida',), None), lambda v: [v.getMessage(), v.levelname, get('logging', 'Formatter')('%(name)s').format(v)])
standard('record of a log as a dict', lambda: get('logging', 'makeLogRecord')({'msg': 'x', 'levelno': 20}), lambda v: [v.getMessage(), v.levelno, v.processName or 'MainProcess'])
standard('format of a log', lambda: get('logging', 'Formatter')('%(message)s %(levelno)d'), lambda v: [v.format(get('logging', 'LogRecord')('n', 20, 'f', 1, 'm', (), None))])
standard('filter of a log', lambda: get('logging', 'Filter')('shop'), lambda v: [bool(v.filter(get('logging', 'LogRecord')('shop.x', 20, 'f', 1, 'm', (), None)))])
standard('logger', lambda: get('logging', 'getLogger')('shop.x'), lambda v: [v.name, v is get('logging', 'getLogger')('shop.x')])
standard('configuration', lambda: set_up(found('configparser ConfigParser', 'RawConfigParser')(), lambda v: v.add_section('s'), lambda v: v.set('s', 'k', 'v')), lambda v: [v.get('s', 'k'), v.sections()])
standard('configuration of today', lambda: set_up(get('configparser', 'ConfigParser')(), lambda v: v.read_dict({'s': {'k': '%(d)s', 'd': 'x'}})), lambda v: [v['s']['k'], v.getint('s', 'n', fallback=3)])
standard('finished process', lambda: get('subprocess', 'CompletedProcess')(['ls'], 0, b'out'), lambda v: [v.args, v.returncode, v.stdout])
standard('calendar', lambda: get('calendar', 'Calendar')(6), lambda v: [v.getfirstweekday(), list(v.iterweekdays())])
standard('month', lambda: get('calendar', 'Month').MARCH, lambda v: [int(v), v.name])
standard('day of the week', lambda: get('calendar', 'SUNDAY'), lambda v: [int(v)])
standard('types of files', lambda: get('mimetypes', 'MimeTypes')(), lambda v: [v.guess_type('a.html')[0]])
standard('translations', lambda: get('gettext', 'NullTranslations')(), lambda v: [v.gettext(u'x')])
standard('sorter', lambda: get('graphlib', 'TopologicalSorter')({1: [2], 2: []}), lambda v: [list(v.static_order())])
standard('counted', lambda: collections.Counter(u'abracadabra'), lambda v: [v.most_common(1), v[u'zz']])
standard('layers', lambda: get('collections', 'ChainMap')({u'a': 1}, {u'a': 2, u'b': 3}), lambda v: [v[u'a'], v[u'b'], len(v)])
for name, args in [('UserDict', ({u'a': 1},)), ('UserList', ([1, 2],)), ('UserString', (u'abc',))]:
    standard(name, lambda name=name, args=args: found('collections ' + name, name)(*args), lambda v: [len(v), u'a' in v, v.data])
standard('text in memory', lambda: set_up(io.StringIO(u'a\nb'), lambda v: v.readline()), lambda v: [v.read(), v.getvalue()])
standard('bytes in memory', lambda: set_up(io.BytesIO(b'abc'), lambda v: v.read(1)), lambda v: [v.read(), v.tell()])

# Named tuples

for name, modules, kind, args in [
        ('token', 'tokenize', 'TokenInfo', (1, 'x', (1, 0), (1, 1), 'x')), ('arguments of a function', 'inspect', 'FullArgSpec', (['a'], None, None, None, [], None, {})),
        ('attribute', 'inspect', 'Attribute', ('a', 'data', int, 3)), ('match', 'difflib', 'Match', (1, 2, 3)), ('tests', 'doctest', 'TestResults', (0, 5)),
        ('usage of a disk', 'shutil', '_ntuple_diskusage', (3, 2, 1)), ('info of a cache', 'functools', '_CacheInfo', (1, 2, 3, 4)),
        ('key of a selector', 'selectors', 'SelectorKey', (1, 2, 3, None)), ('paths of TLS', 'ssl', 'DefaultVerifyPaths', ('a', 'b', 'c', 'd', 'e', 'f')),
        ('event', 'sched', 'Event', (1, 2, 3, (), {})), ('frame of an inspection', 'inspect', 'FrameInfo', (None, 'f', 3, 'g', [], 0)),
        ('user', 'pwd', 'struct_passwd', (('u', 'x', 1, 2, 'g', '/', 'sh'),)), ('slope', 'statistics', 'LinearRegression', (1.0, 2.0)),
        ('rate', 'urllib.robotparser', 'RequestRate', (1, 2)), ('clock', 'time', 'struct_time', ((2024, 1, 2, 3, 4, 5, 6, 7, 0),)),
]:
    standard('tuple: ' + name, made(modules, kind, *args), list)

# Enumerations, signatures, types

for name, make in [
        ('signal', lambda: get('signal', 'Signals').SIGTERM), ('family of sockets', lambda: get('socket', 'AddressFamily').AF_INET), ('kind of sockets', lambda: get('socket', 'SOCK_STREAM')),
        ('flag of patterns', lambda: get('re', 'RegexFlag').IGNORECASE), ('two flags of patterns', lambda: re.I | re.M), ('version of TLS', lambda: get('ssl', 'TLSVersion').TLSv1_2),
        ('option of TLS', lambda: get('ssl', 'OP_NO_TLSv1')), ('kind of parameter', lambda: get('inspect', '_ParameterKind').KEYWORD_ONLY), ('format of a list', lambda: get('plistlib', 'FMT_XML')),
        ('usage', lambda: get('uuid', 'SafeUUID').unknown), ('check of enums', lambda: get('enum', 'EnumCheck').UNIQUE), ('boundary', lambda: get('enum', 'FlagBoundary').KEEP),
        ('kind of bytes', lambda: get('inspect', 'BufferFlags').SIMPLE),
]:
    standard('member: ' + name, make, lambda v: [int(v)] if isinstance(v, int) else [v.value, v.name])


def f(a, b=2, *args, **more):
    """Not pickled itself."""


standard('signature', lambda: get('inspect', 'signature')(f), lambda v: [text(v), list(v.parameters)])
standard('parameter', lambda: get('inspect', 'Parameter')('a', get('inspect', 'Parameter').KEYWORD_ONLY, default=3), lambda v: [v.name, v.default, text(v)])
for name, make in [('optional', lambda: get('typing', 'Optional')[int]), ('list', lambda: get('typing', 'List')[int]), ('dict', lambda: get('typing', 'Dict')[str, int]),
                   ('any', lambda: get('typing', 'Any')), ('callable', lambda: get('typing', 'Callable')[[int], str]), ('literal', lambda: get('typing', 'Literal')['a', 1]),
                   ('annotated', lambda: get('typing', 'Annotated')[int, 3]), ('variable', lambda: get('typing', 'AnyStr')), ('tuple', lambda: get('typing', 'Tuple')[int, Ellipsis]),
                   ('final', lambda: get('typing', 'Final')[int]), ('required', lambda: get('typing', 'Required')[int])]:
    standard('type: ' + name, make, lambda v: [str(v).replace('Union[int, NoneType]', 'Optional[int]').replace('int | None', 'typing.Optional[int]')])
standard('type: list of today', lambda: list[int], lambda v: [str(v), v.__args__])
standard('type: union of today', lambda: int | str, lambda v: [isinstance(3, v), isinstance(2.5, v)])
standard('type: none', lambda: [type(None), type(Ellipsis), type(NotImplemented)], lambda v: [kind.__name__.lower() for kind in v])
standard('singletons', lambda: [Ellipsis, NotImplemented], lambda v: [v[0] is Ellipsis, v[1] is NotImplemented])
standard('frozen dict', lambda: found('builtins', 'frozendict')({u'a': 1}), lambda v: [v[u'a'], len(v)])

# What is called, and iterators

for name, make, use in [
        ('partial', lambda: functools.partial(int, base=2), lambda v: [v('101')]), ('partial with attributes', lambda: set_up(functools.partial(max, 3), lambda v: setattr(v, 'note', u'x')), lambda v: [v(5), v.note]),
        ('partial with a gap', lambda: functools.partial(divmod, get('functools', 'Placeholder'), 2), lambda v: [v(7)]),
        ('partial method', lambda: get('functools', 'partialmethod')(int, base=2), lambda v: [v.keywords]),
        ('getter of items', lambda: operator.itemgetter(1, 0), lambda v: [v(u'ab')]), ('getter of an item', lambda: operator.itemgetter(u'a'), lambda v: [v({u'a': 5})]),
        ('getter of attributes', lambda: operator.attrgetter('real', 'imag'), lambda v: [v(3 + 4j)]), ('getter in depth', lambda: operator.attrgetter('real.imag'), lambda v: [v(3)]),
        ('caller', lambda: operator.methodcaller('split', u','), lambda v: [v(u'a,b')]), ('caller by name', lambda: operator.methodcaller('encode', encoding='ascii'), lambda v: [v(u'a')]),
        ('method of a text', lambda: u', '.join, lambda v: [v([u'a', u'b'])]), ('method of a list', lambda: [3, 4].index, lambda v: [v(4)]), ('method of a class', lambda: dict.fromkeys, lambda v: [v([1])]),
        ('method of a day', lambda: Day.fromordinal, lambda v: [v(700000)]), ('descriptor', lambda: str.upper, lambda v: [v('a')]), ('made from bytes', lambda: int.from_bytes, lambda v: [v(b'\x01', 'big')]),
        ('function', lambda: get('posixpath', 'join'), lambda v: [v('a', 'b')]), ('function in C', lambda: get('math', 'sqrt'), lambda v: [v(9)]), ('function of bytes', lambda: get('binascii', 'hexlify'), lambda v: [v(b'a')]),
        ('quoting', names('urllib.parse urllib', 'quote_plus'), lambda v: [v('a b')]), ('escaping', names('html cgi', 'escape'), lambda v: [v('<')]), ('old clock', names('time', 'clock'), lambda v: [v() >= 0]),
        ('classes', lambda: [collections.Counter, collections.OrderedDict, Decimal, uuid.UUID], lambda v: [v[0]('aa')['a'], v[3](int=1).int]),
        ('old classes', lambda: [found('UserDict', 'DictMixin')], lambda v: [len(v)]), ('text', lambda: [text, int, bytes], lambda v: [v[0](3), v[1]('3')]),
        ('sentinel', object, lambda v: [type(v) is object]),
]:
    standard('callable: ' + name, make, use)
for name, make in [
        ('list', lambda: set_up(iter([1, 2, 3]), next)), ('tuple', lambda: iter((1, 2))), ('range', lambda: iter(range(4))), ('text', lambda: iter(u'abc')), ('reversed', lambda: reversed([1, 2])),
        ('dict', lambda: iter({u'a': 1})), ('count', lambda: itertools.count(5, 2)), ('cycle', lambda: itertools.cycle([1, 2])), ('repeat', lambda: itertools.repeat(u'x', 3)),
        ('chain', lambda: itertools.chain([1], [2])), ('enumerate', lambda: enumerate([u'a'])), ('zip', lambda: zip([1], [2])), ('map', lambda: map(str, [1, 2])),
        ('islice', lambda: itertools.islice([1, 2, 3], 1, None)), ('product', lambda: itertools.product([1, 2], [3])), ('filter', lambda: filter(None, [0, 1])),
]:
    standard('iterator: ' + name, make, listed)
standard('range', lambda: range(1, 10, 3), list)
standard('slice', lambda: slice(1, None, 2), lambda v: [list(range(6))[v]])
standard('pattern', lambda: re.compile(u'(?P<y>\\d+)-(?P<m>\\d+)', re.I), lambda v: [v.match(u'2024-02').groupdict(), v.pattern])
standard('pattern of bytes', lambda: re.compile(b'a+'), lambda v: [v.findall(b'aab')])
standard('numbers in an array', lambda: get('array', 'array')('i', [1, -2]), lambda v: [list(v), v.typecode])
standard('characters in an array', lambda: get('array', 'array')('u', u'ab'), lambda v: [v.tounicode()])
standard('characters of today in an array', lambda: get('array', 'array')('w', u'ab'), lambda v: [v.tounicode()])

import unseen_applications  # noqa: E402,F401
import unseen_libraries  # noqa: E402,F401

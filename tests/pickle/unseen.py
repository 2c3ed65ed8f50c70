# -*- coding: utf-8 -*-
"""Records pickles of values that no other record has, to see what the built-in deny
list refuses of them: it was not made with these. With any Python 3:

    unseen.py record PYTHONS RECORD

PYTHONS is a directory of virtual environments that have the libraries below, RECORD is
what is written: a line for each pickle, with its cases and who wrote it. The same file
on Python 2.7 and 3 writes them; a value that raises is not to be had there.
"""
from __future__ import print_function

import base64
import collections
import datetime
import functools
import importlib
import io
import json
import os
import pickle
import subprocess
import sys
import types

CASES = collections.OrderedDict()
When = datetime.datetime


def get(path):
    """What a dotted path is: `module:name.name`."""
    module, _, names = path.partition(':')
    found = importlib.import_module(module)
    return functools.reduce(getattr, names.split('.'), found) if names else found


def case(name, make):
    assert name not in CASES, name
    CASES[name] = make


def called(path, *args, **kwargs):
    case('%s %d' % (path, len(CASES)), lambda: get(path)(*args, **kwargs))


def then(name, path, *steps):
    """An instance after some steps."""
    def make():
        value = get(path)()
        for step in steps:
            step(value)
        return value
    case(name, make)


def raised(name, action):
    def make():
        try:
            action()
        except Exception as error:
            return error
        raise ValueError('nothing was raised')
    case(name, make)


# The standard library --------------------------------------------------------

called('string:Template', '$a and $b')
called('zipfile:ZipInfo', 'a/b.txt', (2024, 1, 2, 3, 4, 6))
called('tarfile:TarInfo', 'a.txt')
called('ipaddress:ip_interface', u'10.0.0.1/8')
called('ipaddress:ip_network', u'fe80::/64')
called('ipaddress:ip_address', u'::1')
called('uuid:uuid5', get('uuid:NAMESPACE_DNS'), 'example.org')
called('fractions:Fraction', 22, 7)
called('decimal:Context', prec=7)
called('decimal:getcontext')
called('decimal:localcontext')
called('array:array', 'd', [1.5, 2.5])
called('array:array', 'H', range(3))
called('collections:deque', [1, 2], 5)
called('collections:ChainMap', {1: 2}, {3: 4})
called('collections:UserList', [1])
called('collections:UserString', 'x')
called('UserDict:UserDict', {1: 2})
called('collections:defaultdict', dict, {1: {2: 3}})
called('collections:defaultdict', functools.partial(int, '7'))
called('collections:Counter', 'abracadabra')
called('datetime:timezone', datetime.timedelta(hours=-7), 'MST')
called('zoneinfo:ZoneInfo', 'Asia/Kathmandu')
case('aware time', lambda: datetime.time(1, 2, tzinfo=get('datetime:timezone.utc')))
case('aware in zone', lambda: When(2024, 3, 31, 2, 30, tzinfo=get('zoneinfo:ZoneInfo')('Europe/Zurich'), fold=1))
called('calendar:HTMLCalendar', 3)
called('time:gmtime', 86400)
called('os:stat', '/')
called('os:statvfs', '/')
called('os:times')
called('os:uname')
called('shutil:disk_usage', '/')
called('platform:uname')
called('resource:getrusage', 0)
called('pwd:getpwnam', 'root')
called('grp:getgrgid', 0)
called('sys:exc_info')
case('version', lambda: sys.version_info)
case('float info', lambda: sys.float_info)
case('hash info', lambda: sys.hash_info)
called('urllib.parse:urlsplit', 'https://u@h.example:8443/p;x?q=1#f')
called('urllib.parse:urldefrag', 'https://a/b#c')
called('urlparse:urlparse', 'https://u@h.example:8443/p;x?q=1#f')
called('urllib.parse:urlsplit', b'https://u@h/p')
called('http.cookies:SimpleCookie', 'a=b; path=/')
called('http.cookiejar:CookieJar')
called('http.cookiejar:DefaultCookiePolicy')
case('status', lambda: get('http:HTTPStatus').IM_A_TEAPOT)
case('method', lambda: get('http:HTTPMethod').PATCH)
called('email.message:EmailMessage')
case('composed mail', lambda: composed())
called('email.mime.text:MIMEText', u'gr\xfc\xdfe', 'plain', 'utf-8')
called('email.mime.multipart:MIMEMultipart', 'related')
called('email.mime.image:MIMEImage', b'\x89PNG\r\n\x1a\n', 'png')
called('email.utils:parsedate', 'Mon, 20 Nov 1995 19:12:08 -0500')
called('email.utils:parsedate_to_datetime', 'Mon, 20 Nov 1995 19:12:08 -0500')
called('email.headerregistry:Address', 'A B', 'a', 'b.example')
case('policy', lambda: get('email.policy:SMTP'))
called('email.charset:Charset', 'utf-8')
called('email.header:Header', u'\xe4', 'utf-8')
called('csv:Sniffer')
called('json:JSONEncoder', indent=2)
called('json:JSONDecoder')
raised('json error', lambda: json.loads('{'))
raised('xml error', lambda: get('xml.etree.ElementTree:fromstring')('<a'))
raised('unicode error', lambda: b'\xff'.decode('utf-8'))
raised('encode error', lambda: u'\xff'.encode('ascii'))
raised('key error', lambda: {}[u'x'])
raised('os error', lambda: open('/nonexistent/x'))
raised('zero', lambda: 1 // 0)
raised('import', lambda: importlib.import_module('no_such_module'))
raised('attribute', lambda: object().x)
raised('decimal', lambda: get('decimal:Decimal')('x'))
raised('assert', lambda: (_ for _ in ()).throw(AssertionError('no')))
raised('struct', lambda: get('struct:unpack')('>I', b''))
raised('zlib', lambda: get('zlib:decompress')(b'x'))
raised('binascii', lambda: get('binascii:unhexlify')('abc'))
raised('called process', lambda: subprocess.check_call(['false']))
raised('configparser', lambda: get('configparser:ConfigParser')().get('a', 'b'))
raised('ConfigParser', lambda: get('ConfigParser:ConfigParser')().get('a', 'b'))
raised('re', lambda: get('re:compile')('('))
raised('json type', lambda: json.dumps(object()))
raised('sqlite', lambda: get('sqlite3:connect')(':memory:').execute('nonsense'))
raised('socket', lambda: get('socket:create_connection')(('127.0.0.1', 1), 0.01))
raised('ssl', lambda: get('ssl:create_default_context')(cafile='/nonexistent'))
raised('queue', lambda: get('queue:Queue')().get_nowait())
raised('timeout', lambda: get('concurrent.futures:Future')().result(0))
raised('group', lambda: get('builtins:ExceptionGroup')('x', [ValueError(1)]))
called('urllib.error:URLError', 'refused')
called('urllib2:URLError', 'refused')
called('socket:gaierror', -2, 'Name or service not known')
called('socket:timeout', 'timed out')
called('subprocess:CompletedProcess', ['ls'], 0, b'x', None)
called('subprocess:TimeoutExpired', 'x', 3)
called('smtplib:SMTPAuthenticationError', 535, b'no')
called('http.client:IncompleteRead', b'x', 5)
called('http.client:HTTPException', 'x')
called('httplib:BadStatusLine', 'x')
called('sqlite3:IntegrityError', 'UNIQUE')
called('xmlrpc.client:Fault', 1, 'x')
called('xmlrpc.client:DateTime', '20240101T00:00:00')
called('xmlrpc.client:Binary', b'x')
called('xmlrpclib:DateTime', '20240101T00:00:00')
called('plistlib:UID', 3)
called('re:compile', u'(?i)a+b')
called('re:compile', b'x', 2)
case('regex flag', lambda: get('re:VERBOSE') | get('re:ASCII'))
called('random:Random', 3)
called('random:SystemRandom')
called('secrets:SystemRandom')
called('hashlib:md5')
called('itertools:count', 5, 2)
called('itertools:cycle', [1, 2])
called('itertools:chain', [1], [2])
called('itertools:islice', [1, 2, 3], 1, 3)
called('itertools:accumulate', [1, 2])
called('itertools:groupby', [1, 1, 2])
called('itertools:zip_longest', [1], [2, 3])
called('itertools:permutations', [1, 2, 3])
called('itertools:combinations', [1, 2, 3], 2)
called('itertools:product', [1, 2], 'ab')
called('itertools:repeat', 'x', 3)
called('itertools:compress', 'abc', [1, 0, 1])
called('itertools:takewhile', bool, [1, 0])
called('itertools:dropwhile', bool, [0, 1])
called('itertools:filterfalse', None, [0, 1])
called('itertools:starmap', pow, [(2, 3)])
called('itertools:pairwise', [1, 2, 3])
called('itertools:batched', [1, 2, 3], 2)
called('itertools:tee', [1, 2])
case('map', lambda: map(str, [1, 2]))
case('map of upper', lambda: map(str.upper, ['a']))
case('filter', lambda: filter(None, [0, 1]))
case('zip', lambda: zip([1], [2]))
case('enumerate', lambda: enumerate(['a'], 1))
case('reversed', lambda: reversed([1, 2]))
case('iterator', lambda: iter([1, 2]))
case('dict iterator', lambda: iter({1: 2}))
case('set iterator', lambda: iter(set([1])))
case('str iterator', lambda: iter('ab'))
case('bytes iterator', lambda: iter(bytearray(b'ab')))
case('range iterator', lambda: iter(range(3)))
case('deque iterator', lambda: iter(collections.deque([1])))
case('sentinel', lambda: iter(int, 1))
case('range', lambda: range(2, 20, 3))
case('slice', lambda: slice(1, None, 2))
case('memory', lambda: bytearray(b'abc'))
case('complex', lambda: 1 - 2j)
case('frozen', lambda: frozenset([(1, u'a'), None]))
case('ellipsis', lambda: Ellipsis)
case('not implemented', lambda: NotImplemented)
case('none type', lambda: type(None))
case('types', lambda: [int, str, list, dict, bytes, float, object, type, set])
case('generic', lambda: list[int])
case('generic 2', lambda: dict[str, list[int]])
case('union', lambda: int | None)
case('union of generics', lambda: list[int] | dict[str, int] | None)
case('typing', lambda: [get('typing:Optional')[int], get('typing:Dict')[str, int], get('typing:Any')])
case('typing callable', lambda: get('typing:Callable')[[int], str])
case('typing literal', lambda: get('typing:Literal')['a', 1])
case('typing annotated', lambda: get('typing:Annotated')[int, 'x'])
case('typing nested', lambda: get('typing:List')[get('typing:Union')[int, get('typing:List')[str]]])
case('type variable', lambda: get('typing:AnyStr'))
called('types:SimpleNamespace', a=1)
called('types:MappingProxyType', {1: 2})
called('argparse:Namespace', a=1)
case('parser', lambda: get('argparse:ArgumentParser')('x'))
case('options', lambda: get('optparse:Values')({'a': 1}))
called('textwrap:TextWrapper', 40)
called('pprint:PrettyPrinter')
called('difflib:SequenceMatcher', None, 'ab', 'b')
called('difflib:ndiff', ['a'], ['b'])
called('statistics:NormalDist', 1, 2)
called('graphlib:TopologicalSorter', {1: [2]})
called('sched:Event', 1, 2, None, (), {})
called('functools:partial', int, '10', base=2)
called('functools:partial', sorted, reverse=True)
called('functools:partial', json.dumps, indent=2)
called('functools:partial', os.path.join, '/tmp')
called('functools:cmp_to_key', max)
called('operator:itemgetter', 1, 'a')
called('operator:attrgetter', 'a.b')
called('operator:methodcaller', 'strip', 'x')
case('functions', lambda: [len, max, sorted, json.loads, os.path.join, get('math:sqrt'), get('copy:deepcopy')])
case('bound', lambda: [].append)
case('bound of text', lambda: u'a'.upper)
case('bound of a class', lambda: When.fromtimestamp)
case('unbound', lambda: [str.lower, dict.get, list.append])
case('constructor', lambda: When.now)
called('pathlib:PurePosixPath', '/a/b')
called('pathlib:Path', 'a')
called('io:BytesIO', b'abc')
called('io:StringIO', u'abc')
called('StringIO:StringIO', 'abc')
called('cStringIO:StringIO', 'abc')
called('xml.dom.minidom:parseString', '<a b="c">d</a>')
called('xml.etree.ElementTree:fromstring', '<a b="c">d</a>')
called('xml.etree.ElementTree:Element', 'a', b='c')
called('xml.sax.xmlreader:AttributesImpl', {'a': 'b'})
called('html.parser:HTMLParser')
called('configparser:ConfigParser')
called('logging:LogRecord', 'a', 20, 'p', 3, 'm %s', ('x',), None)
called('logging:Formatter', '%(message)s')
case('logger', lambda: get('logging:getLogger')('x.y'))
called('logging:Filter', 'x')
called('threading:local')
called('queue:SimpleQueue')
called('enum:IntEnum', 'Colour', 'RED GREEN')
case('signal', lambda: get('signal:Signals').SIGTERM)
case('socket enum', lambda: get('socket:AF_INET'))
called('socket:getaddrinfo', '127.0.0.1', 80)
case('inspect', lambda: get('inspect:signature')(json.dumps))
case('parameter', lambda: get('inspect:Parameter')('a', get('inspect:Parameter.KEYWORD_ONLY'), default=3))
case('traceback', lambda: get('traceback:extract_stack')())
case('warning', lambda: [UserWarning('x'), DeprecationWarning('y')])
case('code ast', lambda: get('ast:parse')('a + 1'))
case('field', lambda: get('dataclasses:field')(default=3))
called('contextlib:nullcontext', 3)
called('contextlib:suppress', ValueError)
called('weakref:WeakValueDictionary')
called('mimetypes:MimeTypes')
called('gettext:NullTranslations')
called('locale:localeconv')
called('codecs:lookup', 'utf-8')
called('urllib.request:Request', 'http://a/')
called('urllib2:Request', 'http://a/')
called('urllib.robotparser:RobotFileParser')
called('sqlite3:Row')
called('cmd:Cmd')
called('shlex:shlex', 'a b')
called('symtable:symtable', 'a', 'b', 'exec')
called('tomllib:loads', 'a = 1979-05-27T07:32:00Z')
called('wave:Error', 'x')
called('copy:copy', {1: 2})
called('bisect:bisect', [1], 2)
called('sets:Set', [1, 2])
called('rfc822:parsedate', 'Mon, 20 Nov 1995 19:12:08 -0500')
called('Cookie:SimpleCookie', 'a=b')
called('cookielib:CookieJar')
called('HTMLParser:HTMLParser')
called('new:classobj', 'X', (), {})

# Libraries -------------------------------------------------------------------

for word in 'int8 uint16 float32 complex64 bool U5 S5 M8[ns] m8[D] O'.split():
    case('numpy zeros ' + word, functools.partial(lambda word: get('numpy:zeros')((2, 2), word), word))
    case('numpy scalar ' + word, functools.partial(lambda word: get('numpy:zeros')(1, word)[0], word))
    case('numpy type ' + word, functools.partial(lambda word: get('numpy:dtype')(word), word))
case('numpy records', lambda: get('numpy:array')([(1, 'a')], dtype=[('n', 'i4'), ('s', 'U3')])[0])
called('numpy:asfortranarray', [[1, 2], [3, 4]])
called('numpy:broadcast_to', [1], (2, 1))
called('numpy.ma:masked_equal', [1, 2], 2)
case('numpy masked', lambda: get('numpy.ma:masked'))
called('numpy:poly1d', [1, 0])
called('numpy.polynomial:Polynomial', [1, 2])
called('numpy.random:RandomState', 3)
called('numpy.random:default_rng', 3)
called('numpy.random:SeedSequence', 3)
called('numpy.random:Philox', 3)
called('numpy:finfo', 'f8')
called('numpy:iinfo', 'i4')
called('numpy:busdaycalendar')
called('numpy:vectorize', abs)
called('numpy:memmap', '/etc/hostname')
called('numpy.char:array', ['a'])
called('numpy:nditer', [1])
case('numpy functions', lambda: [get('numpy:mean'), get('numpy:add'), get('numpy:float32')])
raised('numpy error', lambda: get('numpy.linalg:inv')([[0, 0], [0, 0]]))
raised('numpy axis', lambda: get('numpy:sum')([1], axis=3))

PD = lambda name: get('pandas:' + name)
case('pandas frame', lambda: PD('DataFrame')({'a': [1, None], 'b': ['x', u'\xe9'], 'c': PD('to_datetime')(['2024-01-01', None])}))
case('pandas grouped', lambda: PD('DataFrame')({'a': [1, 1, 2], 'b': [1, 2, 3]}).groupby('a').agg(['sum', 'mean']))
case('pandas group by', lambda: PD('DataFrame')({'a': [1]}).groupby('a'))
case('pandas pivot', lambda: PD('DataFrame')({'a': [1, 1], 'b': ['x', 'y'], 'c': [1., 2.]}).pivot(index='a', columns='b', values='c'))
case('pandas described', lambda: PD('Series')([1, 2, 3]).describe())
case('pandas multi', lambda: PD('Series')([1, 2], index=PD('MultiIndex').from_tuples([('a', 1), ('b', 2)], names=['x', 'y'])))
case('pandas periods', lambda: PD('period_range')('2024-01', periods=3, freq='M').to_series())
case('pandas intervals', lambda: PD('cut')([1, 5, 9], 3))
case('pandas strings', lambda: PD('Series')(['a', None], dtype='string'))
case('pandas nullable', lambda: PD('array')([1, None], dtype='Int16'))
case('pandas arrow', lambda: PD('array')([1, None], dtype='int64[pyarrow]'))
case('pandas sparse', lambda: PD('arrays').SparseArray([0, 0, 1.5]))
case('pandas zone', lambda: PD('date_range')('2024-01-01', periods=2, tz='Europe/Zurich', freq='h'))
case('pandas stamp', lambda: PD('Timestamp')('2024-02-29 12:00', tz='America/New_York'))
case('pandas delta', lambda: PD('Timedelta')('3 days 2h'))
case('pandas offsets', lambda: [PD('offsets').MonthEnd(3), PD('offsets').CustomBusinessDay(holidays=['2024-01-01']), PD('DateOffset')(months=1)])
case('pandas rolling', lambda: PD('Series')([1, 2]).rolling(2))
case('pandas NA', lambda: [PD('NA'), PD('NaT')])
case('pandas indexer', lambda: PD('IndexSlice'))
case('pandas grouper', lambda: PD('Grouper')(freq='D'))
raised('pandas error', lambda: PD('to_datetime')('nonsense'))

called('dateutil.tz:gettz', 'Europe/Zurich')
called('dateutil.tz:tzutc')
called('dateutil.tz:tzoffset', 'X', 3600)
called('dateutil.tz:tzlocal')
called('dateutil.tz:tzrange', 'EST', -18000)
called('dateutil.relativedelta:relativedelta', months=1, weekday=2)
called('dateutil.rrule:rrule', 3, dtstart=When(2024, 1, 1), count=3)
called('dateutil.parser:parse', '2024-01-01T00:00:00+02:00')
called('dateutil.easter:easter', 2024)
case('dateutil weekday', lambda: get('dateutil.relativedelta:MO')(-1))
raised('dateutil error', lambda: get('dateutil.parser:parse')('x'))
called('pytz:timezone', 'Europe/Zurich')
called('pytz:FixedOffset', 90)
case('pytz', lambda: get('pytz:utc').localize(When(2024, 1, 1)))
case('pytz local', lambda: get('pytz:timezone')('US/Eastern').localize(When(2024, 7, 1)))
raised('pytz error', lambda: get('pytz:timezone')('x'))
called('isodate:parse_duration', 'P1Y2M')
called('arrow:get', '2024-01-01')
called('pendulum:datetime', 2024, 1, 1, tz='Europe/Paris')
called('pendulum:duration', days=3)
called('pendulum:interval', When(2024, 1, 1), When(2024, 1, 2))
called('whenever:Instant.from_utc', 2024, 1, 1)
called('whenever:ZonedDateTime', 2024, 1, 1, tz='Asia/Tokyo')
called('babel:Locale', 'de', 'CH')
called('babel.messages:Catalog')
called('phonenumbers:parse', '+41446681800')
called('simplejson:loads', '{"a": 1.5}', use_decimal=True)
raised('simplejson error', lambda: get('simplejson:loads')('{'))
called('msgpack:Timestamp', 1, 2)
called('msgpack:ExtType', 1, b'x')
called('markupsafe:Markup', u'<b>')
called('markupsafe:escape', u'<b>')
called('jinja2:Undefined', name='x')
raised('jinja2 error', lambda: get('jinja2:Template')('{{'))
called('bs4:BeautifulSoup', '<p class="a">x</p>', 'html.parser')
case('bs4 text', lambda: get('bs4:BeautifulSoup')('<p>x</p>', 'html.parser').p.string)
called('lxml.etree:fromstring', '<a/>')
called('lxml.objectify:fromstring', '<a><b>1</b></a>')
called('requests:Response')
called('requests:Request', 'GET', 'http://a/')
called('requests:Session')
called('requests.structures:CaseInsensitiveDict', {'A': 'b'})
called('requests.cookies:RequestsCookieJar')
called('requests.exceptions:ConnectTimeout', 'x')
called('requests.auth:HTTPBasicAuth', 'a', 'b')
called('urllib3:Retry', 3)
called('urllib3.util:Timeout', 3)
called('urllib3:HTTPHeaderDict', {'a': 'b'})
called('urllib3.exceptions:ProtocolError', 'x')
called('httpx:URL', 'http://a/')
called('httpx:Headers', {'a': 'b'})
called('httpx:Timeout', 3)
called('httpx:Request', 'GET', 'http://a/')
called('yarl:URL', 'http://a/b?c=d')
called('multidict:CIMultiDict', {'a': 'b'})
called('multidict:MultiDict', [('a', 1)])
called('multidict:istr', 'A')
called('werkzeug.datastructures:MultiDict', [('a', 1)])
called('werkzeug.datastructures:Headers', [('a', 'b')])
called('werkzeug.datastructures:ImmutableDict', a=1)
called('werkzeug.exceptions:NotFound')
called('itsdangerous:BadSignature', 'x')
called('click:Path')
called('click:UsageError', 'x')
called('redis:Redis')
called('redis.exceptions:ConnectionError', 'x')
called('celery:signature', 'a.b', (1,))
case('celery chain', lambda: get('celery:chain')(get('celery:signature')('a'), get('celery:signature')('b')))
called('celery.result:AsyncResult', 'x', app=None)
called('celery.exceptions:Retry', 'x')
called('celery.schedules:crontab', minute=3)
called('kombu:Queue', 'x')
called('kombu:Exchange', 'x')
called('sortedcontainers:SortedDict', {2: 1, 1: 2})
called('sortedcontainers:SortedList', [2, 1])
called('sortedcontainers:SortedSet', [2, 1])
called('frozendict:frozendict', {1: 2})
called('pyrsistent:pmap', {1: 2})
called('pyrsistent:pvector', [1])
called('pyrsistent:pset', [1])
called('immutables:Map', {1: 2})
called('networkx:path_graph', 3)
called('networkx:DiGraph', [(1, 2)])
called('sympy:sympify', 'x**2 + 1')
called('sympy:Rational', 1, 3)
called('sympy:Matrix', [[1, 2]])
called('mpmath:mpf', '1.5')
called('shapely:Point', 1, 2)
called('shapely:Polygon', [(0, 0), (1, 0), (1, 1)])
called('geopy:Point', 1, 2)
called('geopy.distance:Distance', 3)
called('PIL.Image:new', 'RGB', (2, 2))
called('yaml:safe_load', 'a: 2024-01-01')
raised('yaml error', lambda: get('yaml:safe_load')('{'))
called('attr:Factory', list)
case('attr nothing', lambda: get('attr:NOTHING'))
case('attr fields', lambda: get('attr:fields')(app().Point))
case('attr instance', lambda: app().Point(1, 2))
case('attr frozen', lambda: app().Frozen(1))
case('attr validator', lambda: get('attr.validators:instance_of')(int))
case('pydantic model', lambda: app().Model(a=1, b=['x'], c=When(2024, 1, 1)))
case('pydantic url', lambda: get('pydantic:TypeAdapter')(get('pydantic:HttpUrl')).validate_python('http://a/'))
called('pydantic:SecretStr', 'x')
called('pydantic:FieldInfo')
raised('pydantic error', lambda: app().Model(a='x'))
called('marshmallow:ValidationError', 'x')
called('marshmallow.fields:Integer')
case('dataclass', lambda: app().Data(1, [2]))
case('dataclass slots', lambda: app().Slotted(1))
case('enumeration', lambda: [app().Colour.RED, app().Flags.A | app().Flags.B])
case('named tuple', lambda: app().Pair(1, 'x'))
case('nested class', lambda: app().Outer.Inner())
case('keyword only', lambda: app().Keyword(a=1))
case('list subclass', lambda: app().Rows([1, 2]))
case('dict subclass', lambda: app().Table(a=1))
case('set subclass', lambda: app().Bag([1]))
case('int subclass', lambda: app().Number(7))
case('own error', lambda: app().Problem('x', 3))
case('classic', lambda: app().Classic())
case('recursive', lambda: recursive())
case('recursive in a set', lambda: recursive_set())
case('recursive list subclass', lambda: recursive_rows())
case('method of an instance', lambda: app().Outer.Inner().run)
case('class method', lambda: app().Outer.Inner.make)
case('descriptor', lambda: app().Outer.Inner.run)
case('shared', lambda: (lambda x: [x, x, {u'x': x}])(app().Rows([app().Pair(1, 2)])))
case('partial of a method', lambda: functools.partial(app().Outer.Inner().run, 3))

case('sqlalchemy row', lambda: query('row'))
case('sqlalchemy object', lambda: query('object'))
case('sqlalchemy rows', lambda: query('rows'))
case('sqlalchemy column', lambda: get('sqlalchemy:Column')('a', get('sqlalchemy:Integer')))
case('sqlalchemy table', lambda: get('sqlalchemy:Table')('t', get('sqlalchemy:MetaData')(), get('sqlalchemy:Column')('a', get('sqlalchemy:String')(5))))
case('sqlalchemy select', lambda: get('sqlalchemy:text')('select 1'))
case('sqlalchemy expression', lambda: get('sqlalchemy:column')('a') > 3)
raised('sqlalchemy error', lambda: get('sqlalchemy:create_engine')('sqlite://').connect().execute(get('sqlalchemy:text')('x')))
case('sqlalchemy url', lambda: get('sqlalchemy.engine.url:make_url')('sqlite:///a'))
case('sqlalchemy types', lambda: [get('sqlalchemy:Numeric')(5, 2), get('sqlalchemy:Enum')('a', 'b'), get('sqlalchemy:JSON')()])

DJ = lambda path: (lambda: django()(path))
case('django user', lambda: django('django.contrib.auth.models:User')(username=u'x', email='a@b'))
case('django anonymous', lambda: django('django.contrib.auth.models:AnonymousUser')())
case('django deferred', lambda: stored().defer('email').get())
case('django related', lambda: django('django.contrib.auth.models:Permission').objects.select_related('content_type').first())
case('django queryset', lambda: list(stored()))
case('django lazy queryset', lambda: stored().filter(username__startswith='x').order_by('-id'))
case('django q', lambda: django('django.db.models:Q')(a=1) | ~django('django.db.models:Q')(b=2))
case('django f', lambda: django('django.db.models:F')('a') + 1)
case('django values', lambda: stored().values('id', 'username'))
case('django values list', lambda: stored().values_list('id', flat=True))
case('django annotated', lambda: stored().annotate(n=django('django.db.models:Count')('groups')))
case('django prefetch', lambda: django('django.db.models:Prefetch')('groups'))
case('django form', lambda: django('django.forms:Form')({}))
case('django field', lambda: django('django.forms:CharField')(max_length=3))
case('django model field', lambda: django('django.contrib.auth.models:User')._meta.get_field('email'))
case('django error', lambda: django('django.core.exceptions:ValidationError')({'a': ['b']}))
case('django missing', lambda: django('django.contrib.auth.models:User.DoesNotExist')('x'))
case('django lazy text', lambda: django('django.utils.translation:gettext_lazy')('x'))
case('django safe', lambda: django('django.utils.safestring:mark_safe')(u'<b>'))
case('django response', lambda: django('django.http:HttpResponse')(b'x', content_type='a/b'))
case('django json', lambda: django('django.http:JsonResponse')({'a': 1}))
case('django redirect', lambda: django('django.http:HttpResponseRedirect')('/x'))
case('django query dict', lambda: django('django.http:QueryDict')('a=1&a=2'))
case('django multi', lambda: django('django.utils.datastructures:MultiValueDict')({'a': [1]}))
case('django file', lambda: django('django.core.files.base:ContentFile')(b'x'))
case('django upload', lambda: django('django.core.files.uploadedfile:SimpleUploadedFile')('a', b'x'))
case('django page', lambda: django('django.core.paginator:Paginator')([1, 2, 3], 2).page(1))
case('django mail', lambda: django('django.core.mail:EmailMessage')('a', 'b', 'c@d', ['e@f']))
case('django session', lambda: django('django.contrib.sessions.backends.signed_cookies:SessionStore')())
case('django zone', lambda: django('django.utils.timezone:now')())
case('django validator', lambda: django('django.core.validators:RegexValidator')('a'))
case('django validators', lambda: [django('django.core.validators:validate_email'), django('django.core.validators:MaxValueValidator')(3)])
case('django choices', lambda: django('django.db.models:TextChoices')('Suit', 'A B'))
case('django content type', lambda: django('django.contrib.contenttypes.models:ContentType')(app_label='a', model='b'))
case('django group', lambda: django('django.contrib.auth.models:Group')(name='x'))
case('django message', lambda: django('django.contrib.messages.storage.base:Message')(20, 'x'))
case('django permission', lambda: django('django.contrib.auth.models:Permission')(name='x'))
case('rest data', lambda: django('rest_framework.utils.serializer_helpers:ReturnDict')({'a': 1}, serializer=None))
case('rest list', lambda: django('rest_framework.utils.serializer_helpers:ReturnList')([1], serializer=None))
case('rest error', lambda: django('rest_framework.exceptions:ValidationError')({'a': 'b'}))
case('rest detail', lambda: django('rest_framework.exceptions:ErrorDetail')('x', 'y'))


def composed():
    mail = get('email.message:EmailMessage')()
    mail['Subject'] = u'gr\xfc\xdfe'
    mail['To'] = 'A <a@b.example>'
    mail['Date'] = When(2024, 1, 1)
    mail.set_content('x')
    mail.add_attachment(b'x', maintype='a', subtype='b', filename='c')
    return mail


def recursive():
    node = app().Outer.Inner()
    node.me, node.all = node, [node, {u'x': node}]
    return node


def recursive_set():
    node = app().Outer.Inner()
    node.all = app().Bag([node])
    return node


def recursive_rows():
    rows = app().Rows()
    rows.append(rows)
    rows.note = (rows,)
    return rows


def app():
    """A module of an application, which only this program has."""
    if 'unseen_app' in sys.modules:
        return sys.modules['unseen_app']
    module = sys.modules['unseen_app'] = types.ModuleType('unseen_app')
    exec(APP, module.__dict__)
    for source in APP_3 if sys.version_info[0] > 2 else ():
        try:
            exec(source, module.__dict__)
        except Exception:
            pass
    return module


APP = u'''
import collections
class Outer(object):
    class Inner(object):
        def run(self, *args): pass
        @classmethod
        def make(cls): pass
Outer.Inner.__qualname__ = 'Outer.Inner'
class Rows(list): pass
class Table(dict): pass
class Bag(set): pass
class Number(int): pass
class Classic:
    def __init__(self): self.a = 1
class Problem(Exception):
    def __init__(self, message, code):
        Exception.__init__(self, message, code)
        self.code = code
class Keyword(object):
    def __new__(cls, **kwargs): return object.__new__(cls)
    def __getnewargs_ex__(self): return (), {'a': 1}
Pair = collections.namedtuple('Pair', 'a b')
try:
    import enum
    class Colour(enum.Enum):
        RED = 1
    class Flags(enum.IntFlag):
        A = 1
        B = 2
except Exception: pass
try:
    import attr
    @attr.s
    class Point(object):
        x = attr.ib(default=1)
        y = attr.ib(default=2, validator=attr.validators.instance_of(int))
    @attr.s(frozen=True, slots=True)
    class Frozen(object):
        x = attr.ib()
except ImportError: pass
'''
APP_3 = ['''
import dataclasses
@dataclasses.dataclass
class Data:
    a: int
    b: list
@dataclasses.dataclass(slots=True)
class Slotted:
    a: int
''', '''
import pydantic, datetime
class Model(pydantic.BaseModel):
    a: int
    b: list[str] if hasattr(list, '__class_getitem__') else list
    c: datetime.datetime = None
''']


def query(what):
    """What SQLAlchemy gives of a table with one row."""
    alchemy, orm = get('sqlalchemy'), get('sqlalchemy.orm')
    if 'unseen_mapped' not in sys.modules:
        module = sys.modules['unseen_mapped'] = types.ModuleType('unseen_mapped')
        base = getattr(orm, 'declarative_base', None) or get('sqlalchemy.ext.declarative:declarative_base')
        module.Base = base()
        module.Base.__module__ = 'unseen_mapped'
        module.Thing = type('Thing', (module.Base,), {
            '__module__': 'unseen_mapped', '__tablename__': 'thing',
            'id': alchemy.Column(alchemy.Integer, primary_key=True), 'name': alchemy.Column(alchemy.String(9))})
    module = sys.modules['unseen_mapped']
    engine = alchemy.create_engine('sqlite://')
    module.Base.metadata.create_all(engine)
    session = orm.sessionmaker(bind=engine)()
    session.add(module.Thing(id=1, name=u'x'))
    session.commit()
    if what == 'object':
        return session.query(module.Thing).one()
    rows = session.query(module.Thing.id, module.Thing.name).all()
    return rows if what == 'rows' else rows[0]


def django(path='django'):
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            SECRET_KEY='x', USE_TZ=True, INSTALLED_APPS=['django.contrib.auth', 'django.contrib.contenttypes'],
            DATABASES={'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}})
        get('django').setup()
        get('django.core.management:call_command')('migrate', verbosity=0)
    return get(path)


def stored():
    users = django('django.contrib.auth.models:User').objects
    users.get_or_create(username=u'x')
    return users.all()


def write(answers):
    for name, make in CASES.items():
        for protocol in sorted(set([0, 2, pickle.HIGHEST_PROTOCOL])):
            try:
                pickled = pickle.dumps(make(), protocol)
                pickle.loads(pickled)
            except Exception:
                continue
            print(json.dumps([name, protocol, base64.b64encode(pickled).decode()]), file=answers)
    answers.flush()


def record(pythons, path):
    import lzma

    rows = collections.OrderedDict()
    for python in sorted(os.listdir(pythons)):
        program = os.path.join(os.path.abspath(pythons), python, 'bin', 'python')
        if not os.path.exists(program):
            continue
        environment = dict(os.environ, PYTHONHASHSEED='0', PYTHONWARNINGS='ignore')
        command = [program, '-B', os.path.abspath(__file__), 'write']
        output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, timeout=120).stdout
        for line in output.decode().splitlines():
            name, protocol, pickled = json.loads(line)
            rows.setdefault((name, pickled), []).append('%s/%d' % (python, protocol))
    lines = [json.dumps({'case': name, 'by': by, 'b': pickled}, sort_keys=True) for (name, pickled), by in rows.items()]
    with open(path, 'wb') as file:
        file.write(lzma.compress('\n'.join(lines + ['']).encode(), preset=9 | lzma.PRESET_EXTREME))
    print('%d cases, %d pickles' % (len(set(name for name, _ in rows)), len(rows)))


if __name__ == '__main__':
    if sys.argv[1] == 'write':
        # What a library prints is not meant for the record.
        answers = os.fdopen(os.dup(1), 'w')
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        write(answers)
    else:
        record(*sys.argv[2:])

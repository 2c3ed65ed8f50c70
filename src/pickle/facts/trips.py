#!/usr/bin/env python3
"""Writes trips.txt beside itself: which instances of the standard library's classes,
pickled by one CPython, another gets as they were meant.

    trips.py [PYTHON...]

Asks the interpreters that it is given, or else all that names/generate.py finds. Each
pickles the values below at all its protocols, each loads what all have pickled, and says
what it got. A class came over from one version to another if every value that names it
did. What no interpreter of a run knows is kept as the file has it.

Under each interpreter this same file runs as the probe, which is why it keeps to what
Python 2.7 understands.
"""
from __future__ import print_function

import base64
import io
import json
import os
import pickle
import pickletools
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PATH = os.path.join(HERE, "trips.txt")
# Pickling itself writes calls of these: a value that fails is not their fault.
HELPERS = set("""copyreg._reconstructor copyreg.__newobj__ copyreg.__newobj_ex__ builtins.getattr
    _codecs.encode builtins.object builtins.dict builtins.list builtins.set builtins.frozenset
    builtins.tuple builtins.str builtins.bytes builtins.bytearray builtins.int builtins.float
    builtins.complex builtins.bool builtins.type functools.partial""".split())

# A value, and what to compare of it if not the value itself; v is the value. Names are
# those of Python 3, with `two` for what Python 2.7 calls otherwise.
CASES = """
datetime.date(2020, 2, 29) | v.isoformat()
datetime.date(1900, 1, 1) | v.isoformat()
datetime.datetime(2020, 2, 29, 23, 59, 58, 999999) | v.isoformat()
datetime.datetime(1, 1, 1) | v.isoformat()
datetime.datetime(2020, 2, 29, 12, tzinfo=datetime.timezone.utc) | v.isoformat()
datetime.datetime(2020, 2, 29, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=-3))) | v.isoformat()
datetime.datetime(2020, 10, 25, 2, 30, fold=1) | [v.isoformat(), v.fold]
datetime.time(13, 14, 15, 16) | v.isoformat()
datetime.time(9, 30) | v.isoformat()
datetime.timedelta(days=-3, seconds=5, microseconds=7) | [v.days, v.seconds, v.microseconds]
datetime.timedelta(0) | [v.days, v.seconds, v.microseconds]
datetime.timezone.utc | str(v)
datetime.tzinfo() | type(v).__name__
datetime.timezone(datetime.timedelta(hours=5, minutes=30), 'IST') | [str(v), str(v.utcoffset(None))]
decimal.Decimal('12.3400') | str(v)
decimal.Decimal('-Infinity') | str(v)
decimal.Decimal('NaN') | str(v)
decimal.Decimal('0E-9') | str(v)
decimal.Decimal(10) ** 40 | str(v)
decimal.Context(prec=7, rounding=decimal.ROUND_UP) | [v.prec, v.rounding, v.Emin, v.Emax]
decimal.InvalidOperation('no') | [type(v).__name__, list(v.args)]
fractions.Fraction(3, -7) | [v.numerator, v.denominator]
uuid.UUID('12345678-1234-5678-1234-567812345678') | str(v)
uuid.uuid4() | len(str(v))
collections.OrderedDict([('a', 1), ('b', [2])]) | list(v.items())
collections.OrderedDict() | list(v.items())
collections.defaultdict(list, {'a': [1]}) | [sorted(v.items()), v['x']]
collections.defaultdict(int, {'a': 1}) | [sorted(v.items()), v['x']]
collections.defaultdict(dict) | [sorted(v.items()), v['x']]
collections.defaultdict(None, {'a': 1}) | sorted(v.items())
collections.Counter('abca') | sorted(v.items())
collections.deque([1, 'a', None]) | [list(v), v.maxlen]
collections.deque([1, 2], 5) | [list(v), v.maxlen]
collections.UserDict({'a': 1}) | [sorted(v.items()), len(v), 'a' in v, repr(v)]
collections.UserList([1, 'a']) | [v.data, len(v), v + [2]]
collections.UserString('abc') | v.data
collections.ChainMap({'a': 1}, {'b': 2}) | [sorted(one.items()) for one in v.maps]
two.UserDict.UserDict({'a': 1}) | [sorted(v.items()), len(v), 'a' in v, repr(v)]
two.UserDict.IterableUserDict({'a': 1}) | sorted(v.data.items())
two.UserList.UserList([1, 'a']) | [v.data, len(v), v + [2]]
two.UserString.UserString('abc') | v.data
array.array('i', [1, -2, 3]) | [v.typecode, v.tolist()]
array.array('d', [0.5]) | [v.typecode, v.tolist()]
array.array('B', [1, 255]) | [v.typecode, v.tolist()]
array.array('h') | [v.typecode, v.tolist(), v.itemsize]
array.array('u', u'ab') | [v.typecode, v.tolist()]
re.compile('a(b)?', re.I) | [v.pattern, bool(v.flags & re.I), v.match('AB') is not None]
re.compile(u'x+') | v.pattern
random.Random(5) | [round(v.random(), 12) for _ in range(3)]
range(1, 10, 3) | list(v)
slice(1, None, 2) | [v.start, v.stop, v.step]
complex(1, -2) | [v.real, v.imag]
b'' | len(v)
b'ab' | len(v)
bytearray(b'abc') | list(v)
frozenset([1, 2]) | sorted(v)
set(['a']) | sorted(v)
Ellipsis | str(v)
NotImplemented | str(v)
iter([1, 2, 3]) | list(v)
iter((1, 2)) | list(v)
iter({'a': 1}) | list(v)
iter('abc') | list(v)
reversed([1, 2]) | list(v)
enumerate(['a']) | list(v)
zip([1], [2]) | list(v)
map(str, [1]) | list(v)
filter(None, [0, 1]) | list(v)
itertools.chain([1], [2]) | list(v)
itertools.count(5, 2) | [next(v), next(v)]
itertools.cycle([1, 2]) | [next(v), next(v), next(v)]
itertools.repeat('x', 2) | list(v)
itertools.islice([1, 2, 3], 2) | list(v)
itertools.product([1], [2]) | list(v)
itertools.combinations([1, 2, 3], 2) | list(v)
itertools.permutations([1, 2]) | list(v)
itertools.accumulate([1, 2]) | list(v)
itertools.zip_longest([1], [2, 3]) | list(v)
functools.partial(int, base=2) | v('101')
functools.partial(max, 3) | v(5)
functools.partial(operator.add, 1) | v(2)
operator.itemgetter(1) | v([5, 6])
operator.itemgetter('a', 'b') | list(v({'a': 1, 'b': 2}))
operator.attrgetter('real') | v(3)
operator.methodcaller('upper') | v('a')
operator.methodcaller('split', ',') | v('a,b')
types.SimpleNamespace(a=1, b='x') | [v.a, v.b]
types.MappingProxyType({'a': 1}) | dict(v)
types.GenericAlias(list, (int,)) | str(v)
list[int] | str(v)
int | str | str(v)
typing.Optional[int] | str(v)
typing.List[int] | str(v)
typing.Any | str(v)
typing.TypeVar('T') | v.__name__
io.BytesIO(b'abc') | B(v.getvalue())
io.StringIO(u'abc') | v.getvalue()
two.StringIO.StringIO('abc') | v.getvalue()
pathlib.PurePosixPath('/a/b.txt') | str(v)
pathlib.PosixPath('/a/b.txt') | str(v)
pathlib.PureWindowsPath('c:/a') | str(v)
ipaddress.ip_address(u'10.0.0.1') | str(v)
ipaddress.ip_address(u'::1') | str(v)
ipaddress.ip_network(u'10.0.0.0/8') | [str(v), v.num_addresses, str(v.netmask)]
ipaddress.ip_network(u'fe80::/10') | [str(v), str(v.netmask)]
ipaddress.ip_interface(u'10.0.0.1/24') | [str(v), str(v.network)]
zoneinfo.ZoneInfo('Europe/Paris') | v.key
datetime.datetime(2020, 7, 1, tzinfo=zoneinfo.ZoneInfo('Asia/Tokyo')) | v.isoformat()
statistics.NormalDist(1.5, 2.5) | [v.mean, v.stdev, round(v.cdf(2), 9)]
struct.error('bad') | list(v.args)
http.cookies.SimpleCookie('a=1; b=2') | [v.output(), sorted((name, one.value) for name, one in v.items())]
two.Cookie.SimpleCookie('a=1; b=2') | sorted((name, one.value) for name, one in v.items())
http.HTTPStatus.OK | [v.value, v.name]
http.HTTPStatus.NOT_FOUND | [v.value, v.name]
http.client.HTTPException('x') | list(v.args)
http.client.IncompleteRead(b'ab', 3) | [v.expected, str(v), len(v.partial)]
http.client.BadStatusLine('x') | v.line
json.JSONDecodeError('no', 'doc', 1) | [v.msg, v.doc, v.pos, v.lineno, str(v)]
queue.Empty() | list(v.args)
queue.Full() | list(v.args)
socket.timeout('slow') | list(v.args)
socket.gaierror(-2, 'Name') | [list(v.args), v.errno]
socket.AddressFamily.AF_INET | v.value
socket.SocketKind.SOCK_STREAM | v.value
ssl.TLSVersion.TLSv1_2 | v.value
signal.Signals.SIGTERM | v.value
concurrent.futures.TimeoutError() | [type(v).__name__ == 'TimeoutError', isinstance(v, OSError), list(v.args)]
concurrent.futures.CancelledError() | list(v.args)
asyncio.CancelledError() | list(v.args)
asyncio.TimeoutError() | [type(v).__name__ == 'TimeoutError', isinstance(v, OSError), list(v.args)]
asyncio.IncompleteReadError(b'a', 2) | [B(v.partial), v.expected]
multiprocessing.TimeoutError('x') | list(v.args)
subprocess.CalledProcessError(3, 'ls', b'out') | [v.returncode, v.cmd, str(v)[:20], v.output]
subprocess.TimeoutExpired('ls', 5) | [v.cmd, v.timeout]
subprocess.CompletedProcess(['ls'], 0) | [v.args, v.returncode]
string.Template('a $b') | v.substitute(b='c')
email.message.Message() | [v.keys(), v.as_string()]
email.headerregistry.Address('A', 'b', 'c.d') | str(v)
urllib.parse.urlparse('http://a/b?c#d') | [v.scheme, v.netloc, v.path, v.query, v.fragment]
urllib.parse.urlsplit('http://a/b?c') | [v.scheme, v.netloc, v.path, v.query]
urllib.parse.urlparse(b'http://a/b') | B(v.path)
two.urlparse.urlparse('http://a/b?c#d') | [v.scheme, v.netloc, v.path, v.query, v.fragment]
two.urlparse.urlsplit('http://a/b?c') | [v.scheme, v.netloc, v.path, v.query]
urllib.error.URLError('x') | [str(v.reason), list(v.args)]
urllib.request.Request('http://a/b', b'x', {'A': 'b'}) | [v.get_full_url(), v.get_method(), sorted(v.header_items()), v.data, v.host]
time.localtime(0) | list(v)
time.gmtime(0) | list(v)
os.stat('/')[:0] | list(v)
os.stat_result(range(10)) | list(v)[:7]
os.terminal_size((80, 24)) | list(v)
os.times_result((1, 2, 3, 4, 5)) | list(v)
sys.float_info | len(v) > 5
pwd.struct_passwd(('a', 'x', 1, 2, '', '/', 'sh')) | list(v)
grp.struct_group(('a', 'x', 1, [])) | list(v)
resource.struct_rusage(range(16)) | list(v)
inspect.Parameter('a', inspect.Parameter.POSITIONAL_ONLY) | [v.name, str(v.kind), str(v.default)]
inspect.Signature([inspect.Parameter('a', inspect.Parameter.KEYWORD_ONLY, default=1)]) | str(v)
argparse.Namespace(a=1, b='x') | [v.a, v.b, 'a' in v, repr(v)]
logging.LogRecord('n', 20, '/p', 3, 'm %s', ('x',), None) | [v.name, v.levelno, logging.Formatter('%(message)s').format(v)]
logging.Formatter('%(message)s') | v.format(logging.LogRecord('n', 20, '/p', 3, 'm', (), None))
textwrap.TextWrapper(width=20) | [v.width, v.fill('a b')]
calendar.Calendar(3) | [v.firstweekday, list(v.itermonthdays(2020, 2))]
calendar.TextCalendar() | v.formatmonth(2020, 2)
calendar.Month.MARCH | v.value
calendar.Day.MONDAY | v.value
csv.Error('x') | list(v.args)
zlib.error('x') | list(v.args)
binascii.Error('x') | list(v.args)
select.error('x') | list(v.args)
socket.error(1, 'x') | list(v.args)
socket.herror('x') | list(v.args)
ssl.SSLError(1, 'x') | list(v.args)
xml.etree.ElementTree.fromstring('<a b="1"><c>d</c></a>') | [v.tag, v.attrib, v[0].text]
xml.etree.ElementTree.ParseError('x') | list(v.args)
xmlrpc.client.DateTime('20200101T00:00:00') | [str(v), v == '20200101T00:00:00']
xmlrpc.client.Fault(3, 'x') | [v.faultCode, v.faultString]
xmlrpc.client.Binary(b'ab') | B(v.data)
zipfile.ZipInfo('a.txt') | [v.filename, list(v.date_time), v.FileHeader()[:26], repr(v)[:24]]
tarfile.TarInfo('a.txt') | [v.name, v.size, v.mode, len(v.tobuf())]
zipfile.BadZipFile('x') | list(v.args)
difflib.Match(1, 2, 3) | list(v)
dis.Instruction._fields | list(v)
traceback.FrameSummary('f', 1, 'n', line='x') | [v.filename, v.lineno, v.name, v.line, v.colno if sys.version_info >= (3, 11) else None]
traceback.StackSummary.from_list([('f', 1, 'n', 'x')]) | [v.format(), v[0].colno if sys.version_info >= (3, 11) else None]
ast.parse('a = 1') | ast.dump(v).replace(', type_ignores=[]', '')
ast.Name('a', ast.Load()) | v.id
graphlib.CycleError('x', [1]) | list(v.args)
enum.Enum('E', 'A').__class__ | v.__name__
enum.auto() | type(v).__name__
dataclasses.make_dataclass | v.__name__
dataclasses.FrozenInstanceError('x') | list(v.args)
contextvars.ContextVar | v.__name__
platform.uname()[:0] | list(v)
platform.uname_result('a', 'b', 'c', 'd', 'e', 'f') | [v.system, v.node, v.machine]
platform.uname_result('a', 'b', 'c', 'd', 'e') | [v.system, v.node, v.machine]
sqlite3.IntegrityError('x') | list(v.args)
sqlite3.OperationalError('x') | list(v.args)
configparser.ConfigParser() | [v.sections(), v.has_option('a', 'b'), v.defaults()]
configparser.NoSectionError('x') | [list(v.args), v.section]
codecs.CodecInfo | v.__name__
weakref.ReferenceError if hasattr(weakref, 'ReferenceError') else ReferenceError('x') | type(v).__name__
plistlib.UID(3) | v.data
secrets.SystemRandom | v.__name__
hmac.HMAC | v.__name__
unittest.mock.sentinel.a | str(v)
unittest.case.SkipTest('x') | list(v.args)
numbers.Number | v.__name__
len | v.__name__
int | v.__name__
list | v.__name__
dict | v.__name__
object | v.__name__
type(None) | v.__name__
type(Ellipsis) | v.__name__ in ('ellipsis',)
type(NotImplemented) | type(v).__name__
math.sqrt | v(4)
os.path.join | v('a', 'b')
'abc'.upper | v()
[1, 2].count | v(1)
datetime.datetime.fromtimestamp | v.__name__
"""
# Exceptions are made of each of these, as far as they take them.
EXCEPTIONS = """ArithmeticError AssertionError AttributeError BufferError EOFError Exception
    FloatingPointError GeneratorExit ImportError IndexError KeyError KeyboardInterrupt LookupError
    MemoryError NameError NotImplementedError OverflowError ReferenceError RuntimeError StopIteration
    SyntaxError IndentationError TabError SystemError SystemExit TypeError UnboundLocalError ValueError
    ZeroDivisionError Warning UserWarning DeprecationWarning RuntimeWarning FutureWarning
    PendingDeprecationWarning SyntaxWarning ImportWarning UnicodeWarning BytesWarning BaseException
    OSError ModuleNotFoundError RecursionError StopAsyncIteration
    BlockingIOError ChildProcessError ConnectionError BrokenPipeError ConnectionAbortedError
    ConnectionRefusedError ConnectionResetError FileExistsError FileNotFoundError InterruptedError
    IsADirectoryError NotADirectoryError PermissionError ProcessLookupError TimeoutError ResourceWarning
    EncodingWarning UnicodeError PythonFinalizationError""".split()
MADE = ["{0}()", "{0}('no')", "{0}('no', 3)", "{0}(1, None, [2])"]
ERRORS = ["{0}(2, 'no')", "{0}(2, 'no', 'file')"]
OTHERS = """
UnicodeDecodeError('utf-8', b'ab', 0, 1, 'bad') | [v.encoding, v.start, v.end, v.reason]
UnicodeEncodeError('ascii', u'ab', 0, 1, 'bad') | [v.encoding, v.object, v.start, v.end, v.reason]
UnicodeTranslateError(u'ab', 0, 1, 'bad') | [v.object, v.start, v.end, v.reason]
SyntaxError('bad', ('f', 1, 2, 'x')) | [v.msg, v.filename, v.lineno, v.offset, v.text]
SyntaxError('bad', ('f', 1, 2, 'x', 3, 4)) | [v.msg, v.filename, v.lineno, v.offset, v.text]
ExceptionGroup('many', [ValueError(1)]) | [v.message, [type(one).__name__ for one in v.exceptions]]
ImportError('no', name='a', path='b') | [list(v.args), v.name, v.path]
AttributeError('no', name='a', obj=3) | list(v.args)
NameError('no', name='a') | list(v.args)
StopIteration(5) | v.value if hasattr(v, 'value') else v.args[0]
SystemExit(3) | v.code
"""


def cases():
    """Yields expressions of values, and what is compared of them."""
    for line in filter(None, (CASES + OTHERS).split("\n")):
        value, use = line.rsplit(" | ", 1)
        yield value, use
    for name in EXCEPTIONS:
        for made in MADE + (ERRORS if name.endswith("Error") else []):
            yield made.format(name), "[isinstance(v, %s), list(v.args)]" % name


# The probe: runs under each interpreter -----------------------------------------


class Two(object):
    """The modules that only Python 2.7 has."""

    def __getattr__(self, name):
        if sys.version_info[0] > 2:
            raise AttributeError(name)
        return __import__(name)


class Names(dict):
    """What expressions name: built-in, or a module with all that they need in it."""

    def __missing__(self, name):
        builtins = __import__("builtins" if sys.version_info[0] > 2 else "__builtin__")
        if hasattr(builtins, name):
            return getattr(builtins, name)
        module = __import__(name)
        for inner in ("abc client cookies parse request error futures headerregistry message case mock"
                      " etree.ElementTree").split():
            try:
                __import__(name + "." + inner)
            except Exception:
                pass
        return module


def is_bytes(value):
    assert isinstance(value, bytes), type(value)
    return value


def evaluate(expression, **given):
    return eval(expression, Names(given, B=is_bytes, two=Two()))


def plain(value):
    """The same JSON for what means the same to Python 2 and 3."""
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return sorted([plain(key), plain(one)] for key, one in value.items())
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if value is None or isinstance(value, (bool, int, float, type(u""), type(sys.maxsize + 1))):
        return value
    return [type(value).__name__, repr(value) if type(value).__repr__ is not object.__repr__ else ""]


def meaning(value, use):
    return json.dumps(plain(evaluate(use, v=value)), sort_keys=True)


def names_in(pickled):
    """Yields what a pickle names, and None for a byte string that Python 3 refuses."""
    strings, memo, last = [], {}, None
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in ("STRING", "BINSTRING", "SHORT_BINSTRING"):
            if any(ord(char) > 127 for char in argument):
                yield None
        if opcode.name in ("GLOBAL", "INST"):
            yield tuple(argument.split(" "))
        elif opcode.name == "STACK_GLOBAL":
            yield tuple(strings[-2:])
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = last
        elif "PUT" in opcode.name:
            memo[argument] = last
        elif "GET" in opcode.name and memo.get(argument) is not None:
            strings.append(memo[argument])
        last = argument if "UNICODE" in opcode.name else None
        if last is not None:
            strings.append(last)


def write():
    """Answers a line for each pickle: the case, the protocol, what it means, the pickle,
    and what it names.
    """
    for number, (expression, use) in enumerate(cases()):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            try:
                value = evaluate(expression)
                pickled = pickle.dumps(value, protocol)
                meant = meaning(value, use)
                # Its own writer gets it back, or it is nothing that can be cached.
                if meaning(pickle.loads(pickled), use) != meant:
                    continue
                names = list(names_in(pickled))
            except Exception:
                continue
            encoded = base64.b64encode(pickled).decode()
            print(json.dumps([number, protocol, meant, encoded, names]))


def is_there(module, name):
    try:
        __import__(module)
        found = sys.modules[module]
        for part in name.split("."):
            found = getattr(found, part)
    except Exception:
        return False
    return True


def read():
    """Answers a line for each pickle on stdin: what it means here, true if something is
    lacking that it names, or null.
    """
    uses = [use for _, use in cases()]
    for line in sys.stdin:
        number, encoded, names = json.loads(line)
        if not all(is_there(*name) for name in names):
            print("true")
            continue
        try:
            print(json.dumps(meaning(pickle.loads(base64.b64decode(encoded)), uses[number])))
        except Exception:
            print("null")


# The table ----------------------------------------------------------------------


def run(program, mode, lines=""):
    command = [program, "-E", "-B", "-W", "ignore", os.path.abspath(__file__), mode]
    environment = dict(os.environ, TZ="UTC", PYTHONHASHSEED="0")
    done = subprocess.run(command, input=lines.encode(), stdout=subprocess.PIPE, check=True, env=environment)
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def renamed(module, name, protocol):
    """As Python 3 looks it up."""
    import _compat_pickle as compat

    if protocol < 3 and (module, name) in compat.NAME_MAPPING:
        return compat.NAME_MAPPING[module, name]
    return (compat.IMPORT_MAPPING.get(module, module) if protocol < 3 else module), name


def record(programs):
    """Asks all: which names came over from which version to which, and which did not."""
    written = {version: run(program, "--write") for version, (program, _) in programs.items()}
    came, failed = {}, {}
    first, within = set(), set()
    for reader, (program, _) in programs.items():
        for writer, pickles in written.items():
            highest = {(2, 7): 2, (3, 6): 4, (3, 7): 4}.get(reader, 5)
            sent = []
            for number, protocol, meant, encoded, names in pickles:
                # These are refused whatever they are of.
                if protocol > highest or None in names and reader > (3,):
                    continue
                there = [name for name in names if name]
                if reader > (3,):
                    there = [renamed(module, name, protocol) for module, name in there]
                sent.append((meant, names, protocol, json.dumps([number, encoded, there])))
            answers = run(program, "--read", "".join(line + "\n" for _, _, _, line in sent))
            assert len(answers) == len(sent), (writer, reader)
            for (meant, names, protocol, _), answer in zip(sent, answers):
                names = [renamed(module, name, protocol) for module, name in filter(None, names)]
                told = [name for name in names if ".".join(name) not in HELPERS]
                if answer == meant:
                    for name in names:
                        came.setdefault(name, set()).add((writer, reader))
                    first.update((name, writer, reader) for name in told[:1])
                elif answer is not True and told:
                    # What is outermost is named first, and what is within may be to blame.
                    failed.setdefault(told[0], set()).add((writer, reader))
                    within.update((name, writer, reader) for name in told[1:])
    for name, writer, reader in within - first:
        failed.setdefault(name, set()).add((writer, reader))
    return {name: pairs - failed.get(name, set()) for name, pairs in came.items()}


HEAD = """\
# Which instances of the standard library's classes, pickled by one CPython, another gets
# as they were meant. Written by trips.py.
#
# MODULE:NAME as Python 3 calls it, and WRITERS>READERS: what each of these writes, each of
# those reads. Versions are the bits of a hexadecimal number:"""


def table(came, versions):
    bit = {version: 1 << number for number, version in enumerate(versions)}
    lines = []
    for (module, name), pairs in sorted(came.items()):
        by_writer = {}
        for writer, reader in pairs:
            by_writer[writer] = by_writer.get(writer, 0) | bit[reader]
        by_readers = {}
        for writer, readers in by_writer.items():
            by_readers[readers] = by_readers.get(readers, 0) | bit[writer]
        trips = " ".join(sorted("%x>%x" % (writers, readers) for readers, writers in by_readers.items()))
        if trips:
            lines.append("%s:%s %s" % (module, name, trips))
    return lines


def known(path, versions):
    """What the file says of pairs of versions, of which this run asks but one or none."""
    told, bits = {}, {}
    for line in open(path).read().splitlines() if os.path.exists(path) else ():
        if line.startswith("#   "):
            bit, version = line[1:].split()
            bits[int(bit, 16)] = tuple(int(part) for part in version.split(".")[:2])
        elif not line.startswith("#"):
            name, trips = line.split(" ", 1)
            for trip in trips.split(" "):
                writers, readers = (int(mask, 16) for mask in trip.split(">"))
                pairs = ((bits[w], bits[r]) for w in bits for r in bits if writers & w and readers & r)
                pairs = set(pair for pair in pairs if not versions.issuperset(pair))
                told.setdefault(tuple(name.split(":")), set()).update(pairs)
    return told, bits.values()


def main(programs):
    sys.path.insert(0, os.path.join(HERE, "..", "names"))
    import generate

    if programs:
        generate.candidates = lambda: programs
    found = generate.interpreters()
    print("trips: asking %s" % " ".join("%d.%d" % version for version in sorted(found)), file=sys.stderr)
    came = record(found)
    told, others = known(PATH, set(found))
    for name, pairs in told.items():
        came.setdefault(name, set()).update(pairs)
    versions = sorted(set(found) | set(others))
    lines = [HEAD] + ["#   %03x  %d.%d" % ((1 << number,) + version) for number, version in enumerate(versions)]
    with io.open(PATH, "w") as file:
        file.write(u"\n".join(lines + table(came, versions)) + u"\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    elif sys.argv[1:] == ["--read"]:
        read()
    else:
        main(sys.argv[1:])

# -*- coding: utf-8 -*-
"""Says what a value means to whoever has it, by what can be done with it: a value
that loads and then fails in use has no meaning.
"""
import collections
import datetime
import functools
import importlib
import itertools
import json
import logging
import operator
import re
import time
import types

import shop
import values
from values import PY2, Meaning, text, title

try:
    import copyreg
    range_ = range
except ImportError:
    import copy_reg as copyreg
    range_ = xrange  # noqa: F821

# Another name for the same class, by Python or by release.
values.MODULES['_operator'] = 'operator'
values.ALIASES.update({
    'Cookie.Morsel': 'http.cookies.Morsel',
    'Cookie.SimpleCookie': 'http.cookies.SimpleCookie',
    'ConfigParser.NoOptionError': 'configparser.NoOptionError',
    'ConfigParser.RawConfigParser': 'configparser.RawConfigParser',
    'Queue.Full': 'queue.Full',
    'UserDict.IterableUserDict': 'collections.UserDict',
    'UserDict.UserDict': 'collections.UserDict',
    'UserList.UserList': 'collections.UserList',
    'UserString.UserString': 'collections.UserString',
    '_abcoll.Mapping': 'collections.abc.Mapping',
    '_pickle.UnpicklingError': 'pickle.UnpicklingError',
    '_sre.SRE_Pattern': 're.Pattern',
    'asyncio.exceptions.CancelledError': 'concurrent.futures._base.CancelledError',
    'asyncio.exceptions.TimeoutError': 'builtins.TimeoutError',
    'builtins.reduce': 'functools.reduce',
    'builtins.xrange': 'builtins.range',
    'cPickle.UnpicklingError': 'pickle.UnpicklingError',
    'concurrent.futures._base.TimeoutError': 'builtins.TimeoutError',
    'cookielib.Cookie': 'http.cookiejar.Cookie',
    'httplib.BadStatusLine': 'http.client.BadStatusLine',
    'httplib.IncompleteRead': 'http.client.IncompleteRead',
    'robotparser.RobotFileParser': 'urllib.robotparser.RobotFileParser',
    'itertools.izip': 'builtins.zip',
    'json.decoder.JSONDecodeError': 'json.JSONDecodeError',
    'posix.stat_result': 'os.stat_result',
    'pathlib._local.PosixPath': 'pathlib.PosixPath',
    'pathlib._local.PurePosixPath': 'pathlib.PurePosixPath',
    'pathlib._local.PureWindowsPath': 'pathlib.PureWindowsPath',
    're.PatternError': 're.error',
    'sre_constants.error': 're.error',
    'select.error': 'builtins.OSError',
    'socket.error': 'builtins.OSError',
    'socket.timeout': 'builtins.TimeoutError',
    'urllib.quote': 'urllib.parse.quote',
    'urllib2.URLError': 'urllib.error.URLError',
    'urlparse.ParseResult': 'urllib.parse.ParseResult',
    'urlparse.SplitResult': 'urllib.parse.SplitResult',
    'xmlrpclib.Binary': 'xmlrpc.client.Binary',
    'xmlrpclib.DateTime': 'xmlrpc.client.DateTime',
})


def kinds(modules, *names):
    """Those classes that there are, in whichever of the modules there is."""
    found = []
    for module in modules.split():
        try:
            module = importlib.import_module(module)
        except Exception:  # Some cannot be imported by every Python.
            continue
        found += [getattr(module, name) for name in names if hasattr(module, name)]
    return tuple(found)


def accepts(check):
    """Which of some texts a validator of Django lets pass."""
    from django.core.exceptions import ValidationError
    passed = []
    for tried in (u'abc', u'7!', u'a@example.org'):
        try:
            check(tried)
            passed.append(tried)
        except ValidationError:
            pass
    return passed


def zone(value):
    """What a zone says of a winter's and a summer's day."""
    days = [datetime.datetime(2024, month, 15) for month in (1, 7)]
    return [text(value.utcoffset(day)) for day in days] + [value.tzname(day) for day in days]


def moment(value):
    away = value.utcoffset() if value.tzinfo else None
    return [value.replace(tzinfo=None).isoformat(), getattr(value, 'fold', 0), value.tzinfo, text(away)]


def morsel(value):
    value.OutputString()
    return [value.key, value.value, sorted((name.lower(), text(said)) for name, said in value.items() if said)]


def response(value):
    return [value.status_code, value.reason_phrase, value.content, sorted(value.items()), value.cookies,
    value.charset]


def email(value):
    value.message()
    parts = [tuple(part) for part in value.attachments + list(getattr(value, 'alternatives', None) or [])]
    return [value.subject, value.body, value.from_email, value.recipients(), value.extra_headers, parts]


def lists(value):
    return sorted((key, list(found)) for key, found in value.lists())


# What values of some classes are used for. The first that fits decides.
USES = [
    (kinds('django.utils.functional', 'Promise'), lambda v: [text(v)]),
    (kinds('enum', 'Enum'), lambda v: [v.value]),
    ((type(re.compile('')),), lambda v: [v.pattern, int(v.flags) & ~32, v.groups]),
    ((datetime.datetime, datetime.time), moment),
    ((datetime.tzinfo,), zone),
    ((functools.partial,), lambda v: [v.func, v.args, v.keywords]),
    ((operator.itemgetter,), lambda v: [v({'price': 3, 'name': 'x'})]),
    ((operator.attrgetter,), lambda v: [v(3)]),
    ((operator.methodcaller,), lambda v: [v('x')]),
    ((type(iter([])), type(iter(())), itertools.chain, itertools.repeat), lambda v: [list(itertools.islice(v, 9))]),
    ((time.struct_time,), lambda v: [list(v)]),
    ((range_,), lambda v: [list(v)]),
    ((slice,), lambda v: [v.start, v.stop, v.step]),
    (kinds('ipaddress', '_IPAddressBase') + kinds('pathlib', 'PurePath'), lambda v: [text(v)]),
    (kinds('http.cookies Cookie', 'Morsel'), morsel),
    (kinds('http.cookies Cookie', 'BaseCookie'), lambda v: [sorted(v.items())]),
    (kinds('email.message', 'Message'), lambda v: [v.as_string()]),
    (kinds('logging', 'LogRecord'), lambda v: [logging.Formatter('%(levelname)s %(name)s %(message)s').format(v),
    v.created]),
    (kinds('xmlrpc.client xmlrpclib', 'DateTime'), lambda v: [v.value]),
    (kinds('xmlrpc.client xmlrpclib', 'Binary'), lambda v: [v.data]),
    (kinds('io', 'StringIO', 'BytesIO'), lambda v: [v.getvalue(), v.tell()]),
    (kinds('xml.etree.ElementTree', 'Element'), lambda v: [v.tag, sorted(v.items()), v.text, v.tail, list(v)]),
    (kinds('statistics', 'NormalDist'), lambda v: [v.mean, v.stdev]),
    (kinds('zipfile', 'ZipInfo'), lambda v: [v.filename, v.date_time, v.FileHeader()]),
    (kinds('configparser ConfigParser', 'RawConfigParser'), lambda v: [[(s, sorted(v.items(s)))
    for s in v.sections()]]),
    (kinds('collections', 'ChainMap'), lambda v: [dict(v), v.maps]),
    (kinds('django.http', 'QueryDict'), lambda v: [lists(v), len(v.urlencode()), v.encoding, v._mutable]),
    (kinds('django.utils.datastructures', 'MultiValueDict'), lambda v: [lists(v)]),
    (kinds('django.http', 'HttpResponse'), response),
    (kinds('django.forms.utils', 'ErrorDict'), lambda v: [json.loads(v.as_json())]),
    (kinds('django.core.exceptions', 'ValidationError'), lambda v: [v.messages, getattr(v, 'code', None), getattr(v,
    'params', None)]),
    (kinds('django.core.paginator', 'Page'), lambda v: [list(v), v.number, v.has_next(), v.paginator]),
    (kinds('django.core.paginator', 'Paginator'), lambda v: [v.count, v.num_pages, list(v.page(1))]),
    (kinds('django.core.validators', 'RegexValidator', 'EmailValidator'), lambda v: [accepts(v), v.message, v.code]),
    (kinds('django.core.validators', 'BaseValidator'), lambda v: [v.limit_value, v.message, v.code]),
    (kinds('django.core.mail', 'EmailMessage'), email),
    (kinds('django.core.files.uploadedfile', 'UploadedFile'), lambda v: [v.name, v.size, v.content_type, v.read()]),
    (kinds('django.db.models', 'Case'), lambda v: [[when.result.value for when in v.cases], v.default.value]),
    (kinds('django.db.models.expressions', 'Combinable'), lambda v: [repr(v)]),
    (kinds('django.template', 'Context'), lambda v: [v.flatten()]),
    (kinds('django.core.signing', 'Signer'), lambda v: [v.sign('x')]),
    (kinds('django.forms', 'Widget'), lambda v: [v.attrs, v.input_type]),
    (kinds('string', 'Template'), lambda v: [v.safe_substitute(name='x')]),
    (kinds('textwrap', 'TextWrapper'), lambda v: [v.wrap(u'some words that need more than a line')]),
    (kinds('random', 'Random'), lambda v: [v.random()]),
    (kinds('os', 'stat_result'), lambda v: [list(v)]),
    (kinds('http.cookiejar cookielib', 'Cookie'), lambda v: [v.name, v.value, v.domain, v.is_expired(),
    v.has_nonstandard_attr('x')]),
    (kinds('urllib.robotparser robotparser', 'RobotFileParser'), lambda v: [v.can_fetch('x', '/'),
    v.can_fetch('x', '/private/')]),
    (kinds('calendar', 'TextCalendar'), lambda v: [v.formatmonth(2024, 6)]),
    (kinds('xml.dom.minidom', 'Document'), lambda v: [v.toxml()]),
    (kinds('traceback', 'FrameSummary'), lambda v: [v.filename, v.lineno, v.name, v.line]),
    (kinds('inspect', 'Signature'), lambda v: [text(v)]),
    (kinds('django.forms.utils', 'ErrorList'), lambda v: [u''.join([v.as_text()])]),
    (kinds('django.forms', 'CharField'), lambda v: [v.max_length, v.clean(u'x')]),
    (kinds('django.utils.datastructures', 'OrderedSet'), lambda v: [list(v)]),
    (kinds('django.core.validators', 'DecimalValidator'), lambda v: [v.max_digits, v.decimal_places]),
    (kinds('django.core.validators', 'FileExtensionValidator'), lambda v: [v.allowed_extensions]),
]
# What they keep beside what they are made of is their own affair.
LIBRARY_ERRORS = kinds('re', 'error') + kinds('configparser ConfigParser', 'Error')
ATTRIBUTES = {
    EnvironmentError: ('errno', 'strerror', 'filename'),
    SyntaxError: ('msg', 'filename', 'lineno', 'offset', 'text'),
    SystemExit: ('code',),
    UnicodeError: ('encoding', 'object', 'start', 'end', 'reason'),
}
# As what it has to be caught, where that is not its own name on every Python, or where
# some keep more attributes of it than they are made of.
CAUGHT_AS = {
    'error/attribute': ('builtins exceptions', 'AttributeError'),
    'error/import by name': ('builtins exceptions', 'ImportError'),
    'error/name': ('builtins exceptions', 'NameError'),
    'error/timed out': ('socket', 'timeout'),
    'error/timeout of asyncio': ('asyncio', 'TimeoutError'),
    'error/timeout of futures': ('concurrent.futures', 'TimeoutError'),
}


class Use(Meaning):
    """A tree that says what a value means. With `across` among the flags, text and
    bytes are alike, and so are the kinds of `OSError`, of which Python 2 has few.
    """

    def __init__(self, flags=()):
        Meaning.__init__(self, flags)
        self.across = 'across' in flags

    def of(self, value):
        kind = type(value)
        if self.across and kind in (bytes, text):
            return ['u', value if kind is text else value.decode('latin-1')]
        if self.across and value is bytes:
            return ['G', 'builtins.str']
        if kind.__module__ == 'typing' or kind in kinds('types', 'GenericAlias', 'UnionType'):
            return ['typing', repr(value).replace('Union[bytes, NoneType]', 'Optional[bytes]')]
        if kind is types.MethodType or kind is types.BuiltinFunctionType and not self.is_function(value):
            return ['bound', self.of(value.__self__), value.__name__]
        for classes, use in USES:
            if isinstance(value, classes):
                return ['use', title(value.__class__)] + [self.of(part) for part in use(value)]
        if self.across and isinstance(value, EnvironmentError):
            return ['OSError'] + self.parts(value)
        return Meaning.of(self, value)

    def order(self, value):
        return 'cart' if isinstance(value, shop.Cart) else Meaning.order(self, value)

    def is_function(self, value):
        return isinstance(getattr(value, '__self__', None), (type(None), types.ModuleType))

    def parts(self, value):
        if isinstance(value, LIBRARY_ERRORS):
            return [self.of(value.args), text(value)]
        slots = copyreg._slotnames(value.__class__) if isinstance(value, object) and isinstance(type(value),
        type) else []
        slots = sorted(name for name in slots if hasattr(value, name))
        slots = [[name, self.of(getattr(value, name))] for name in slots]
        if isinstance(value, (bytes, text)):
            return [self.of(value[:]), self.of(getattr(value, '__dict__', {})), slots]
        parts = Meaning.parts(self, value) + [slots]
        if isinstance(value, BaseException):
            text(value)
            for kind, names in ATTRIBUTES.items():
                if isinstance(value, kind):
                    parts += [[name, self.of(getattr(value, name, None))] for name in names]
        return parts


def trees(value, case):
    """What a value means to Pythons like this one, and across 2 and 3."""
    if case in CAUGHT_AS:
        found = kinds(*CAUGHT_AS[case])
        if not isinstance(value, found):
            raise TypeError('not %s.%s' % CAUGHT_AS[case])
        value = ['caught', value.args]
    return [Use(flags).of(value) for flags in ((), ('across',))]

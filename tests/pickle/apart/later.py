# -*- coding: utf-8 -*-
"""More values as applications cache them, kept apart when the rules that those of
`cases.py` led to were made: see there. No rule was made for one of them before they
were measured.
"""
import calendar
import collections
import csv
import decimal
import functools
import io
import json
import operator
import os
import random
import string
import textwrap
import time
import traceback
import uuid

import shop
from cases import PY2, Clock, Day, Moment, Span, of, set_up

if not PY2:
    xrange = range

Decimal = decimal.Decimal
CASES = collections.OrderedDict()


def case(family, name, make):
    assert (family + '/' + name) not in CASES, name
    CASES[family + '/' + name] = make


def raised(action):
    """What it raises."""
    try:
        action()
    except Exception as error:
        return error


# Plain data ------------------------------------------------------------------

case('app', 'profile', lambda: {'id': 81, 'name': u'Ana\xefs', 'joined': Moment(2019, 2, 3, 4, 5, 6, 70000),
    'tags': set([u'vip', u'beta']), 'prefs': {'mails': True, 'lang': None}, 'score': 4.75})
case('app', 'feed', lambda: [{u'at': Moment(2024, 5, 1 + n, n), u'id': uuid.UUID(int=7 ** n), u'text': u'\u2764 %d' % n}
    for n in xrange(12)])
case('app', 'permissions', lambda: set(u'shop.%s_order' % verb for verb in (u'add', u'change', u'view')))
case('app', 'throttle', lambda: [1700000300.125, 1700000299.5, 1700000000.0])
case('app', 'oauth token', lambda: {'access_token': 'ya29.' + 'x' * 60, 'expires_in': 3599, 'scope': ['a', 'b']})
case('app', 'price table', lambda: {(u'CHF', 2024): [Decimal('1.10'), Decimal('-0.05')], (u'EUR', 2023): []})
case('app', 'opening hours', lambda: dict((n, (Clock(8, 15), Clock(18 + n % 3, 45))) for n in xrange(5)))
case('app', 'word counts', lambda: collections.OrderedDict(collections.Counter(u'to be or not to be'.split())
    .most_common(1)))
case('app', 'forecast', lambda: [(Day(2024, 12, n), n * 0.5 - 3, u'%d\u00b0' % n) for n in xrange(1, 8)])
case('app', 'ids', lambda: tuple(xrange(9990, 10050)))
case('app', 'export', lambda: [dict(row) for row in csv.DictReader(['a,b', '1,2', '3,4'])])
case('app', 'decoded', lambda: json.loads('{"n": 1.10, "big": 123456789012345678901, "s": ["x"]}', parse_float=Decimal))
case('app', 'trace', lambda: traceback.format_exception_only(ValueError, ValueError('bad')))

# Of the standard library -----------------------------------------------------

case('value', 'rows of a file', lambda: list(csv.DictReader(['a,b', '1,2'])))
case('value', 'template of text', lambda: string.Template(u'Dear $name'))
case('value', 'wrapper of text', lambda: textwrap.TextWrapper(width=20))
case('value', 'generator', lambda: random.Random(7))
case('value', 'state of a generator', lambda: random.Random(7).getstate())
case('value', 'matching block', lambda: of('difflib', 'SequenceMatcher')(None, 'abxcd', 'abcd').get_matching_blocks())
case('value', 'stat', lambda: os.stat_result((33188, 5, 6, 1, 0, 0, 99, 1, 2, 3)))
case('value', 'cookie of a site', lambda: of('http.cookiejar cookielib', 'Cookie')(
    0, 'sid', 'x', None, False, 'example.org', True, False, '/', True, False, None, True, None, None, {}))
case('value', 'robots', lambda: set_up(of('urllib.robotparser robotparser', 'RobotFileParser')(),
    lambda r: r.parse(['User-agent: *', 'Disallow: /private'])))
case('value', 'parsed mail', lambda: of('email', 'message_from_string')('Subject: hi\nTo: a@b.ch\n\nbody\n'))
case('value', 'calendar', lambda: calendar.TextCalendar(6))
case('value', 'document', lambda: of('xml.dom.minidom', 'parseString')('<a x="1"><b>t</b></a>'))
case('value', 'tree', lambda: of('xml.etree.ElementTree', 'fromstring')('<a><b x="1">t</b>u</a>'))
case('value', 'frames', lambda: traceback.extract_stack(limit=1)[:1] and [of('traceback', 'FrameSummary')('f.py', 3,
    'run', lookup_line=False, line='x = 1')])
case('value', 'two levels of defaults', lambda: set_up(
    collections.defaultdict(functools.partial(collections.defaultdict, int)), lambda d: d[u'a'].__setitem__(u'b', 2)))
case('value', 'clock of a request', lambda: time.strptime('2024-06-01', '%Y-%m-%d'))
case('value', 'getter of names', lambda: [operator.attrgetter('real.imag'), operator.itemgetter('name')])
case('value', 'rounded', lambda: [Decimal('2.675').quantize(Decimal('.01')), Span(1) / 3 if not PY2 else Span(0, 28800)])
case('value', 'lines', lambda: io.BytesIO(b'one\ntwo\n'))
case('value', 'arguments', lambda: of('argparse', 'ArgumentParser')('x').parse_args([]))
case('value', 'signature of a call', lambda: of('inspect', 'signature')(shop.discount))
case('value', 'version of a protocol', lambda: of('uuid', 'SafeUUID').safe)

# Exceptions ------------------------------------------------------------------

case('error', 'attribute', lambda: raised(lambda: (3).nothing))
case('error', 'name', lambda: raised(lambda: nothing))  # noqa: F821
case('error', 'key', lambda: {'failed': KeyError(u'k\xe9y'), 'index': IndexError('list index out of range')})
case('error', 'import by name', lambda: raised(lambda: __import__('no_such_module')))
case('error', 'two files', lambda: OSError(18, 'Invalid cross-device link', 'a', *(() if PY2 else (None, 'b'))))
case('error', 'value of a date', lambda: raised(lambda: Day(2024, 2, 30)))
case('error', 'markup', lambda: raised(lambda: of('xml.etree.ElementTree', 'fromstring')('<a>')))
case('error', 'http', lambda: of('http.client httplib', 'IncompleteRead')(b'par', 10))
case('error', 'interrupted', lambda: InterruptedError(4, 'Interrupted system call'))
case('error', 'csv', lambda: csv.Error('line contains NUL'))

# The application's objects ---------------------------------------------------

case('object', 'bill', lambda: {'total': shop.Money(Decimal('9.90'), u'CHF'), 'lines': [shop.Line(u'A', 1, Decimal(9))]})
case('object', 'sizes', lambda: {u's': shop.Size(1, 2), u'box': shop.Box(3, 4)})
case('object', 'shop of many', lambda: [shop.Category(u'a'), shop.Interval(Day(2024, 1, 1), Day(2024, 1, 9)),
    shop.Label(u'z'), shop.Tags([u'x'])])
case('object', 'failed task', lambda: {'error': shop.ApiError(500, u'x'), 'args': (1, u'a')})


# Django ----------------------------------------------------------------------

try:
    import django  # noqa: F401
except ImportError:
    pass
else:
    from django import forms
    from django.core import exceptions, validators
    from django.db.models import Avg, Case, Count, ExpressionWrapper, IntegerField, Q, Value, When
    from django.db.models.functions import Lower
    from django.http import HttpResponseNotModified, HttpResponseRedirect, JsonResponse, QueryDict
    from django.utils import formats, timezone, translation
    from django.utils.datastructures import MultiValueDict, OrderedSet
    from django.utils.safestring import mark_safe
    from django.utils.tree import Node

    class Order(forms.Form):
        size = forms.ChoiceField(choices=[('s', u'Small'), ('l', u'Large')])
        when = forms.DateField()

    case = functools.partial(case, 'django')
    case('redirect', lambda: HttpResponseRedirect('/accounts/login/?next=/'))
    case('not modified', lambda: HttpResponseNotModified())
    case('json with a cookie', lambda: set_up(JsonResponse({'ok': True}), lambda r: r.set_cookie('a', 'b', max_age=60)))
    case('wizard', lambda: {'step': '1', 'data': MultiValueDict({'0-name': [u'x']}), 'files': {}})
    case('filters of a page', lambda: QueryDict('a=1&b=2').copy())
    case('menu', lambda: [(mark_safe(u'<i>'), translation.gettext_lazy('Home')), (u'x', u'y')])
    case('cleaned order', lambda: set_up(Order({'size': 's', 'when': '2024-06-01'}), lambda f: f.is_valid()).cleaned_data)
    case('errors of an order', lambda: Order({'size': 'x', 'when': ''}).errors.as_data())
    case('error list', lambda: forms.utils.ErrorList([u'a', exceptions.ValidationError(u'b')]))
    case('denied', lambda: exceptions.PermissionDenied('no'))
    case('improper', lambda: exceptions.ImproperlyConfigured(u'SECRET'))
    case('bad request', lambda: exceptions.DisallowedHost('x'))
    case('counted', lambda: Count('id'))
    case('mean', lambda: Avg('price'))
    case('cases', lambda: Case(When(Q(a=1), then=Value(u'x')), default=Value(u'y')))
    case('wrapped expression', lambda: ExpressionWrapper(Value(1), output_field=IntegerField()))
    case('lower', lambda: Lower('name'))
    case('conditions', lambda: [Q(a=1) & Q(b__in=[1, 2]), ~Q()])
    case('node', lambda: Node([u'a', u'b'], 'AND'))
    case('ordered set', lambda: OrderedSet([3, 1, 3]))
    case('aware', lambda: timezone.make_aware(Moment(2024, 6, 1), timezone.get_fixed_timezone(120)))
    case('number', lambda: formats.number_format(Decimal('1234.5'), 2))
    case('decimal validator', lambda: validators.DecimalValidator(5, 2))
    case('extension validator', lambda: validators.FileExtensionValidator(['jpg']))
    case('field', lambda: forms.CharField(max_length=4))
    case('session in use', lambda: {'_auth_user_id': '4', '_language': u'de', 'cart': [shop.Line(u'A', 2, Decimal(5))],
        'seen': {'p1': Moment(2024, 1, 1)}, '_messages': u'[["__json_message", 0, 20, "ok"]]'})

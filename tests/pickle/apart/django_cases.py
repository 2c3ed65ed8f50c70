# -*- coding: utf-8 -*-
"""What applications of Django cache, but for models: see `cases.py`."""
import datetime
import decimal
import functools

from django import forms
from django.core import exceptions, mail, paginator, signing, validators
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import F, Q, Value
from django.http import (Http404, HttpResponse, HttpResponseForbidden, HttpResponseNotAllowed,
                         HttpResponsePermanentRedirect, JsonResponse, QueryDict)
from django.http.request import RawPostDataException, UnreadablePostError
from django.template import Context, Engine, TemplateDoesNotExist
from django.utils import dateparse, html, timezone, translation
from django.utils.datastructures import MultiValueDict
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe

from cases import PY2, Clock, Day, Moment, case, of, set_up

Decimal = decimal.Decimal
case = functools.partial(case, 'django')


class Contact(forms.Form):
    name = forms.CharField(max_length=5)
    mail = forms.EmailField()
    age = forms.IntegerField(min_value=18)


def errors(data):
    return Contact(data).errors


def rendered(source, **context):
    return Engine().from_string(source).render(Context(context))


# Text ------------------------------------------------------------------------

case('fragment', lambda: rendered(u'<tr><td>{{ a }}</td><td>{{ b|safe }}</td></tr>', a=u'<&>', b=u'<i>'))
case('fragment of umlauts', lambda: rendered(u'<p>{{ a|upper }}</p>', a=u'gr\xfc\xdfe'))
case('fragments', lambda: {'nav': mark_safe(u'<nav>'), 'plain': u'x', 'foot': [mark_safe(u'\xa9 2024')]})
case('native fragment', lambda: mark_safe('<hr class="thin">'))
case('bytes fragment', lambda: mark_safe(b'<hr>'))
case('joined', lambda: html.format_html_join(u', ', u'<b>{}</b>', [(u'a',), (u'\u4e2d',)]))
case('conditional', lambda: html.conditional_escape(mark_safe(u'<ok>')))
case('linebreaks', lambda: of('django.utils.html', 'linebreaks')(u'a\n\nb'))
case('lazy text', lambda: of('django.utils.translation', 'gettext_lazy')(u'Save'))
case('lazy text of 1.11', lambda: of('django.utils.translation', 'ugettext_lazy')('Save'))
case('lazy in context', lambda: of('django.utils.translation', 'pgettext_lazy')(u'month', u'May'))
case('lazy plural', lambda: of('django.utils.translation', 'ngettext_lazy')('%d item', '%d items', 3))
case('lazy choices', lambda: [(1, of('django.utils.translation', 'gettext_lazy')('One')), (2,
    translation.gettext_lazy(u'Two'))])
case('lazy format', lambda: of('django.utils.text', 'format_lazy')(u'{} {}', u'a', translation.gettext_lazy(u'b')))
case('lazy object', lambda: SimpleLazyObject(lambda: {u'k': [1, u'\xe9']}))
case('slug', lambda: of('django.utils.text', 'slugify')(u'Gr\xfc\xdfe an alle'))

# Requests and responses ------------------------------------------------------

case('query', lambda: QueryDict('tag=a&tag=b&q=%C3%A9&empty='))
case('changed query', lambda: set_up(QueryDict(mutable=True), lambda q: q.setlist('a', [u'1', u'2']),
    lambda q: q.update({u'b': u'x'})))
case('latin query', lambda: QueryDict('q=%E9', encoding='latin-1'))
case('posted', lambda: MultiValueDict({'name': [u'Zo\xeb'], 'langs': ['de', 'fr']}))
case('values', lambda: MultiValueDict({u'empty': [], u'one': [1]}))
case('page', lambda: HttpResponse(u'<h1>\u017c\xf3\u0142w</h1>', status=201))
case('ascii page', lambda: set_up(HttpResponse('<h1>ok</h1>'), lambda r: r.__setitem__('Cache-Control',
    'max-age=60')))
case('page with cookies', lambda: set_up(HttpResponse(b'x'), lambda r: r.set_cookie('lang', 'de', path='/de',
    httponly=True)))
case('deleted cookie', lambda: set_up(HttpResponse(''), lambda r: r.delete_cookie('lang')))
case('headers of its own', lambda: set_up(HttpResponse('a'), lambda r: r.__setitem__('X-A', u'b'),
    lambda r: r.__setitem__('ETag', '"x"')))
case('empty page', lambda: HttpResponse(status=204))
case('binary page', lambda: HttpResponse(b'\x89PNG\r\n\xff', content_type='image/png'))
case('json', lambda: JsonResponse({'a': [1, u'\xe9']}, safe=False))
case('moved', lambda: HttpResponsePermanentRedirect('https://example.org/x'))
case('forbidden', lambda: HttpResponseForbidden(u'no'))
case('not allowed', lambda: HttpResponseNotAllowed(['GET', 'HEAD']))
case('cached parts', lambda: {'body': b'<p>x</p>', 'headers': [('Vary', 'Cookie')],
    'at': timezone.now().replace(2024, 1, 1, 0, 0, 0, 0)})
case('vary list', lambda: ['HTTP_ACCEPT', 'HTTP_COOKIE', u'HTTP_X_TENANT'])

# Sessions --------------------------------------------------------------------

case('session of a user', lambda: {'_auth_user_id': '12', '_auth_user_backend': 'shop.auth.Backend',
    '_auth_user_hash': 'a1' * 20, '_session_expiry': 0})
case('session of texts', lambda: {u'_auth_user_id': u'12', u'_password_reset_token': u'set-password',
    u'_csrftoken': u'Qx' * 32})
case('session with a form', lambda: {'wizard': {'step': 2, 'data': QueryDict('a=1')}, 'errors': [u'Zu kurz']})
case('session with money', lambda: {'total': Decimal('3.10'), 'valid': timezone.now().replace(2030, 1, 1, 0, 0, 0,
    0)})
case('session with labels', lambda: {'title': translation.gettext_lazy('Cart'), 'html': mark_safe(u'<b>1</b>')})
case('session of another kind', lambda: {'next': u'/k\xe4se/', 'ids': [1, 2], 'admin': False, 'until': Day(2030, 1,
    1)})
case('messages', lambda: [of('django.contrib.messages.storage.base', 'Message')(20, u'Gel\xf6scht', extra_tags=u'x')])

# Dates -----------------------------------------------------------------------

case('now', lambda: timezone.now().replace(2024, 2, 29, 23, 59, 59, 1))
case('utc', lambda: timezone.utc)
case('fixed', lambda: timezone.get_fixed_timezone(-150))
case('moment in a fixed zone', lambda: Moment(2024, 6, 1, 8, tzinfo=timezone.get_fixed_timezone(90)))
case('default zone', lambda: timezone.get_default_timezone())
case('local', lambda: timezone.localtime(Moment(2024, 6, 1, tzinfo=getattr(timezone, 'utc',
    None) or datetime.timezone.utc)))
case('parsed', lambda: [dateparse.parse_datetime(u'2024-06-01T08:30:00+02:00'), dateparse.parse_date(u'2024-06-01'),
    dateparse.parse_duration(u'3 00:00:01')])
case('parsed clock', lambda: [dateparse.parse_time(u'08:30:59.5'), Clock(8)])

# Forms, validation and errors ------------------------------------------------

case('form errors', lambda: errors({'name': u'too long', 'mail': u'x', 'age': 3}))
case('no errors', lambda: errors({'name': u'ok', 'mail': u'a@b.ch', 'age': 30}))
case('error texts', lambda: dict((k, [u'%s' % e for e in v]) for k, v in errors({}).items()))
case('cleaned', lambda: set_up(Contact({'name': u'ok', 'mail': u'a@b.ch', 'age': u'30'}),
    lambda f: f.is_valid()).cleaned_data)
case('invalid', lambda: exceptions.ValidationError(u'Zu %(n)d', code='long', params={'n': 3}))
case('invalid list', lambda: exceptions.ValidationError([exceptions.ValidationError(u'a', code='x'), u'b']))
case('invalid fields', lambda: exceptions.ValidationError({'name': [u'no']}))
case('not there', lambda: Http404(u'no such shop'))
case('suspicious', lambda: exceptions.SuspiciousOperation('host'))
case('several', lambda: exceptions.MultipleObjectsReturned('2'))
case('no template', lambda: TemplateDoesNotExist('a.html', tried=[], chain=[]))
case('bad signature', lambda: signing.BadSignature('x'))
case('unreadable', lambda: [UnreadablePostError('cut'), RawPostDataException('read')])
case('pattern validator', lambda: validators.RegexValidator(u'^[a-z]+$', message=u'no'))
case('length validator', lambda: [validators.MaxLengthValidator(5), validators.MinValueValidator(Decimal('0.5'))])
case('mail validator', lambda: validators.EmailValidator())
case('widget', lambda: forms.TextInput(attrs={'class': 'wide'}))
case('empty page of many', lambda: paginator.EmptyPage('none'))
case('third page', lambda: paginator.Paginator([u'a', u'b', u'c', u'd', u'e'], 2).page(3))
case('paginator', lambda: paginator.Paginator(list(range(9)), 4))

# Others ----------------------------------------------------------------------

case('mail', lambda: mail.EmailMessage(u'S\xfc\xdf', u'body', 'a@example.org', ['b@example.org'],
    headers={'X-A': '1'}))
case('mail with a file', lambda: set_up(mail.EmailMultiAlternatives('s', 'b', 'a@example.org', ['b@example.org']),
                                        lambda m: m.attach('a.txt', u'text', 'text/plain'),
                                        lambda m: m.attach_alternative(u'<p>', 'text/html')))
case('upload', lambda: SimpleUploadedFile('a.txt', b'abc\xff'))
case('condition', lambda: Q(age__gt=3) | ~Q(name=u'x', done=None))
case('expression', lambda: F('price') * 2)
case('constant', lambda: Value(5))
case('context', lambda: Context({'a': 1, 'b': u'\xe9'}))
case('template engine text', lambda: [rendered(u'{% if x %}y{% endif %}', x=PY2 or True), u'z'])
case('signer', lambda: signing.Signer(key='k', salt='s') if not PY2 else signing.Signer('k', salt='s'))
case('choices', lambda: list(forms.ChoiceField(choices=[('a', u'A'), ('b', u'B')]).choices))

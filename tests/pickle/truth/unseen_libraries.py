# -*- coding: utf-8 -*-
"""Values of libraries of `unseen_values`: each environment has other releases of them."""
import functools
import operator

from making import Day, Decimal, Moment, attributes, case, get, set_up, text

library = functools.partial(case, 'library')
np, pd, sql = [functools.partial(get, name) for name in ('numpy', 'pandas', 'sqlalchemy')]


def cells(value):
    return [value.dtype.kind, list(value.shape), [text(cell) for cell in value.ravel().tolist()]]


for name, make in [
        ('grid', lambda: np('arange')(6).reshape(2, 3)), ('columns first', lambda: np('asfortranarray')([[1, 2], [3, 4]])), ('truths', lambda: np('array')([True, False])),
        ('complex', lambda: np('array')([1 + 2j])), ('spans', lambda: np('array')([1, 2], 'm8[s]')), ('halves', lambda: np('array')([1.5], 'f2')), ('decimals', lambda: np('array')([Decimal('1.5')], dtype=object)),
        ('point', lambda: np('array')(5)), ('big ends', lambda: np('array')([1, 2], '>i4')), ('moments', lambda: np('array')(['2024-01-01T00:00'], 'M8[ns]')), ('masked grid', lambda: np('ma.array')([[1, 2]], mask=[[0, 1]])),
        ('many', lambda: np('zeros')(300)), ('characters', lambda: np('char.array')(['a', 'b']))]:
    library('numpy ' + name, make, cells)
for name, make, use in [
        ('truth', lambda: np('bool_')(True), lambda v: [bool(v)]), ('text', lambda: np('array')([u'a'])[0], lambda v: [v.upper()]), ('record', lambda: np('array')([(1, 2.5)], dtype='i4,f8')[0], lambda v: [v[0].item(), v[1].item()]),
        ('type', lambda: np('dtype')('M8[us]'), lambda v: [v.str]), ('function', lambda: np('sqrt'), lambda v: [float(v(9))]), ('class', lambda: np('float64'), lambda v: [float(v(3))]), ('error', lambda: np('linalg.LinAlgError')(u'x'), lambda v: [list(v.args)]),
        ('seeds', lambda: np('random.SeedSequence')(5), lambda v: [v.entropy]), ('bits', lambda: np('random.PCG64')(5), lambda v: [int(v.random_raw())]), ('Chebyshev', lambda: np('polynomial.Chebyshev')([1, 2]), lambda v: [float(v(1.0))]),
        ('hidden', lambda: [np('ma.masked')], lambda v: [v[0] is np('ma.masked')])]:
    library('numpy ' + name, make, use)


def shown(value):
    return [text(part) for part in value.tolist()]


for name, make in [
        ('spans', lambda: pd('to_timedelta')([1, 2], unit='s')), ('quarters', lambda: pd('period_range')('2024', periods=2, freq='Q')), ('intervals', lambda: pd('interval_range')(0, 2)), ('floats', lambda: pd('Index')([1.5, 2.5])),
        ('truths', lambda: pd('Series')([True, False])), ('nullable truths', lambda: pd('Series')([True, None], dtype='boolean')), ('texts', lambda: pd('Series')(['a', None], dtype='string')), ('small', lambda: pd('Series')([1, 2], dtype='Int8')),
        ('moments of a zone', lambda: pd('Series')(pd('date_range')('2024-01-01', periods=2, tz='Asia/Tokyo'))), ('objects', lambda: pd('Series')([Decimal('1.5'), u'x'])), ('kinds in order', lambda: pd('Series')(pd('Categorical')(['a', 'b'], ordered=True)))]:
    library('pandas ' + name, make, shown)
for name, make, use in [
        ('table of levels', lambda: pd('DataFrame')([[1, 2]], columns=pd('MultiIndex.from_tuples')([(u'a', u'x'), (u'a', u'y')])), lambda v: [v.values.tolist(), list(v.columns)]), ('table of kinds', lambda: pd('DataFrame')({u'k': pd('Categorical')([u'a', u'b'])}), lambda v: [v[u'k'].tolist()]),
        ('table of all', lambda: pd('DataFrame')({u'i': [1], u'f': [1.5], u't': [u'x'], u'm': [pd('Timestamp')('2024-01-01')]}), lambda v: [int(v[u'i'][0]), v[u't'][0], text(v[u'm'][0])]), ('missing', lambda: [pd('NA')], lambda v: [v[0] is pd('NA')]),
        ('business day', lambda: pd('offsets.BusinessDay')(), lambda v: [text(Moment(2024, 1, 5) + v)]), ('months', lambda: pd('DateOffset')(months=1), lambda v: [text(Moment(2024, 1, 5) + v)]), ('kind type', lambda: pd('CategoricalDtype')([u'a']), lambda v: [list(v.categories)]),
        ('zone type', lambda: pd('DatetimeTZDtype')('ns', 'UTC'), lambda v: [text(v)]), ('error', lambda: pd('errors.ParserError')(u'x'), lambda v: [list(v.args)]), ('stamps', lambda: {pd('Timestamp')('2024-01-01'): 1}, lambda v: [[text(k) for k in v]])]:
    library('pandas ' + name, make, use)

for name, make, use in [
        ('select', lambda: sql('select')(sql('literal_column')('1')), lambda v: [text(v).split()[0]]), ('condition', lambda: sql('and_')(sql('column')('a') == 1, sql('column')('b') == 2), lambda v: [text(v)]), ('function', lambda: sql('func').count(sql('column')('a')), lambda v: [text(v)]),
        ('tables', lambda: set_up(sql('MetaData')(), lambda m: sql('Table')('t', m, sql('Column')('id', sql('Integer')))), lambda v: [sorted(v.tables)]), ('enum type', lambda: sql('Enum')('a', 'b', name='e'), lambda v: [list(v.enums)]), ('moment type', lambda: sql('DateTime')(timezone=True), lambda v: [v.timezone]),
        ('number type', lambda: sql('Numeric')(5, 2), lambda v: [v.precision, v.scale]), ('locked', lambda: get('sqlalchemy.exc', 'OperationalError')(u's', None, ValueError(u'x')), lambda v: [v.statement]), ('argument', lambda: get('sqlalchemy.exc', 'ArgumentError')(u'x'), lambda v: [list(v.args)]),
        ('author', lambda: get('steady_tables', 'Author')(id=5, name=u'B', books=[get('steady_tables', 'Book')(id=7, title=u'T')]), lambda v: [v.name, v.books[0].title, v.books[0].author is v]), ('key', lambda: sql('ForeignKey')('a.id'), lambda v: [v.target_fullname])]:
    library('sqlalchemy ' + name, make, use)

dj = lambda path: get(*path.rsplit('.', 1))  # noqa: E731
for name, make, use in [
        ('not found', lambda: dj('django.http.HttpResponseNotFound')(b'no'), lambda v: [v.status_code, v.content]), ('with a cookie', lambda: set_up(dj('django.http.HttpResponse')(b'x'), lambda v: v.set_cookie('a', 'b')), lambda v: [v.content, v.cookies['a'].value]),
        ('not modified', lambda: dj('django.http.HttpResponseNotModified')(), lambda v: [v.status_code]), ('query to change', lambda: dj('django.http.QueryDict')('a=1', mutable=True), lambda v: [v['a'], v._mutable]), ('no such key', lambda: dj('django.utils.datastructures.MultiValueDictKeyError')('a'), lambda v: [list(v.args)]),
        ('field', lambda: dj('django.forms.CharField')(max_length=5), lambda v: [v.max_length, v.clean(u'x')]), ('number field', lambda: dj('django.forms.IntegerField')(min_value=1), lambda v: [v.clean(u'3')]), ('message', lambda: dj('django.contrib.messages.storage.base.Message')(20, u'x'), lambda v: [v.level, v.message]),
        ('group', lambda: dj('django.contrib.auth.models.Group')(id=1, name=u'g'), attributes('id', 'name')), ('kind of content', lambda: dj('django.contrib.contenttypes.models.ContentType')(id=1, app_label=u'a', model=u'm'), attributes('id', 'model')), ('not a condition', lambda: ~dj('django.db.models.Q')(a=1), lambda v: [v.negated]),
        ('sum of fields', lambda: dj('django.db.models.F')('a') + 1, lambda v: [v.connector, v.lhs.name]), ('value', lambda: dj('django.db.models.Value')(3), attributes('value')), ('count', lambda: dj('django.db.models.Count')('x'), lambda v: [v.name]), ('lower limit', lambda: dj('django.core.validators.MinValueValidator')(3), lambda v: [v.limit_value, v(4)]),
        ('address check', lambda: dj('django.core.validators.URLValidator')(), lambda v: [v(u'http://example.org/')]), ('pattern check', lambda: dj('django.core.validators.RegexValidator')(u'^a$'), lambda v: [v(u'a')]), ('UTC', lambda: [dj('django.utils.timezone.utc')], lambda v: [text(v[0].utcoffset(None))]),
        ('mail', lambda: dj('django.core.mail.EmailMessage')(u's', u'b', 'a@b.ch', ['c@d.ch']), lambda v: [v.subject, v.to, bool(v.message())]), ('denied', lambda: dj('django.core.exceptions.PermissionDenied')(u'x'), lambda v: [list(v.args)]), ('misconfigured', lambda: dj('django.core.exceptions.ImproperlyConfigured')(u'x'), lambda v: [list(v.args)]),
        ('integrity', lambda: dj('django.db.IntegrityError')(u'x'), lambda v: [list(v.args)]), ('context', lambda: dj('django.template.Context')({u'a': 1}), lambda v: [v[u'a']]), ('list that stays', lambda: dj('django.utils.datastructures.ImmutableList')([1]), lambda v: [list(v), v.warning[:5]]), ('upload', lambda: dj('django.core.files.uploadedfile.SimpleUploadedFile')('a', b'x'), lambda v: [v.read(), v.size]),
        ('node', lambda: dj('django.utils.tree.Node')([1], 'AND'), lambda v: [v.children, v.connector]), ('invalid list', lambda: dj('django.core.exceptions.ValidationError')([u'a', u'b']), lambda v: [v.messages]), ('none', lambda: dj('ferry.models.Buoy').objects.none(), lambda v: [list(v)]), ('lazy', lambda: dj('django.utils.functional.SimpleLazyObject')(lambda: 3), lambda v: [v + 1])]:
    library('django ' + name, make, use)

for name, path, args, use in [
        ('group of tasks', 'celery.group', ([],), lambda v: [list(v.tasks)]), ('no such task', 'celery.exceptions.NotRegistered', (u'x',), lambda v: [list(v.args)]), ('reject', 'celery.exceptions.Reject', (u'r', True), attributes('reason', 'requeue')), ('retries', 'celery.exceptions.MaxRetriesExceededError', (u'x',), lambda v: [list(v.args)]),
        ('soft limit', 'billiard.exceptions.SoftTimeLimitExceeded', (3,), lambda v: [list(v.args)]), ('lost worker', 'billiard.exceptions.WorkerLostError', (u'x',), lambda v: [list(v.args)]), ('every', 'celery.schedules.schedule', (5,), lambda v: [v.run_every.seconds]), ('state', 'celery.states.state', ('SUCCESS',), lambda v: [v > 'PENDING']),
        ('exchange', 'kombu.Exchange', ('e',), attributes('name', 'type')), ('queue', 'kombu.Queue', ('q',), attributes('name', 'durable')), ('string zone', 'dateutil.tz.tzstr', ('EST5EDT',), lambda v: [text(v.utcoffset(Moment(2024, 1, 1)))]), ('range zone', 'dateutil.tz.tzrange', ('EST', -18000), lambda v: [text(v.utcoffset(Moment(2024, 1, 1)))]),
        ('weekday', 'dateutil.rrule.weekday', (1, 2), attributes('weekday', 'n')), ('minutes', 'pytz.FixedOffset', (60,), lambda v: [text(v.utcoffset(None))]), ('no zone', 'pytz.UnknownTimeZoneError', (u'x',), lambda v: [list(v.args)]), ('login', 'requests.auth.HTTPBasicAuth', ('u', 'p'), attributes('username', 'password')),
        ('slow', 'requests.Timeout', (u'x',), lambda v: [list(v.args)]), ('redirects', 'requests.TooManyRedirects', (u'x',), lambda v: [list(v.args), v.response]), ('adapter', 'requests.adapters.HTTPAdapter', (), lambda v: [v.max_retries.total]), ('address', 'urllib3.util.parse_url', ('http://a/b',), lambda v: [v.host, v.path]),
        ('not an address', 'urllib3.exceptions.LocationParseError', (u'x',), attributes('location')), ('bad request', 'werkzeug.exceptions.BadRequest', (u'x',), attributes('code', 'description')), ('not allowed', 'werkzeug.exceptions.MethodNotAllowed', (['GET'],), lambda v: [v.code, list(v.valid_methods)]), ('accepts', 'werkzeug.datastructures.MIMEAccept', ([('text/html', 1)],), lambda v: [v.best]),
        ('combined', 'werkzeug.datastructures.CombinedMultiDict', ([{'a': '1'}],), lambda v: [v['a']]), ('stays', 'werkzeug.datastructures.ImmutableDict', ({'a': 1},), lambda v: [v['a']]), ('undefined', 'jinja2.UndefinedError', (u'x',), lambda v: [v.message]), ('template', 'jinja2.TemplateSyntaxError', (u'm', 3), attributes('message', 'lineno')),
        ('recently used', 'jinja2.utils.LRUCache', (5,), lambda v: [v.capacity, len(v), v.setdefault(1, 2)]), ('sorted by key', 'sortedcontainers.SortedKeyList', ([1, 2], operator.neg), list), ('least used', 'boltons.cacheutils.LRI', (5,), lambda v: [v.max_size, len(v)]), ('one to one', 'boltons.dictutils.OneToOne', ({1: 2},), lambda v: [v.inv[2]]),
        ('frozen dict', 'boltons.dictutils.FrozenDict', ({1: 2},), lambda v: [v[1]]), ('link', 'boltons.urlutils.URL', (u'http://a/b',), lambda v: [v.host, v.to_text()]), ('bad XML', 'lxml.etree.XMLSyntaxError', (u'm', 1, 2, 3), lambda v: [list(v.args)]), ('object of XML', 'lxml.objectify.fromstring', (b'<a><b>3</b></a>',), lambda v: [int(v.b)]),
        ('scalar of YAML', 'yaml.ScalarNode', (u't', u'v'), attributes('tag', 'value')), ('bad YAML', 'yaml.scanner.ScannerError', (u'c', None, u'p', None), attributes('context', 'problem')), ('factory', 'attr.Factory', (list,), lambda v: [v.factory()]), ('instance of', 'attr.validators.instance_of', (int,), lambda v: [v.type]),
        ('secret', 'pydantic.SecretStr', (u'x',), lambda v: [v.get_secret_value()]), ('line', 'shapely.geometry.LineString', ([(0, 0), (3, 4)],), lambda v: [v.length]), ('points', 'shapely.geometry.MultiPoint', ([(0, 0), (1, 1)],), lambda v: [len(v.geoms)]), ('sparse', 'scipy.sparse.csr_matrix', ([[0, 1]],), lambda v: [v.toarray().tolist()]),
        ('labels', 'sklearn.preprocessing.LabelEncoder', (), lambda v: [v.fit([1, 2]).transform([2]).tolist()]), ('wrapped', 'joblib.wrap_non_picklable_objects', (lambda x: x + 1,), lambda v: [v(3)])]:
    library(name, lambda path=path, args=args: dj(path)(*args), use)
library('nothing of attrs', lambda: [get('attr', 'NOTHING')], lambda v: [v[0] is get('attr', 'NOTHING')])
library('neighbours', lambda: get('sklearn.neighbors', 'KNeighborsClassifier')(1).fit([[0], [1]], [0, 1]), lambda v: [v.predict([[1]]).tolist()])
library('regression', lambda: get('sklearn.linear_model', 'Ridge')().fit([[0], [1]], [0, 1]), lambda v: [round(float(v.predict([[1]])[0]), 5)])
library('day of a rule', lambda: get('dateutil.relativedelta', 'relativedelta')(weekday=get('dateutil.relativedelta', 'MO')(1)), lambda v: [Day(2024, 1, 3) + v])

# -*- coding: utf-8 -*-
"""Values of libraries and of an application, to make rules by: those that rules are
measured with are others. The same file on Python 2.7 and on 3.6 and later; a value that
raises is not to be had there.

A case says what its value is used for, for what it holds differs by release: `USES`, by
case. What that needs and the value lacks makes it unusable.
"""
import functools

from making import CASES, USES, Day, Decimal, Moment, attributes, case, get, given, later, set_up, tell, text  # noqa: F401

library = functools.partial(case, 'library')
same = functools.partial(case, 'same')
changed = functools.partial(case, 'changed')

# NumPy ------------------------------------------------------------------------

np, array = functools.partial(get, 'numpy'), later('numpy', 'array')


def cells(value):
    return [value.dtype.str, list(value.shape), value.tolist(), bool(value.flags.writeable)]


library('numbers', lambda: array([1.5, 2, -3]), cells)
library('small numbers', lambda: array([[1, 2], [3, 4]], 'i2').T, cells)
library('words', lambda: array([u'a', u'bcd']), cells)
library('raw words', lambda: array([b'a', b'bcd']), cells)
library('objects', lambda: array([u'x', None, (1, 2)], dtype=object), cells)
library('days', lambda: array(['2024-02-29', 'NaT'], 'M8[D]'), lambda v: [v.dtype.str, [text(d) for d in v]])
library('empty', lambda: np('zeros')((0, 3)), cells)
library('records', lambda: array([(1, 2.5), (3, 4.0)], dtype=[('a', 'i4'), ('b', 'f8')]),
        lambda v: [v['a'].tolist(), v['b'].tolist(), v.dtype.names])
library('recarray', lambda: np('rec.array')([(1, 2.5)], dtype=[('a', 'i4'), ('b', 'f8')]), lambda v: [v.a.tolist()])
library('masked', lambda: np('ma.array')([1, 2, 3], mask=[0, 1, 0]), lambda v: [v.filled(-1).tolist(), v.mask.tolist()])
library('matrix', lambda: np('matrix')([[1, 2]]), lambda v: [(v * v.T).tolist()])
library('scalar', lambda: np('float32')(2.5), lambda v: [float(v), v.dtype.str])
library('integer scalar', lambda: {u'n': np('int64')(7)}, lambda v: [int(v[u'n'])])
library('moment', lambda: np('datetime64')('2024-02-29T12:00'), lambda v: [text(v)])
library('type of cells', lambda: np('dtype')([('x', '<f4'), ('y', 'S3')]), lambda v: [v.names, v['y'].str])
library('generator', lambda: np('random.RandomState')(5), lambda v: [v.randint(0, 100, 3).tolist()])
library('new generator', lambda: np('random.default_rng')(5), lambda v: [v.integers(0, 100, 3).tolist()])
library('polynomial', lambda: np('poly1d')([1, 2]), lambda v: [v(3)])
library('series of powers', lambda: np('polynomial.Polynomial')([1, 2]), lambda v: [v(3.0)])
library('function of cells', lambda: np('add'), lambda v: [v(1, 2).tolist()])

# pandas -----------------------------------------------------------------------

pd = functools.partial(get, 'pandas')


def labels(value):
    return [[text(label) for label in value.tolist()], value.name]


def column(value):
    return [[text(cell) for cell in value.tolist()], [text(label) for label in value.index.tolist()], value.name]


def table(value):
    return [[text(name), column(value[name])] for name in value.columns]


library('labels', lambda: pd('Index')([3, 1, 2]), labels)
library('labels of words', lambda: pd('Index')([u'a', u'b'], name=u'letter'), labels)
library('range of labels', lambda: pd('RangeIndex')(4), labels)
library('dates', lambda: pd('date_range')('2024-01-01', periods=3), labels)
library('dates with a zone', lambda: pd('date_range')('2024-01-01', periods=2, tz='UTC'), labels)
library('months', lambda: pd('period_range')('2024-01', periods=2, freq='M'), labels)
library('steps', lambda: pd('MultiIndex.from_product')([[1, 2], [u'a']], names=[u'n', u'w']), lambda v: [v.tolist(), list(v.names)])
library('kinds', lambda: pd('CategoricalIndex')([u'a', u'b', u'a']), labels)
library('column', lambda: pd('Series')([1.5, None, 3], name=u'x'), column)
library('column of words', lambda: pd('Series')([u'a', u'b'], index=[u'k', u'l']), column)
library('column of kinds', lambda: pd('Series')([u'a', u'b', u'a'], dtype='category'), column)
library('whole numbers with gaps', lambda: pd('Series')([1, None], dtype='Int64'), column)
library('table', lambda: pd('DataFrame')({u'a': [1, 2], u'b': [u'x', u'y']}), table)
library('table by days', lambda: pd('DataFrame')({u'v': [1.0, 2.0]}, index=pd('date_range')('2024-01-01', periods=2)), table)
library('empty table', lambda: pd('DataFrame')(columns=[u'a', u'b']), table)
library('timestamp', lambda: pd('Timestamp')('2024-02-29 12:00'), lambda v: [v.isoformat()])
library('timestamp with a zone', lambda: pd('Timestamp')('2024-02-29 12:00', tz='Europe/Zurich'), lambda v: [v.isoformat()])
library('span', lambda: pd('Timedelta')('1 days 02:00:00'), lambda v: [v.total_seconds()])
library('month', lambda: pd('Period')('2024-02', freq='M'), lambda v: [text(v)])
library('interval', lambda: pd('Interval')(1, 3), lambda v: [v.left, v.right, v.closed])
library('nothing', lambda: [pd('NaT')], lambda v: [text(v[0])])
library('offset', lambda: pd('offsets.MonthEnd')(2), lambda v: [(v + Moment(2024, 1, 5)).isoformat()])

# SQLAlchemy ---------------------------------------------------------------------

sql = functools.partial(get, 'sqlalchemy')


mapped = functools.partial(get, 'steady_tables')
library('row of a query', lambda: mapped().rows()[0], lambda v: [list(v), v.name])
library('rows of a query', lambda: list(mapped().rows()), lambda v: [[list(row) for row in v]])
library('mapped object', lambda: mapped().Author(id=3, name=u'Ada'), attributes('id', 'name'))
library('loaded object', lambda: mapped().loaded(), attributes('id', 'name'))
library('object with others', lambda: mapped().with_books(), lambda v: [v.name, [book.title for book in v.books]])
library('expression', lambda: sql('text')('select 1'), lambda v: [text(v)])
library('column of a table', lambda: sql('Column')('id', sql('Integer'), primary_key=True), attributes('name', 'primary_key'))
library('table of columns', lambda: mapped().Author.__table__, lambda v: [[column.name for column in v.columns]])
library('error of a database', lambda: get('sqlalchemy.exc', 'IntegrityError')('insert', {u'a': 1}, ValueError('x')),
        attributes('statement', 'params', 'orig.args'))
library('nothing found', lambda: get('sqlalchemy.orm.exc', 'NoResultFound')('no row'), lambda v: [list(v.args)])
library('address of a database', lambda: get('sqlalchemy.engine.url', 'make_url')('sqlite:///x.db'), lambda v: [text(v), v.database])
library('kind of column', lambda: sql('String')(20), attributes('length'))

# Django ---------------------------------------------------------------------------

library('request of words', lambda: get('django.http', 'QueryDict')('a=1&a=2'), lambda v: [v.getlist('a'), v.urlencode()])
library('answer', lambda: get('django.http', 'HttpResponse')(b'<p>x</p>', status=201),
        lambda v: [v.status_code, v.content, v['Content-Type'], v.charset])
library('answer in JSON', lambda: get('django.http', 'JsonResponse')({u'a': 1}), lambda v: [v.content, v['Content-Type']])
library('answer of a template', lambda: set_up(get('django.template.response', 'TemplateResponse')(
    None, get('django.template', 'engines')['django'].from_string(u'<b>{{ a }}</b>'), {u'a': 1}), lambda r: r.render()),
        lambda v: [v.content, v.status_code, v.is_rendered, v['Content-Type']])
library('redirect', lambda: get('django.http', 'HttpResponseRedirect')('/x'), lambda v: [v['Location'], v.status_code])
library('safe text', lambda: get('django.utils.safestring', 'mark_safe')(u'<i>\xe9</i>'), lambda v: [u''.join(list(v)), hasattr(v, '__html__')])
library('lazy words', lambda: get('django.utils.translation', 'gettext_lazy')(u'Yes'), lambda v: [text(v)])
library('worker', lambda: get('orchard.models', 'Worker')(id=5, name=u'Ida', since=Day(2020, 2, 3)),
        attributes('id', 'name', 'since', 'pk', '_state.db', '_state.adding'))
library('user', lambda: get('django.contrib.auth.models', 'User')(id=1, username=u'ida', is_staff=True),
        attributes('id', 'username', 'is_staff', 'first_name', 'pk', 'is_anonymous'))
library('anonymous user', lambda: get('django.contrib.auth.models', 'AnonymousUser')(), lambda v: [text(v), v.pk])
library('condition', lambda: get('django.db.models', 'Q')(a=1) | get('django.db.models', 'Q')(b=2),
        lambda v: [v.connector, [child if isinstance(child, tuple) else child.children for child in v.children]])
library('reference', lambda: get('django.db.models', 'F')('area'), attributes('name'))
library('query', lambda: get('orchard.models', 'Worker').objects.filter(name=u'Ida').query, lambda v: [text(v.clone())[:6]])
library('invalid', lambda: get('django.core.exceptions', 'ValidationError')({'a': [u'no']}), lambda v: [v.message_dict])
library('missing page', lambda: get('django.http', 'Http404')(u'no'), given)
library('missing object', lambda: get('orchard.models', 'Worker').DoesNotExist('none'), given)
library('cookies', lambda: set_up(get('django.http', 'SimpleCookie')(), lambda c: c.load('a=1')), lambda v: [v['a'].value])
library('upload', lambda: get('django.core.files.base', 'ContentFile')(b'abc', name='a.txt'), lambda v: [v.read(), v.name, v.size])
library('page of many', lambda: get('django.core.paginator', 'Paginator')([1, 2, 3], 2).page(1), lambda v: [list(v), v.has_next()])
library('signer', lambda: get('django.core.signing', 'Signer')(salt='x'), lambda v: [v.sign('x')])
library('form of errors', lambda: get('django.forms.utils', 'ErrorList')([u'a', u'b']), lambda v: [list(v)])
library('zone of minutes', lambda: get('django.utils.timezone', 'get_fixed_timezone')(90), lambda v: [v.utcoffset(None), v.tzname(None)])
library('moment of UTC', lambda: Moment(2024, 5, 1, tzinfo=get('django.utils.timezone', 'now')().tzinfo), lambda v: [v.isoformat()])
library('many values', lambda: get('django.utils.datastructures', 'MultiValueDict')({'a': ['1', '2']}), lambda v: [v.getlist('a')])
library('permission', lambda: get('django.contrib.auth.models', 'Permission')(id=1, codename=u'x', name=u'X'),
        attributes('id', 'codename', 'name'))

# Others ---------------------------------------------------------------------------

library('response', lambda: set_up(later('requests', 'Response')(), lambda r: r.__dict__.update(
    status_code=200, _content=b'body', url=u'http://x/', encoding=u'utf-8'), lambda r: r.headers.update({'ETag': 'x'})),
        lambda v: [v.status_code, v.content, v.text, v.url, v.headers['etag'], v.ok])
library('session', lambda: set_up(later('requests', 'Session')(), lambda s: s.headers.update({'X': 'y'})),
        lambda v: [v.headers['x'], v.verify, sorted(v.adapters)])
library('request', lambda: later('requests', 'Request')('GET', 'http://x/', params={'a': 1}), lambda v: [v.method, v.prepare().url])
library('cookies of a session', lambda: set_up(get('requests.cookies', 'RequestsCookieJar')(), lambda c: c.set('a', 'b')),
        lambda v: [v.get('a')])
library('header fields', lambda: get('requests.structures', 'CaseInsensitiveDict')({'A': 'b'}), lambda v: [v['a'], list(v)])
library('old header fields', lambda: get('urllib3', 'HTTPResponse')(b'x', {'A': 'b'}).headers, lambda v: [v['a'], list(v.items())])
library('timeout', lambda: get('urllib3.util.timeout', 'Timeout')(3), lambda v: [v.connect_timeout])
library('tries', lambda: get('urllib3.util.retry', 'Retry')(3), lambda v: [v.total, v.increment('GET', '/').total])
library('HTTP error', lambda: later('requests', 'HTTPError')('404 Not Found'), lambda v: [list(v.args), v.response])
library('connection error', lambda: later('requests', 'ConnectionError')('refused'), lambda v: [list(v.args)])
library('signature of a task', lambda: get('celery', 'signature')('add', args=(1, 2)), lambda v: [v.task, list(v.args), v.options])
library('chain of tasks', lambda: get('celery', 'chain')(get('celery', 'signature')('a'), get('celery', 'signature')('b')),
        lambda v: [[task.task for task in v.tasks]])
library('result of a task', lambda: get('celery.result', 'EagerResult')('id', 3, 'SUCCESS'), lambda v: [v.get(), v.state])
library('retry of a task', lambda: get('celery.exceptions', 'Retry')('later', ValueError('x'), 3), lambda v: [v.message, v.when])
library('schedule', lambda: get('celery.schedules', 'crontab')(minute='5'), lambda v: [sorted(v.minute)])
library('error of a worker', lambda: get('billiard.exceptions', 'TimeLimitExceeded')(3), lambda v: [list(v.args)])
library('relative', lambda: get('dateutil.relativedelta', 'relativedelta')(months=1, days=2), lambda v: [(Day(2024, 1, 31) + v)])
library('rule', lambda: get('dateutil.rrule', 'rrule')(3, count=2, dtstart=Moment(2024, 1, 1)), lambda v: [list(v)])
library('UTC of dateutil', lambda: get('dateutil.tz', 'tzutc')(), lambda v: [v.utcoffset(None)])
library('offset of dateutil', lambda: get('dateutil.tz', 'tzoffset')('X', 3600), lambda v: [v.utcoffset(None), v.tzname(None)])
library('zone of dateutil', lambda: get('dateutil.tz', 'gettz')('Europe/Zurich'), lambda v: [v.utcoffset(Moment(2024, 7, 1))])
library('zone of pytz', lambda: get('pytz', 'timezone')('Europe/Zurich'), lambda v: [v.localize(Moment(2024, 7, 1)).isoformat()])
library('moment of pytz', lambda: get('pytz', 'timezone')('Asia/Tokyo').localize(Moment(2024, 7, 1)), lambda v: [v.isoformat()])
library('UTC of pytz', lambda: [get('pytz', 'utc')], lambda v: [v[0].zone])
library('markup', lambda: get('markupsafe', 'Markup')(u'<b>'), lambda v: [u''.join(list(v)), hasattr(v, '__html__')])
library('immutable fields', lambda: get('werkzeug.datastructures', 'ImmutableMultiDict')([('a', '1'), ('a', '2')]), lambda v: [v.getlist('a')])
library('fields', lambda: get('werkzeug.datastructures', 'MultiDict')([('a', '1')]), lambda v: [v['a']])
library('headers of werkzeug', lambda: get('werkzeug.datastructures', 'Headers')([('A', 'b')]), lambda v: [v['a']])
library('HTTP failure', lambda: get('werkzeug.exceptions', 'NotFound')('gone'), attributes('description', 'code'))
library('file of werkzeug', lambda: get('werkzeug.datastructures', 'ETags')(['a']), lambda v: [v.contains('a')])
library('sorted list', lambda: get('sortedcontainers', 'SortedList')([3, 1, 2]), lambda v: [list(v), v.bisect(2)])
library('sorted dict', lambda: get('sortedcontainers', 'SortedDict')({2: u'b', 1: u'a'}), lambda v: [list(v.items()), v.peekitem(0)])
library('sorted set', lambda: get('sortedcontainers', 'SortedSet')([2, 1]), lambda v: [list(v)])
library('ordered values', lambda: get('boltons.dictutils', 'OrderedMultiDict')([(u'a', 1), (u'a', 2)]), lambda v: [v.getlist(u'a')])
library('indexed set', lambda: get('boltons.setutils', 'IndexedSet')([3, 1]), lambda v: [list(v), v[0]])
library('lowest of numbers', lambda: get('boltons.statsutils', 'Stats')([1, 2, 3]), lambda v: [v.mean, v.count])
library('number of JSON', lambda: get('simplejson', 'RawJSON')('1.0'), attributes('encoded_json'))
library('error of JSON', lambda: get('simplejson', 'JSONDecodeError')('bad', '{', 1), attributes('msg', 'pos', 'doc'))
library('mark of YAML', lambda: get('yaml', 'Mark')('x', 1, 2, 3, None, None), attributes('name', 'line'))
library('error of YAML', lambda: get('yaml', 'YAMLError')('bad'), given)
library('tree of decisions', lambda: get('sklearn.tree', 'DecisionTreeClassifier')(random_state=0).fit([[0], [1]], [0, 1]),
        lambda v: [v.predict([[0], [1]]).tolist()])
library('line', lambda: set_up(get('sklearn.linear_model', 'LinearRegression')().fit([[0], [1]], [0, 1])),
        lambda v: [[round(float(y), 6) for y in v.predict([[2]])]])
library('scaler', lambda: get('sklearn.preprocessing', 'StandardScaler')().fit([[0.0], [2.0]]), lambda v: [v.transform([[1.0]]).tolist()])
library('point', lambda: get('shapely.geometry', 'Point')(1, 2), lambda v: [v.x, v.y])
library('polygon', lambda: get('shapely.geometry', 'Polygon')([(0, 0), (1, 0), (1, 1)]), lambda v: [v.area])
library('error of a path', lambda: get('lxml.etree', 'XPathError')('bad'), lambda v: [list(v.args)])

# The application, the same on both sides ---------------------------------------------

steady = functools.partial(get, 'steady')
for name, args in [
        ('Visit', (u'/x', Moment(2024, 1, 1), None)), ('Stay', (3, 2)),
]:
    same(name, lambda name=name, args=args: steady(name)(*args), list)
for name, args in [
        ('Reading', (u'm1', 3.5)), ('Ring', ([u'a', u'b'],)), ('Lazy', ({u'colour': u'red', 'colour': u'red'},)), ('Cell', (1, 2)),
        ('Wide', (1, 2, 3)), ('Sealed', (u'x', 3)), ('Account', (u'ida', Decimal('3.5'))), ('Route', (u'a', u'b', u'c')),
        ('Grid', ((2, 2), [1, 2, 3, 4])), ('Score', (7, u'good')), ('Version', (1, 2, 3)), ('Stack', (4,)),
        ('Window', ([1, 2], 5)), ('Bag', ([u'a', u'b', u'a'],)), ('Defaults', (list, {u'a': [1]})), ('Moment', (2024, 1, 2)),
        ('Price', ('3.50',)), ('Missing', (u'x', 3)), ('Rejected', (u'name', u'short')), ('Square', (3,)), ('Outer.Inner', (2,)),
        ('Old', (1,)), ('OldMade', (1, 2)), ('Blob', (b'raw',)), ('Title', ([u'a', u'b'],)), ('State', (u'live',)),
]:
    same(name, lambda name=name, args=args: steady(name)(*args), tell)
same('Reading chain', lambda: steady('Reading')(u'm', 2, steady('Reading')(u'm', 1)), tell)
same('Noted', lambda: set_up(steady('Noted')(1, 2), lambda v: setattr(v, 'note', u'n')), tell)
same('Registry', lambda: set_up(steady('Registry')(u'r'), lambda v: v.__setitem__(u'A', 1)), tell)
same('Counted', lambda: set_up(steady('Counted')(), lambda v: v.__setitem__(u'a', 1)), tell)
same('Conflict', lambda: steady('Conflict')(u'a', u'b'), given)
same('Handler', lambda: steady('Handler')(steady('double')), tell)
same('Handler of a method', lambda: steady('Handler')(steady('Handler')(None).twice), tell)
same('Rank', lambda: steady('Rank').TOP, int)
same('Planet', lambda: steady('Planet').MARS, attributes('name', 'value'))
same('Rights', lambda: steady('Rights')(5), attributes('value'))
same('Parcel', lambda: steady('Parcel')(u'x', 3, [1]), attributes('to', 'grams', 'items'))
same('Stamp', lambda: steady('Stamp')(u'ch', 85), attributes('country', 'cents'))
same('Label', lambda: steady('Label')(3, 4), attributes('width', 'height'))
same('Seal', lambda: steady('Seal')(u'red'), attributes('wax'))
same('Tree', lambda: steady('Tree')(u'oak', 30), attributes('kind', 'height', 'fruit'))
same('Leaf', lambda: steady('Leaf')(u'green', 2.5), attributes('colour', 'area'))
same('Seed', lambda: steady('Seed')(u'oak'), attributes('kind', 'grams'))
same('Bud', lambda: steady('Bud')(u'red'), attributes('colour'))
same('Login', lambda: steady('Login')(name=u'ida', tries=2), attributes('name', 'tries'))
same('Group', lambda: steady('Group')(title=u't', logins=[steady('Login')(name=u'ida')]), lambda v: [v.title, v.logins[0].name])
same('partial', lambda: steady('partial'), lambda v: [v(2)])
same('class', lambda: [steady('Cell'), steady('Outer.Inner')], list)
same('blob of bytes', lambda: {u'blob': steady('Blob')(b'\x80\xff')}, lambda v: [v[u'blob'].data])

# The application, changed between the sides --------------------------------------------

goods = functools.partial(get, 'orchard.goods')
# What it takes to make them where that is not what it was.
OTHERWISE = {
    'Grown': (u'a', 1, u'red'), 'Shrunk': (u'a', 1), 'LostDict': (), 'LostList': (), 'LostText': (), 'LostInt': (),
    'NeedsMore': (3, u'f'), 'NewArgs': (1, 2), 'ValueLost': (u'new',), 'ValueChanged': (u'New',), 'Bits': (1,),
    'Typed': (1, 2, 3), 'DataGrown': (u'a', 2), 'DataShrunk': (u'a',), 'DataSlots': (u'a', 2), 'AttrGrown': (u'a', 2),
    'AttrShrunk': (u'a',), 'Single': (),
}


def made(kind, args):
    try:
        return kind(*args)
    except (TypeError, ValueError):
        return kind(*OTHERWISE[kind.__name__])


for name, args, use in [
        ('Grown', (u'a', 1), attributes('sku', 'count')), ('Shrunk', (u'a', 1, u'red'), attributes('sku', 'count')),
        ('Turned', (1, 2), attributes('width', 'height')), ('Eased', (u'a', 1), attributes('sku', 'count')),
        ('Gained', (u'x',), tell), ('GainedDefault', (u'x',), tell), ('Lost', (u'x',), tell), ('Renamed', (u'x',), tell),
        ('StateAdded', (u'x',), tell), ('StateStricter', (u'x',), tell), ('StateToDict', (u'x',), tell),
        ('StateLonger', (u'x',), tell), ('ToFunction', (u'x',), tell), ('ToAbstract', (u'x',), tell),
        ('LostDict', ({u'a': 1},), tell), ('GainedDict', (u'x',), tell), ('LostList', ([1, 2],), tell),
        ('LostText', (u'x',), tell), ('LostInt', (3,), tell), ('ToFrozen', ([1, 2],), tell),
        ('SlotsGained', (1,), tell), ('SlotsLost', (1,), tell), ('SlotDropped', (1,), tell), ('SlotAdded', (1,), tell),
        ('Moved', (1,), tell), ('Kept', (1,), tell), ('NeedsMore', (3,), tell), ('NeedsMoreOrNot', (3,), tell),
        ('KeywordOnly', (3,), tell), ('Reduced', (1,), tell), ('Longer', (1,), tell), ('NewArgs', (1,), tell),
        ('NewArgsOrNot', (1,), tell), ('NewGained', (1,), tell), ('ToProperty', (1,), tell), ('AsksItself', (1,), tell),
        ('Guarded', (1,), tell), ('Guarded by text', (u'x',), tell), ('Child', (1, 2), tell), ('Orphan', (2,), tell),
        ('Helped', (1,), tell), ('Registered', (1,), tell), ('Group.Badge', (1,), tell), ('Group.Gone', (1,), tell),
        ('Single', (1,), tell), ('ValueLost', (u'old',), attributes('value')), ('ValueGained', (u'new',), attributes('value')),
        ('ValueRenamed', (u'new',), attributes('value')), ('ValueChanged', (u'new',), lambda v: [v.value.lower()]),
        ('LostInteger', (1,), lambda v: [int(v)]), ('GainedText', (u'new',), attributes('value')), ('Bits', (3,), attributes('value')),
        ('Typed', (1, 2), attributes('room', 'nights')), ('DataGrown', (u'a',), attributes('sku')),
        ('DataEased', (u'a',), attributes('sku')), ('DataFilled', (u'a',), attributes('sku')),
        ('DataShrunk', (u'a', 1), attributes('sku')), ('DataFrozen', (u'a',), attributes('sku')),
        ('DataSlots', (u'a',), attributes('sku')), ('DataToSlots', (u'a',), attributes('sku')),
        ('AttrGrown', (u'a',), attributes('kind')), ('AttrEased', (u'a',), attributes('kind')),
        ('AttrSlots', (u'a',), attributes('kind')), ('AttrToSlots', (u'a',), attributes('kind')),
        ('AttrShrunk', (u'a', 2), attributes('kind')),
]:
    changed(name, lambda name=name, args=args: made(goods(name.split(' ')[0]), args), use)
for name, count in [('DataGrown', 'count'), ('DataFilled', 'tags'), ('AttrGrown', 'height'), ('AttrEased', 'height')]:
    # What the class has more is used where it has it.
    changed(name + ' used whole', lambda name=name: made(goods(name), (u'a',)), lambda v: [repr(v)[:3]])
changed('to_class', lambda: goods('to_class')(u'x') and goods('to_class'), lambda v: [isinstance(v(u'x'), list)])
changed('Picky', lambda: set_up(goods('Picky')(), lambda v: v.__setitem__(u'a', 1)), tell)
changed('Appends', lambda: set_up(goods('Appends')(), lambda v: v.append(1)), tell)
changed('Comparing', lambda: {goods('Comparing')(1): u'x'}, lambda v: [v[goods('Comparing')(1)]])
changed('Zone', lambda: Moment(2024, 1, 1, tzinfo=goods('Zone')(60)), lambda v: [v.isoformat(), v.tzname()])
changed('ModelGrown', lambda: goods('ModelGrown')(name=u'a', tries=3), lambda v: [v.name, bool(repr(v))])
changed('ModelEased', lambda: goods('ModelEased')(name=u'a'), lambda v: [v.name, bool(repr(v))])
changed('ModelShrunk', lambda: goods('ModelShrunk')(name=u'a', tries=3), lambda v: [v.name])
changed('plot', lambda: get('orchard.models', 'Plot')(id=3, name=u'p', area=4), attributes('id', 'name', 'area'))
changed('harvest', lambda: get('orchard.models', 'Harvest')(id=3, plot_id=4, kilos=Decimal('2.5')), attributes('id', 'plot_id', 'kilos'))
changed('plots', lambda: {u'all': [get('orchard.models', 'Plot')(id=n, name=u'p') for n in range(3)]},
        lambda v: [[plot.name for plot in v[u'all']]])

"""Records which Python loads what others pickle of the values kept apart. With any
Python 3:

    record.py PYTHONS RECORD [later | learn | unseen_values]

`later` takes the cases of `later.py`, `learn` and `unseen_values`
those of `../truth`. PYTHONS is a directory of virtual environments
named by their Pythons, as `tests/setup` makes it; RECORD is what is written, in the
form of matrix.jsonl.xz, which its first line describes. Run again where all is the
same, it writes the same, but for two later cases that hold the time of writing
(`value/robots` and `django/json with a cookie`).
"""
import json
import lzma
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
INVENTORY = os.path.join(HERE, '..', '..', '..', 'src', 'pickle', 'inventory.py')
# As one application imports its modules.
IMPORTS = ['--django-settings', 'settings', '--import', 'shop', '--import', 'cases', '--import', 'django_cases']
# Beside another set of cases is an application of which Pythons have what it was before
# it was changed, or these, after.
TRUTH = os.path.join(HERE, '..', 'truth')
AFTER = {'learn': ('3.8', '3.13', '3.14'), 'unseen_values': ('3.6', '3.11', '3.14')}
APPLICATIONS = {
    'learn': 'steady steady_tables orchard.goods orchard.models',
    'unseen_values': 'unseen_same steady_tables ferry.deck ferry.modern ferry.models',
}
LIBRARIES = '''numpy pandas sqlalchemy sqlalchemy.orm.exc django django.core.paginator django.core.signing
    django.template.response django.contrib.auth.models requests celery celery.result celery.schedules
    billiard.exceptions attr pydantic sklearn.tree sklearn.linear_model sklearn.preprocessing shapely.geometry
    dateutil.relativedelta dateutil.rrule dateutil.tz pytz markupsafe werkzeug.datastructures
    werkzeug.exceptions sortedcontainers boltons.dictutils boltons.setutils boltons.statsutils simplejson yaml
    lxml.etree'''.split()
MORE_LIBRARIES = '''django.forms django.contrib.messages.storage.base django.core.mail django.core.validators kombu
    requests.auth urllib3 jinja2 boltons.cacheutils boltons.urlutils lxml.objectify scipy.sparse sklearn.neighbors joblib'''.split()
VERSIONS = 'import sys, django; print("%d.%d.%d %d.%d.%d" % (sys.version_info[:3] + django.VERSION[:3]))'
DOC = (
    'Pickles of values kept apart (tests/pickle/apart), written by the C picklers of many Pythons, and what'
    ' became of each under `loads` of all of them, measured by record.py in environments of tests/setup and'
    ' others like them. After this line, one line per pickle and meaning: b, base64 of it; r, per reader an'
    ' index into outcomes; w, {case index: [writer indexes]} of those that produce just these bytes; m,'
    ' digests of what it means, to Pythons like its writer and across 2 and 3; self, where not even its writer'
    ' can load it. Outcomes: ok, it means what it means to its writer; ok~, the same but for text and bytes;'
    ' diff, it means something else; unusable, it loads and fails in use; E, loading raises.')


def run(python, *args):
    environment = dict(os.environ, PYTHONHASHSEED='0', PYTHONWARNINGS='ignore', PYTHONIOENCODING='utf-8')
    if module() in AFTER:
        paths = [TRUTH, os.path.join(TRUTH, 'after' if python in AFTER[module()] else 'before')]
        environment.update(PYTHONPATH=os.pathsep.join(paths), DJANGO_SETTINGS_MODULE='truth_settings')
    program = os.path.abspath(os.path.join(sys.argv[1], python, 'bin', 'python'))
    command = [program, '-B', '-u'] + list(args)
    ended = subprocess.run(command, cwd=HERE, env=environment, stdout=subprocess.PIPE)
    # Code of another version can end the interpreter, which is an outcome.
    if ended.returncode < 0 and 'read' in args:
        return ended.stdout.decode() + '\nE the interpreter ended'
    ended.check_returncode()
    return ended.stdout.decode()


def module():
    """The module of the cases, if not the first."""
    return ''.join(sys.argv[3:])


def imports(python):
    """What an inventory is asked to import."""
    if module() not in AFTER:
        return IMPORTS
    wanted = APPLICATIONS[module()].split() + LIBRARIES
    wanted += MORE_LIBRARIES if module() == 'unseen_values' else []
    there = 'import importlib, sys\nfor name in sys.argv[1:]:\n    try: importlib.import_module(name); print(name)\n    except Exception: pass'
    found = run(python, '-c', 'import django; django.setup()\n' + there, *wanted).split()
    return [argument for name in found for argument in ('--import', name)]


def written(python):
    """Yields protocol, base64 and case."""
    for line in run(python, 'apart.py', 'write', *sys.argv[3:]).splitlines():
        yield line.split(' ', 2)


def readings(python, pickles):
    """What each of these (base64, case) is to this Python."""
    found = []
    while len(found) < len(pickles):
        with tempfile.NamedTemporaryFile('w') as file:
            file.writelines('%s %s\n' % pickle for pickle in pickles[len(found):])
            file.flush()
            found += [line for line in run(python, 'apart.py', 'read', file.name, *sys.argv[3:]).splitlines()[1:] if line]
    return dict(zip(pickles, found))


def is_digests(reading):
    return not reading.startswith(('E ', 'unusable '))


def outcome(reading, meant, alike):
    """alike: writer and reader are both 2 or both 3."""
    if not is_digests(reading):
        return reading
    exact, across = [a == b for a, b in zip(reading.split(), meant.split())]
    return 'ok' if exact else 'ok~' if across and not alike else 'diff'


def series(version):
    return version.rsplit('.', 1)[0]


class Numbers(dict):
    """Numbers what it is asked for."""

    def __missing__(self, key):
        return self.setdefault(key, len(self))


def main():
    pythons = [name for name in os.listdir(sys.argv[1]) if name[0].isdigit()]
    pythons.sort(key=lambda name: [int(part) for part in name.split('.')])
    versions = dict((python, run(python, '-c', VERSIONS).split()) for python in pythons)
    writers, cases, outcomes = Numbers(), Numbers(), Numbers()
    producers = {}
    for python in pythons:
        for protocol, pickled, case in written(python):
            producers.setdefault((pickled, case), []).append((python, protocol))
    read = dict((python, readings(python, list(producers))) for python in pythons)
    # Writers of the same bytes may mean different things.
    rows = {}
    for pickle, by in producers.items():
        for python, protocol in by:
            key = pickle + (read[python][pickle], python == '2.7')
            rows.setdefault(key, []).append(writers['%s/C/%s' % (python, protocol)])
    lines = []
    for (pickled, case, meant, by2), numbers in rows.items():
        row = {'b': pickled, 'w': {cases[case]: numbers}}
        if is_digests(meant):
            row['m'] = meant
            results = [outcome(read[python][pickled, case], meant, by2 == (python == '2.7')) for python in pythons]
        else:
            row['self'] = 1
            results = [read[python][pickled, case] for python in pythons]
        row['r'] = [outcomes[result] for result in results]
        lines.append(row)
    inventories = [json.loads(run(python, INVENTORY, *imports(python))) for python in pythons]
    head = {
        'doc': DOC, 'command': ' '.join(['record.py PYTHONS RECORD'] + sys.argv[3:]),
        'versions': versions, 'readers': pythons,
        'writers': list(writers), 'cases': list(cases), 'outcomes': list(outcomes), 'inventories': inventories,
        'frameworks': {'django': dict((python, series(django)) for python, (_, django) in versions.items())},
    }
    text = '\n'.join(json.dumps(line, sort_keys=True, separators=(',', ':')) for line in [head] + lines) + '\n'
    with open(sys.argv[2], 'wb') as file:
        file.write(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print('%d cases, %d pickles of %d, %d outcomes' % (len(cases), len(lines), len(writers), len(outcomes)))


if __name__ == '__main__':
    main()

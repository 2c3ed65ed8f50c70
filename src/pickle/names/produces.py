#!/usr/bin/env python3
"""Writes produces.txt beside itself: what of the standard library, of numpy and of
pandas pickles call, because pickling itself writes such calls.

    produces.py PICKLEGATE

PICKLEGATE is a built `picklegate`, which lists what the recorded pickles name
(tests/fixtures/pickles). The interpreters are those that generate.py finds. Those
of PICKLEGATE_PACKAGES, which have numpy and pandas, are asked about these. What a
run cannot ask is kept as it is: delete produces.txt to start anew.

Under each interpreter this same file runs as the probe, which is why it keeps
to what Python 2.7 understands. It calls nothing that it lists: whether a class is
pickled by its bare `__new__` is seen with an instance that is made just so.
"""
from __future__ import print_function

import json
import os
import pickle
import pickletools
import subprocess
import sys

import generate

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "../../../tests/fixtures/pickles")
PACKAGES = ("numpy", "pandas")

# Of these, only exceptions, enumerations and tuples are taken: their classes lead to
# files, code and processes, or are parts of programs that no cache holds.
CLOSED = set("""asyncio bdb cProfile code codeop commands ctypes distutils doctest imp
    importlib marshal multiprocessing nt os pdb pickle _pickle cPickle pkgutil platform
    popen2 posix posixpath profile pty pydoc runpy shelve shutil site socket socketserver
    ssl subprocess sys tempfile threading timeit trace tracemalloc types unittest
    urllib urllib2 webbrowser xmlrpc xmlrpclib _io io codecs dbm anydbm bz2 gzip lzma
    zipfile tarfile zipimport smtplib ftplib poplib imaplib nntplib telnetlib http
    httplib logging mailbox sqlite3 concurrent queue Queue sched select selectors
    signal tkinter Tkinter wsgiref contextlib functools weakref operator argparse
    ast asynchat asyncore audiodev binhex BaseHTTPServer CGIHTTPServer Canvas cgi cgitb
    chunk cmd compiler curses Dialog dis DocXMLRPCServer dummy_thread encodings
    FileDialog formatter getpass gettext glob hotshot ihooks imputil inspect mhlib
    mimetypes mimify modulefinder netrc optparse pickletools plistlib posixfile pstats
    pyclbr re rexec rlcompleter ScrolledText SimpleDialog SimpleHTTPServer
    SimpleXMLRPCServer smtpd SocketServer sre_compile sre_parse symtable tabnanny Tix
    Tkdnd tkColorChooser tkCommonDialog tkFileDialog tkFont tkMessageBox tkSimpleDialog
    tokenize toaiff ttk turtle typing warnings wave xdrlib zipapp""".split())

# A class that has these in Python may run them while it is loaded or dropped, or is
# given to what calls, compares or iterates it.
HOOKS = """__del__ __setstate__ __setattr__ __setitem__ __getitem__ __getattr__ __get__ __set__
    __set_name__ __getattribute__ append extend add keys __call__ __iter__ __next__ next
    __len__ __length_hint__ __contains__ __index__ __int__ __float__ __bytes__ __fspath__
    __hash__ __eq__ __cmp__ __reduce__ __reduce_ex__ __getnewargs__ __getnewargs_ex__
    __init_subclass__ __instancecheck__""".split()

# What built-in types pickles are made of; they do nothing but hold.
HOLDERS = """bool bytearray bytes complex dict float frozenset int list object set str
    tuple long unicode""".split()


# The probe: runs under each interpreter -----------------------------------------


def globals_of(value, protocol):
    """Yields what a pickle of the value names, as it stands in it."""
    strings = []
    for opcode, argument, _ in pickletools.genops(pickle.dumps(value, protocol)):
        if opcode.name in ("GLOBAL", "INST"):
            yield argument.replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL":
            yield ".".join(strings[-2:])
        elif "UNICODE" in opcode.name:
            strings.append(argument)


def names_of(cls):
    """How pickles call a class, of all protocols; none if it cannot be named."""
    found = set()
    for protocol in (0, pickle.HIGHEST_PROTOCOL):
        try:
            found.update(globals_of(cls, protocol))
        except Exception:
            return set()
    return found


def role(cls):
    """How pickling calls a class: c, with arguments; m, bare; else None."""
    import types

    enum = getattr(sys.modules.get("enum"), "Enum", ())
    bases = cls.__mro__ if isinstance(cls, type) else (cls,)
    if cls.__module__ in ("builtins", "__builtin__") and cls.__name__ in HOLDERS:
        return "c"
    if isinstance(cls, type) and issubclass(cls, BaseException):
        pure = all(issubclass(base, BaseException) or base is object for base in bases)
        return "c" if pure else None
    if isinstance(cls, type) and enum and issubclass(cls, enum):
        return "c"
    if isinstance(cls, type) and issubclass(cls, tuple):
        return "c" if hasattr(cls, "_fields") or hasattr(cls, "n_sequence_fields") else None
    top = cls.__module__.split(".")[0]
    if top in CLOSED or top.startswith("_"):
        return None
    if type(cls) is getattr(types, "ClassType", None):
        import inspect

        bases = inspect.getmro(cls)
        hooks = HOOKS + ["__getinitargs__"]
    elif type(cls) in (type, getattr(sys.modules.get("abc"), "ABCMeta", type)):
        hooks = HOOKS
        plain = (object, dict, list, int, float, set, frozenset, bytes, type(u""))
        if not any(cls.__new__ is base.__new__ for base in plain):
            return None
    else:
        return None
    standard = ("builtins", "__builtin__")
    for base in bases:
        if base.__module__ not in standard and any(hook in vars(base) for hook in hooks):
            return None
    try:
        if isinstance(cls, type):
            pickle.dumps(cls.__new__(cls), 2)
        else:
            pickle.dumps(types.InstanceType(cls), 2)
    except Exception:
        return None
    return "m"


def probe_standard(answers):
    """Answers a line for each module: of names and their roles."""
    sys.path.pop(0)
    for name in ("enum", "abc"):
        try:
            __import__(name)
        except ImportError:
            pass
    request = json.loads(sys.stdin.read())
    modules = generate.inventory.standard_modules()
    print(json.dumps(modules), file=answers)
    for name in modules:
        if name in request["done"]:
            continue
        found = {}
        try:
            __import__(name)
            for value in list(vars(sys.modules[name]).values()):
                is_class = isinstance(value, type) or type(value).__name__ == "classobj"
                kind = is_class and role(value)
                if kind:
                    found.update((named, kind) for named in names_of(value))
        except BaseException:
            pass
        print(json.dumps([name, found]), file=answers)
        answers.flush()


def values_of_packages():
    """Yields what of numpy and pandas caches hold."""
    import datetime

    import numpy as np

    for dtype in "?bhilqBHILQefdgFDG":
        yield np.arange(3).astype(dtype)
        yield np.arange(3).astype(dtype)[1]
        yield np.dtype(dtype)
    yield np.array([u"a", None], dtype=object)
    yield np.array([u"a", u"bc"])
    yield np.array([b"a", b"bc"])
    yield np.arange(6).reshape(2, 3).T
    yield np.ma.array([1, 2], mask=[0, 1])
    yield np.ma.masked_array([1.0, 2.0])
    yield np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    yield np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    yield np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])[0]
    yield np.array(["2020-01-01"], dtype="datetime64[D]")
    yield np.datetime64("2020-01-01")
    yield np.timedelta64(3, "D")
    yield np.matrix([[1, 2]])
    yield np.poly1d([1, 2])
    yield np.add
    yield np.float64
    yield np.random.RandomState(1)
    if hasattr(np.random, "default_rng"):
        yield np.random.default_rng(1)
        for name in "MT19937 PCG64 PCG64DXSM Philox SFC64".split():
            if hasattr(np.random, name):
                yield getattr(np.random, name)(1)
    for name in "Polynomial Chebyshev Legendre Laguerre Hermite HermiteE".split():
        yield getattr(np.polynomial, name)([1, 2])

    import pandas as pd

    days = pd.date_range("2020-01-01", periods=3)
    zoned = pd.date_range("2020-01-01", periods=3, tz="UTC")
    for index in (
        pd.Index([1, 2, 3]), pd.Index([1.5, 2, 3]), pd.Index([u"a", u"b", u"c"]),
        pd.Index([True, False, True], dtype=object), days, zoned, pd.period_range("2020", periods=3, freq="D"),
        pd.timedelta_range("1D", periods=3), pd.RangeIndex(3), pd.CategoricalIndex([u"a", u"b", u"a"]),
        pd.interval_range(0, 3), pd.MultiIndex.from_product([[1], [u"a", u"b", u"c"]]),
        pd.Index([1, 2, 3]).astype("uint64"),
    ):
        yield index
        series = pd.Series([1, 2, 3], index=index)
        yield series
        yield pd.DataFrame({u"a": series, u"b": series.astype(float), u"c": u"x"})
        yield index[0]
    yield pd.DataFrame({u"d": days, u"z": zoned, u"c": pd.Categorical([u"a", u"b", u"a"])})
    yield pd.DataFrame(columns=[u"a"])
    yield pd.Series(pd.arrays.SparseArray([0, 1]) if hasattr(pd, "arrays") and hasattr(pd.arrays, "SparseArray") else [0])
    for dtype in "Int64 Int8 UInt8 boolean string Float64 category".split():
        try:
            yield pd.Series([1, 0], dtype=dtype)
            yield pd.Series([1, 0], dtype=dtype).dtype
        except Exception:
            pass
    for value in (pd.NaT, getattr(pd, "NA", None), pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-01", tz="UTC"),
                  pd.Timedelta("1D"), pd.Period("2020-01-01", freq="D"), pd.Interval(0, 1),
                  pd.Timestamp("2020-01-01", tz=datetime.timezone.utc) if hasattr(datetime, "timezone") else None):
        yield value
    for name in dir(pd.offsets):
        try:
            yield getattr(pd.offsets, name)()
        except Exception:
            pass


def probe_packages(answers):
    """Prints base64 of pickles of the values above, one a line."""
    import base64
    import warnings

    warnings.simplefilter("ignore")
    import numpy
    import pandas

    print("%s %s" % (numpy.__version__, pandas.__version__), file=answers)
    for value in values_of_packages():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            try:
                pickled = pickle.dumps(value, protocol)
            except Exception:
                continue
            print(base64.b64encode(pickled).decode(), file=answers)
    answers.flush()


# The record --------------------------------------------------------------------


def called(picklegate, pickles):
    """Asks picklegate what pickles call: yields names and roles."""
    import re
    import tempfile

    # What it says of a global, for people.
    line = re.compile(r"^  (?:globals  |         ) (\S+) +(\S.*)$")
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for number, pickled in enumerate(pickles):
            paths.append(os.path.join(directory, str(number)))
            with open(paths[-1], "wb") as file:
                file.write(pickled)
        for start in range(0, len(paths), 1000):
            command = [picklegate, "inspect"] + paths[start : start + 1000]
            output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
            for found in map(line.match, output.decode().splitlines()):
                if not found:
                    continue
                name, roles = found.groups()
                if "called" in roles:
                    yield name, "c"
                elif "instantiated" in roles or "reconstructed" in roles or name.split(".")[0] in PACKAGES:
                    # Classes of arrays are given to functions that make them.
                    yield name, "m"
            command[1:2] = ["inspect", "--globals"]
            output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
            for word, name in (text.split(" ", 1) for text in output.decode().splitlines()):
                if word == "getattr":
                    yield name, "g"


def recorded():
    """Yields the pickles of the fixtures."""
    import base64
    import lzma

    for name in ("matrix", "apart", "later"):
        with lzma.open(os.path.join(FIXTURES, name + ".jsonl.xz"), "rt") as lines:
            for row in map(json.loads, lines):
                if "b" in row:
                    yield base64.b64decode(row["b"])


def run(program, mode, request, flags=("-S", "-E")):
    command = [program] + list(flags) + ["-B", os.path.abspath(__file__), mode]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        output, _ = child.communicate(json.dumps(request).encode(), generate.TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        output, _ = child.communicate()
    return output.decode().split("\n")[:-1]


def ask(program):
    """Asks one interpreter: names and their roles."""
    answers = {}
    while True:
        lines = [json.loads(line) for line in run(program, "--probe", {"done": sorted(answers)})]
        answers.update(lines[1:])
        missing = [name for name in lines[0] if name not in answers]
        if not missing:
            return {name: kind for found in answers.values() for name, kind in found.items()}
        # It ended or hung there.
        answers[missing[0]] = {}


def main(picklegate):
    with open(os.path.join(HERE, "names.txt")) as file:
        modules = [line.split()[0] for line in file if line[0] not in " #"]
    tops = set(module.split(".")[0] for module in modules) | set(PACKAGES)
    produces = {}

    def add(name, kind):
        if name.split(".")[0] in tops:
            produces.setdefault(name, set()).add(kind)

    path = os.path.join(HERE, "produces.txt")
    if os.path.exists(path):
        with open(path) as file:
            for line in file:
                if not line.startswith("#"):
                    kind, name = line.split()
                    add(name, kind)
    for version, (program, _) in sorted(generate.interpreters().items()):
        print("produces: asking %s" % program, file=sys.stderr)
        for name, kind in ask(program).items():
            add(name, kind)
    for name, kind in called(picklegate, recorded()):
        add(name, kind)
    import base64

    for program in filter(None, os.environ.get("PICKLEGATE_PACKAGES", "").split(":")):
        lines = run(program, "--probe-packages", None, flags=())
        if lines:
            print("produces: %s of %s" % (lines[0], program), file=sys.stderr)
            for name, kind in called(picklegate, map(base64.b64decode, lines[1:])):
                add(name, kind)
    with open(path, "w") as file:
        file.write(
            "# What pickles of the standard library, numpy and pandas call, for pickling writes such\n"
            "# calls. Written by produces.py. c: called with arguments; m: made without a call of\n"
            "# __init__; g: an attribute that getattr takes.\n"
        )
        for name, kinds in sorted(produces.items()):
            for kind in sorted(kinds - set("m" if "c" in kinds else "")):
                file.write("%s %s\n" % (kind, name))


if __name__ == "__main__":
    if sys.argv[1].startswith("--probe"):
        stdout = os.fdopen(os.dup(1), "w")
        # Modules may print; nobody wants it.
        for descriptor in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        if sys.argv[1] == "--probe":
            probe_standard(stdout)
        else:
            probe_packages(stdout)
        stdout.flush()
        # Threads and exit handlers of what was imported are not waited for.
        os._exit(0)
    main(sys.argv[1])

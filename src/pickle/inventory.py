"""Lists what pickles can name in this Python environment, as JSON on stdout.

Run it where the application runs, with its Python (2.7, or 3.6 and later):

    python inventory.py --import myapp.models --walk myapp > myapp.inventory.json

It imports what it is told to, so let it be something that is imported in
production as well. With --django-settings or DJANGO_SETTINGS_MODULE it sets
Django up first. It needs nothing but the standard library.

What cannot be imported or described, or does not come to an end, is told on stderr
and in the listing, and costs itself only. The exit status is 1 if something that was
asked for by name is among it.
"""
from __future__ import print_function

import argparse
import binascii
import dis
import gzip
import importlib
import io
import itertools
import json
import os
import pkgutil
import re
import select
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import traceback
import types
import warnings

try:
    import copyreg
except ImportError:
    import copy_reg as copyreg

FORMAT = 2
# The newest Python whose standard library picklegate knows. Newer ones list their own.
NEWEST = (3, 15)
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# What can be listed between spaces.
PRINTABLE = re.compile(r"[!-~]+\Z")
# What every module has, and no pickle names.
IMPLICIT = set("""__annotate__ __builtins__ __cached__ __dir__ __doc__ __file__
    __getattr__ __loader__ __name__ __package__ __path__ __spec__""".split())
# Modules cannot be pickled, and the rest is pickled by its value.
DATA = (types.ModuleType, bool, bytes, dict, float, int, list, str, tuple, type(None), type(u""))
CLASSES = (type, getattr(types, "ClassType", type))
NESTING = 4
# Finders of sys.meta_path that find no top-level module that is not on sys.path.
FINDERS = set("""BuiltinImporter DistutilsMetaFinder FrozenImporter MetadataPathFinder
    PathFinder VendorImporter _SixMetaPathImporter""".split())
# What finds in a directory what has a file or a directory of its name there.
IMPORTERS = ("FileFinder", "ImpImporter")
# And in an archive, or nowhere.
OTHER_IMPORTERS = ("zipimporter", "NullImporter", "NoneType")
FRAMEWORKS = ("django", "numpy", "pytz")
MADE_UP = "picklegate_asks_for_what_nobody_has"
# One module that hangs must not cost the others.
SECONDS = 30
STANDARD_SECONDS = 10
# Each begins anew without what hung or ended the interpreter.
MOST_RUNS = 10
# What no usual environment comes near to; picklegate reads no more than 64 MiB.
MOST_NAMES = 20000
MOST_CHARS = 24 << 20
MOST_FACT_CHARS = 16 << 10
MOST_VALUE_CHARS = 200
MOST_ERROR_CHARS = 300


def is_a(value, kinds):
    """isinstance, without asking a lazy object what it stands for."""
    return issubclass(type(value), kinds)


def is_identifier(name):
    """Python 3 has them in all alphabets."""
    if hasattr(name, "isidentifier"):
        return name.isidentifier()
    return isinstance(name, str) and IDENTIFIER.match(name) is not None


def listing(directory):
    """Lists what is in a directory, as far as it can be read."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def stems(directories):
    """Lists what modules in directories may be called: their files may end in anything."""
    names = set(entry.split(".")[0] for directory in directories for entry in listing(directory))
    # Python 2 calls the file of an extension module after its init function.
    return names | set(name[:-6] for name in names if name.endswith("module"))


# Telling ----------------------------------------------------------------------


def say(text):
    """Tells on stderr, whatever the application makes of sys.stderr."""
    text = text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")
    try:
        os.write(2, b"inventory: " + text + b"\n")
    except EnvironmentError:
        pass


class Stopped(Exception):
    """Why a step is not taken again."""


class Steps(object):
    """Says once a second where it is, and at each step to whoever watches."""

    def __init__(self):
        # Tests of an application may stop its clocks.
        self.clock = time.time
        self.next = self.clock() + 1
        self.watcher = None
        self.stopped = {}

    def take(self, step):
        if self.watcher is not None:
            os.write(self.watcher, (json.dumps(step) + "\n").encode())
        if step in self.stopped:
            raise Stopped(self.stopped[step])
        if self.clock() >= self.next:
            say(step)
            self.next = self.clock() + 1


STEPS = Steps()


class Errors(dict):
    """By module, why it could not be imported or described."""

    def note(self, name, error):
        try:
            told = "%s: %s" % (type(error).__name__, error) if type(error) is not Stopped else str(error)
            told = told if isinstance(told, bytes) else told.encode("utf-8", "backslashreplace")
        # Some fail to say what they are.
        except BaseException:
            told = type(error).__name__.encode("utf-8", "backslashreplace")
        # Addresses differ from run to run.
        told = re.sub("0x[0-9a-fA-F]{6,}", "0x...", told.decode("utf-8", "replace"))[:MOST_ERROR_CHARS]
        # Nor do halves of characters belong in JSON.
        self[name] = "".join(char if not u"\ud800" <= char <= u"\udfff" else "?" for char in told)
        say(u"%s: %s" % (name, self[name]))


# Watching ---------------------------------------------------------------------


def watched(work, seconds):
    """Does work in a process of its own; again without the step in which that hung or
    ended, as modules written in C can make it. Returns what work returns: a text, and
    a list. What the application prints goes to stderr.
    """
    if not hasattr(os, "fork"):
        kept = os.dup(1)
        os.dup2(2, 1)
        try:
            return work()
        finally:
            os.dup2(kept, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for _ in range(MOST_RUNS):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            be_watched(work, writer)
        os.close(writer)
        try:
            step, found, why = follow(reader, seconds)
        finally:
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            os.close(reader)
        if found is not None:
            return found
        if why is None:
            ended = "signal %d" % (status & 127) if status & 127 else "status %d" % (status >> 8)
            why = "the interpreter ended, %s" % ended
        say("%s: %s" % (step, why))
        if step in STEPS.stopped:
            break
        STEPS.stopped[step] = why
        say("beginning again without it")
    say("there is no end to this")
    sys.exit(1)


def be_watched(work, writer):
    """Tells each step in a line, and at the end how long the text is, and the text."""
    STEPS.watcher = writer
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        os.dup2(2, 1)
        # Whoever asks for something has no answer to wait for.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        text, failed = work()
        with os.fdopen(writer, "wb") as answers:
            answers.write((json.dumps([len(text), failed]) + "\n" + text).encode("ascii"))
    except BaseException:
        say(traceback.format_exc())
        os._exit(1)
    # Whatever threads the application has started are not waited for.
    os._exit(0)


def follow(reader, seconds):
    """Returns the last step, and what there is in the end or why there is nothing, if
    not even that is known.
    """
    step, line, wanted, parts = "beginning", b"", None, []
    while True:
        if not select.select([reader], [], [], seconds)[0]:
            return step, None, "no end after %g seconds" % seconds
        part = os.read(reader, 1 << 20)
        if not part:
            return step, None, None
        while wanted is None and b"\n" in part:
            line, part = (line + part).split(b"\n", 1)
            told, line = json.loads(line.decode()), b""
            if isinstance(told, list):
                wanted, failed = told
            else:
                step = told
        if wanted is None:
            line += part
            continue
        parts.append(part)
        if sum(map(len, parts)) >= wanted:
            return step, (b"".join(parts).decode("ascii"), failed), None


# Importing --------------------------------------------------------------------


def import_module(name, errors):
    """Imports a module; notes and tells why if that fails."""
    try:
        STEPS.take("importing %s" % name)
        # Not what an application puts in the place of __import__.
        importlib.import_module(name)
        return sys.modules[name]
    # Some modules are scripts, which end the interpreter, or are of a test runner's.
    except BaseException as error:
        errors.note(name, error)


def own(module, name):
    """An attribute of a module, without asking one that makes them up."""
    return contents_of(module).get(name)


def contents_of(module):
    """What a module has, without loading one that is loaded at its first use."""
    if issubclass(type(module), types.ModuleType):
        try:
            return types.ModuleType.__getattribute__(module, "__dict__") or {}
        except AttributeError:
            return {}
    try:
        found = module.__dict__
    except Exception:
        return {}
    return found if isinstance(found, dict) else {}


def loaded_modules():
    """Lists what is in sys.modules by name; names are of the interpreter's own text."""
    found = {}
    for name, module in list(sys.modules.items()):
        try:
            # Python 2 takes unicode for names as well; no pickle names other bytes.
            name = str(name) if is_a(name, (str, type(u""))) else None
            name.encode("utf-8")
        except (AttributeError, UnicodeError):
            continue
        found.setdefault(name, module)
    return sorted(found.items(), key=lambda pair: pair[0])


def submodules(path):
    """Lists the names of what is directly in a package with that __path__."""
    names = set(name for _, name, _ in pkgutil.iter_modules(path))
    for directory in path:
        # A directory without __init__.py is a package too, for Python 3.
        for name in listing(directory) if sys.version_info >= (3,) else ():
            if any(inner.endswith(".py") for inner in listing(os.path.join(directory, name))):
                names.add(name)
    return sorted(name for name in names if is_identifier(name) and name != "__main__")


def walk(name, module, errors, walked):
    """Imports all that is in a package, at any depth."""
    try:
        places = list(own(module, "__path__") or [])
        names = submodules(places)
    except Exception as error:
        errors.note(name, error)
        return
    # Links may lead back, and modules be others under another name.
    places = tuple(os.path.realpath(place) for place in places)
    if places in walked:
        return
    walked.add(places)
    for inner in names:
        full = "%s.%s" % (name, inner)
        found = import_module(full, errors)
        if found is not None:
            walk(full, found, errors, walked)


# Finding ----------------------------------------------------------------------


class Finder(object):
    """What of sys.meta_path Python does not bring."""

    def __init__(self, finder):
        self.finder = finder
        self.kind = finder if is_a(finder, CLASSES) else finder.__class__
        self.title = title(self.kind)

    def finds(self, name, path=None):
        """Whether it finds a module that nobody has."""
        try:
            STEPS.take("asking %s for %s" % (self.title, name))
            if sys.version_info >= (3, 4) and hasattr(self.finder, "find_spec"):
                return self.finder.find_spec(name, path) is not None
            return self.finder.find_module(name, path) is not None
        except Stopped:
            return True
        except BaseException:
            return False

    def brings(self):
        """Names the modules that it may have: all that its tables could name."""
        names = set()
        try:
            tables = list(vars(self.kind).values()) + list(getattr(self.finder, "__dict__", {}).values())
            tables += list(contents_of(sys.modules.get(self.kind.__module__)).values())
        except Exception:
            return names
        for table in tables:
            if type(table) is str:
                names.add(table.rstrip("."))
            elif type(table) in (dict, set, frozenset, list, tuple):
                names.update(name for name in list(table) if type(name) is str)
        return set(name for name in names if all(is_identifier(part) for part in name.split(".")))


def foreign_finders(errors):
    """Lists the finders that Python does not bring, and tells of each."""
    found = []
    for number, finder in enumerate(list(sys.meta_path)):
        try:
            finder = Finder(finder)
            if finder.kind.__name__ in FINDERS or finder.kind.__module__ == "_virtualenv":
                continue
            say("%s finds modules as well: those not imported yet may be missing" % finder.title)
            found.append(finder)
        except Exception as error:
            errors.note("sys.meta_path[%d]" % number, error)
    return found


def importable(finders, extra):
    """Lists the top-level modules that there are, those of the standard library and
    what else finders may have included; None if they find anything.
    """
    names = set(sys.builtin_module_names) | set(name.split(".")[0] for name, _ in loaded_modules())
    names.update(name.split(".")[0] for name in extra)
    if any(finder.finds(MADE_UP) for finder in finders):
        return None
    paths = [path or os.getcwd() for path in sys.path if isinstance(path, (str, type(u"")))]
    for path in paths:
        if pkgutil.get_importer(path).__class__.__name__ not in IMPORTERS + OTHER_IMPORTERS:
            return None
    names.update(stems(paths))
    archives = [path for path in paths if os.path.isfile(path)]
    names.update(name for _, name, _ in pkgutil.iter_modules(archives))
    return sorted(name for name in names if is_identifier(name))


def contents(name, module):
    """Names all that may be a module directly in a package; None if others may be
    found in ways that cannot be listed.
    """
    try:
        STEPS.take("listing what is in %s" % name)
        path = list(own(module, "__path__"))
    except Exception:
        return None
    for entry in path:
        if not is_a(entry, (str, type(u""))) or not os.path.isdir(entry):
            return None
        if pkgutil.get_importer(entry).__class__.__name__ not in IMPORTERS:
            return None
    # A package without any was made by hand.
    return stems(path) or None


def packages(modules, finders, extra):
    """Lists what may be directly in each of these modules, unless it is no package;
    None if there may be more.
    """
    loaded = {}
    for name, module in loaded_modules() + [(name, True) for name in sorted(extra)]:
        parts = name.split(".")
        # Python 2 notes with None that there is no such module.
        for depth in range(1, len(parts)) if module is not None else ():
            loaded.setdefault(".".join(parts[:depth]), set()).add(parts[depth])
    # VendorImporter finds more in these.
    roots = []
    for finder in list(sys.meta_path):
        try:
            roots.append(finder.root_name + ".")
        except Exception:
            continue
    roots = tuple(roots)
    found = {}
    for name in modules:
        module = sys.modules.get(name)
        usual = type(module) is types.ModuleType
        # An import asks __getattr__ for a __path__, too.
        if usual and name not in loaded and not {"__path__", "__getattr__"} & set(vars(module)):
            continue
        names = contents(name, module) if usual and not (name + ".").startswith(roots) else None
        if any(finder.finds("%s.%s" % (name, MADE_UP), own(module, "__path__")) for finder in finders):
            names = None
        if names is not None:
            names = sorted((names | loaded.get(name, set())) - set([""]))
            names = " ".join(names) if all(PRINTABLE.match(name) for name in names) else None
        found[name] = names
    return found


# Facts ------------------------------------------------------------------------
#
# What pickles ask of a class or a function, in words that are alike wherever it is the
# same, so that environments can be compared. Words are separated by spaces, lists by
# commas; other characters than letters, digits, _ and . stand as %XX. What is as usual
# is left out:
#
#   class | classic | function | builtin | value:TYPE   what it is; builtin: a function in C
#   c                 the class is written in C, so its hooks cannot be read
#   base=NAME         the nearest base in C but object; text and bytes are called so
#   abstract, call    it has no instances; its metaclass decides what a call of it does
#   nodict slots=a,b  instances have no __dict__; attributes that have slots
#   new=1-3 init=0-*  least and most arguments by position after the first, of what is
#                     written in Python; 1-3!2: two more must be given by name; ? unreadable
#   reduce= reduce_ex= getstate= setstate= getnewargs= getnewargs_ex= getinitargs=
#                     hooks that the base does not have: #DIGEST of what is written in Python,
#                     c:CLASS in C, none, ? unreadable; dataclass is what dataclasses make
#   copyreg=NAME      the function that copyreg has for it
#   needs=a,b         what __setstate__ takes out of a dict without asking
#   unpack=2          into how many parts __setstate__ takes its state apart
#   grow=append,...   written in Python: append, extend, add, setitem
#   attr=get,...      written in Python: get, getattribute, set
#   enum=A:i1,B:sx flag=...   members: s text, i int, f float, b bytes, n None, t#DIGEST of
#                     others, ? unknown; more: too many to list; missing: makes others
#   tuple= data= attrs= pydantic1= pydantic2=   fields, in their order
#   model=app.Name:a,b   what Django calls the model, and the attributes of its fields
#   sets=a,b          what __init__ sets and no class attribute stands in for
#
# A function has its arguments and a digest: "function 1-2 #8b9c2d31". Digests are of the
# names and keys that code uses, for these are the same whatever Python compiled it.

WORD = re.compile(r"[A-Za-z0-9_.-]+\Z")
HOOKS = "reduce reduce_ex getstate setstate getnewargs getnewargs_ex getinitargs".split()
GROWERS = [("append", "append"), ("extend", "extend"), ("add", "add"), ("setitem", "__setitem__")]
ACCESSORS = [("get", "__getattr__"), ("getattribute", "__getattribute__"), ("set", "__setattr__")]
# What a metaclass may answer otherwise.
ACCOUNT = """__base__ __bases__ __dict__ __dictoffset__ __flags__ __getattribute__ __mro__ __name__
    __qualname__""".split()
# Names that only some versions have in the code of the same source.
NOISE = set("None True False AssertionError __class__ super".split())
BUILTINS = ("__builtin__", "builtins", "exceptions")
RENAMED = {"unicode": "text", "str": "bytes" if str is bytes else "text"}
MOST_MEMBERS = 200
MOST_WRAPPERS = 10
HEAP_TYPE, ABSTRACT, TAKES_ALL = 1 << 9, 1 << 20, 4
SUBSCRIPTS = 26
FUNCTIONS_IN_C = set("builtin_function_or_method cython_function_or_method fused_cython_function".split())
FUNCTIONS = (types.FunctionType, types.MethodType)
METHODS = (staticmethod, classmethod, types.MethodType)
# What types written in C are made of.
IN_C = (types.MemberDescriptorType, types.GetSetDescriptorType, type(list.append), type(object.__init__))


def word(text):
    """Text in which nothing separates."""
    found = text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")
    return "".join(chr(byte) if WORD.match(chr(byte)) else "%%%02X" % byte for byte in bytearray(found))


def words(names):
    return ",".join(word(name) for name in names)


def checksum(text):
    """Eight digits that tell texts apart; not against anybody who wants them to be alike."""
    text = text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")
    return "#%08x" % (binascii.crc32(text) & 0xFFFFFFFF)


def title(kind):
    """What a class is called, wherever it is built in."""
    module = getattr(kind, "__module__", None)
    name = getattr(kind, "__qualname__", None)
    name = name if is_a(name, str) else kind.__name__
    if module in BUILTINS:
        return RENAMED.get(name, word(name))
    return word("%s.%s" % (module, name))


def function_of(value):
    """The function in Python that is behind what a class has, if there is one."""
    for _ in range(MOST_WRAPPERS):
        if type(value) in METHODS:
            value = getattr(value, "__func__", None)
        elif type(value) is types.FunctionType and type(vars(value).get("__wrapped__")) in FUNCTIONS:
            value = vars(value)["__wrapped__"]
        else:
            break
    return value if type(value) is types.FunctionType else None


def arity(function, bound):
    """How many arguments a function takes."""
    code = function.__code__
    most = code.co_argcount
    least = most - len(function.__defaults__ or ())
    named = getattr(code, "co_kwonlyargcount", 0) - len(getattr(function, "__kwdefaults__", None) or ())
    if bound:
        least, most = max(least - 1, 0), max(most - 1, 0)
    most = "*" if code.co_flags & TAKES_ALL else most
    return "%d-%s" % (least, most) + ("!%d" % named if named > 0 else "")


# Reading code


def steps(code):
    """Yields the name and the argument of each instruction."""
    raw, extended, at = bytearray(code.co_code), 0, 0
    names = dis.opname
    if bytes is str:
        while at < len(raw):
            name, argument = names[raw[at]], None
            if raw[at] >= dis.HAVE_ARGUMENT:
                argument = raw[at + 1] | raw[at + 2] << 8 | extended
                extended = argument << 16 if name == "EXTENDED_ARG" else 0
                at += 2
            at += 1
            yield name, argument
        return
    while at < len(raw):
        name, argument = names[raw[at]], raw[at + 1] | extended
        extended = argument << 8 if name == "EXTENDED_ARG" else 0
        at += 2
        # The interpreter's own notes are no instructions.
        if name not in ("CACHE", "EXTENDED_ARG"):
            yield name, argument


def loaded_local(code, name, argument):
    """The variable that an instruction leaves on top of the stack, if it is one."""
    if argument is None or "LOAD_FAST" not in name and name != "LOAD_DEREF":
        return None
    variables, cells = code.co_varnames, code.co_cellvars + code.co_freevars
    if sys.version_info >= (3, 11):
        variables = cells = variables + tuple(cell for cell in cells if cell not in variables)
    at = argument & 15 if name.count("_FAST") > 1 else argument
    return (cells if name == "LOAD_DEREF" else variables)[at]


def stored(function):
    """Names the attributes that a method sets on its first argument, and those that it
    takes from it.
    """
    code = function.__code__
    found, asked, before = set(), set(), None
    for name, argument in steps(code) if code.co_varnames else ():
        if before == code.co_varnames[0]:
            if name == "STORE_ATTR":
                found.add(code.co_names[argument])
            elif name in ("LOAD_ATTR", "LOAD_METHOD"):
                # The lowest bit says that it is called, where there is no other word for it.
                asked.add(code.co_names[argument >> 1 if sys.version_info >= (3, 12) else argument])
        before = loaded_local(code, name, argument)
    return found, asked


def taken(function):
    """What __setstate__ does with its state: the keys that it takes, and into how
    many parts it takes it apart.
    """
    code = function.__code__
    keys, asked, parts = set(), set(), set()
    state = code.co_varnames[1] if code.co_argcount > 1 else None
    local = key = container = None
    for name, argument in steps(code):
        if name == "UNPACK_SEQUENCE" and local == state:
            parts.add(argument)
        if (name == "BINARY_SUBSCR" or name == "BINARY_OP" and argument == SUBSCRIPTS) and container == state:
            keys.add(key)
        if (name == "CONTAINS_OP" or name == "COMPARE_OP") and local == state:
            asked.add(key)
        before, local = local, loaded_local(code, name, argument)
        if name == "LOAD_CONST":
            container, key = before, code.co_consts[argument]
        elif local is None or local != state:
            container = key = None
        else:
            container = None
    keys = set(str(key) for key in keys - asked if isinstance(key, (str, type(u""))) and IDENTIFIER.match(key))
    return set() if "KeyError" in code.co_names else keys, parts


def used(code):
    """Names what code uses: names, and texts that could be names."""
    found, codes = set(), [code]
    while codes:
        code = codes.pop()
        found.update(code.co_names)
        consts = list(code.co_consts)
        while consts:
            const = consts.pop()
            if isinstance(const, types.CodeType):
                codes.append(const)
            elif isinstance(const, (tuple, frozenset)):
                consts += const
            elif isinstance(const, (str, type(u""))) and IDENTIFIER.match(const):
                found.add(str(const))
    return found - NOISE


class Facts(object):
    """The facts of all that was asked for."""

    def __init__(self):
        self.texts = {}
        self.digests = {}
        self.in_c = {}

    def of(self, value):
        """The facts of a value; what it is asked for again costs nothing."""
        known = self.texts.get(id(value))
        if known is None:
            try:
                text = self.described(value)
            # It fails whatever it is asked.
            except BaseException:
                text = "value:?"
            text = text if len(text) <= MOST_FACT_CHARS else "value:?"
            # Keeping it keeps its identity.
            known = self.texts[id(value)] = (text, value)
        return known[0]

    def described(self, value):
        if is_a(value, CLASSES):
            return " ".join(self.of_class(value)) if is_honest(value) else "value:?"
        if type(value).__name__ in FUNCTIONS_IN_C:
            return "builtin"
        function = function_of(value)
        if function is None:
            return "value:" + title(type(value))
        return "function %s %s" % (arity(function, type(value) is types.MethodType), self.digest(function))

    def digest(self, function):
        code = function.__code__
        if id(code) not in self.digests:
            self.digests[id(code)] = (checksum(" ".join(sorted(used(code)))), code)
        return self.digests[id(code)][0]

    def is_in_c(self, kind):
        if id(kind) not in self.in_c:
            self.in_c[id(kind)] = (is_in_c(kind), kind)
        return self.in_c[id(kind)][0]

    def bases(self, kind):
        """A class's bases that are written in Python, and the nearest that is not."""
        if not is_a(kind, type):
            return classic_bases(kind), object
        base = kind
        while not self.is_in_c(base) or title(base) == "typing.Generic":
            base = base.__base__
        ours = [one for one in kind.__mro__ if is_a(one, type) and not self.is_in_c(one)]
        return ours + [one for one in kind.__mro__ if not is_a(one, type)], base

    def of_class(self, kind):
        """Yields the words of a class."""
        ours, base = self.bases(kind)
        new_style = is_a(kind, type)
        yield "class" if new_style else "classic"
        if kind is base:
            yield "c"
            base = next((one for one in kind.__mro__[1:] if self.is_in_c(one)), object)
        if base is not object:
            yield "base=" + title(base)
        if kind is not base and new_style:
            if kind.__flags__ & ABSTRACT:
                yield "abstract"
            if calls_in_python(type(kind)):
                yield "call"
            if not kind.__dictoffset__:
                yield "nodict"
        mro = kind.__mro__ if new_style else tuple(ours)
        slots = sorted(set(slot for one in ours for slot in slots_of(one)))
        if slots:
            yield "slots=" + words(slots)
        for found in self.calls(mro, ours):
            yield found
        for found in self.hooks(mro, ours, base, kind):
            yield found
        for name, methods in (("grow", GROWERS), ("attr", ACCESSORS)):
            methods = [word for word, method in methods if self.in_python(mro, method)]
            if methods:
                yield "%s=%s" % (name, ",".join(methods))
        for found in fields(kind, mro, ours):
            yield found
        sets = self.sets(mro, ours, slots)
        if sets:
            yield "sets=" + words(sets)

    def in_python(self, mro, method):
        owner, _ = lookup(mro, method)
        return owner is not None and not (is_a(owner, type) and self.is_in_c(owner))

    def calls(self, mro, ours):
        """Yields how many arguments making an instance takes."""
        for name, method in (("new", "__new__"), ("init", "__init__")):
            owner, value = lookup(mro, method)
            # A member of an enumeration is looked up by its value.
            if owner in ours and lookup(mro, "_member_map_")[0] is None:
                function = function_of(value)
                yield "%s=%s" % (name, arity(function, True) if function else "?")

    def hooks(self, mro, ours, base, kind):
        """Yields who says how instances are pickled."""
        for name in HOOKS:
            owner, value = lookup(mro, "__%s__" % name)
            if owner is None or is_a(owner, type) and owner in base.__mro__ or is_made(owner, value):
                continue
            function = function_of(value)
            if function is not None and function.__name__.startswith("_dataclass_"):
                told = "dataclass"
            elif function is not None:
                told = self.digest(function)
            elif value is None:
                told = "none"
            else:
                told = "c:" + title(owner) if owner not in ours else "?"
            yield "%s=%s" % (name, told)
            if name == "setstate" and function is not None:
                keys, parts = taken(function)
                if keys:
                    yield "needs=" + words(sorted(keys))
                if parts:
                    yield "unpack=" + ",".join(str(part) for part in sorted(parts))
        registered = copyreg.dispatch_table.get(kind) if is_a(kind, type) else None
        if registered is not None:
            yield "copyreg=" + title(registered)

    def sets(self, mro, ours, slots):
        """Names what __init__ sets, if instances lack it without."""
        found = set()
        for one in ours:
            function = function_of(vars(one).get("__init__"))
            if function is None:
                continue
            direct, asked = stored(function)
            found |= direct
            # What it leaves to methods: they are called for it, as a rule.
            for method in asked:
                then = function_of(lookup(mro, method)[1])
                if then is not None:
                    found |= stored(then)[0]
            if "__init__" not in function.__code__.co_names:
                break
        # Frozen ones are set by other means.
        found.update(dataclass_fields(mro))
        return sorted(name for name in found if name in slots or lookup(mro, name)[0] is None)


def lookup(mro, name):
    """The class that has an attribute, and the attribute, as it stands there."""
    for one in mro:
        if name in vars(one):
            return one, vars(one)[name]
    return None, None


def is_honest(kind):
    """Whether nothing written in Python answers in the interpreter's stead for a class."""
    metas = [meta for meta in type(kind).__mro__ if meta.__flags__ & HEAP_TYPE]
    return not any(type(vars(meta).get(name)) in (types.FunctionType, property) for meta in metas for name in ACCOUNT)


def classic_bases(kind):
    """What Python 2 searches for the attributes of a classic class."""
    found = []
    for one in (kind,) + tuple(kind.__bases__):
        found += [one] if one is kind else [base for base in classic_bases(one) if base not in found]
    return found


def is_in_c(kind):
    """Whether a class has something that a class statement does not make."""
    if not kind.__flags__ & HEAP_TYPE:
        return True
    slots = vars(kind).get("__slots__", ())
    slots = set([slots] if is_a(slots, (str, type(u""))) else slots if is_a(slots, (tuple, list, dict, set)) else ())
    for name, value in list(vars(kind).items()):
        if type(value) is types.FunctionType:
            return False
        if type(value) in IN_C and getattr(value, "__objclass__", None) is kind:
            if name not in ("__dict__", "__weakref__") and not any(name.endswith(slot) for slot in slots):
                return True
        if name == "__new__" and getattr(value, "__self__", None) is kind:
            return True
    return False


def slots_of(kind):
    """Names the attributes for which instances have a slot each."""
    if is_a(kind, type):
        for name, value in vars(kind).items():
            if type(value) is types.MemberDescriptorType and value.__objclass__ is kind:
                yield name


def calls_in_python(meta):
    """Whether a metaclass has a __call__ of its own that is not that of enumerations."""
    owner, value = lookup(meta.__mro__, "__call__")
    return owner is not None and owner.__module__ != "enum" and function_of(value) is not None


def is_made(owner, value):
    """Whether a hook is as it is in all enumerations, or in all named tuples."""
    return getattr(owner, "__module__", None) == "enum" or "_fields" in vars(owner) and "_make" in vars(owner)


def plain(value):
    """Says a value in which nothing is but what has the same text everywhere."""
    kind = type(value)
    if value is None:
        return "n"
    if kind is bool or kind in (int, type(sys.maxsize + 1)):
        return "i%d" % value
    if kind is float:
        return "f" + word(repr(value))
    if kind in (type(u""), bytes) and len(value) > MOST_VALUE_CHARS:
        return "?"
    # On Python 2, it is text to Python 3 as far as it is ASCII.
    if kind is type(u"") or kind is str and all(ord(char) < 128 for char in value):
        return "s" + word(value)
    if kind is bytes:
        return "b" + word(value)
    if kind in (tuple, list):
        parts = [plain(part) for part in value]
        return "?" if "?" in parts else "t" + checksum(",".join(parts))
    return "?"


def enumeration(kind, mro):
    """Yields the members of an enumeration."""
    enums = set(one.__name__ for one in mro if getattr(one, "__module__", None) == "enum")
    table = vars(kind).get("_member_map_")
    if "Enum" not in enums or not is_a(table, dict):
        return
    found = [(name, plain(getattr(member, "_value_", Ellipsis))) for name, member in table.items()]
    told = ",".join("%s:%s" % (word(name), value) for name, value in found[:MOST_MEMBERS])
    if told or "_member_map_" in vars(kind):
        yield "%s=%s" % ("flag" if "Flag" in enums else "enum", told)
    if len(found) > MOST_MEMBERS:
        yield "more"
    owner, _ = lookup(mro, "_missing_")
    if owner is not None and owner.__module__ != "enum":
        yield "missing"


def dataclass_fields(mro):
    """Names what instances of a dataclass keep: no class variables, no mere arguments."""
    listed = lookup(mro, "__dataclass_fields__")[1]
    listed = listed.values() if is_a(listed, dict) else ()
    return [field.name for field in listed if str(getattr(field, "_field_type", "")) == "_FIELD"]


def fields(kind, mro, ours):
    """Yields what instances consist of, where the class can tell."""
    for found in enumeration(kind, mro):
        yield found
    names = [getattr(one, "__module__", None) or "" for one in mro]
    listed = lookup(mro, "_fields")[1]
    if is_a(listed, tuple) and tuple in mro:
        yield "tuple=" + words(listed)
    listed = dataclass_fields(mro)
    if listed:
        yield "data=" + words(listed)
    listed = lookup(mro, "__attrs_attrs__")[1]
    if is_a(listed, tuple):
        yield "attrs=" + words(field.name for field in listed)
    if any(name.startswith("pydantic") for name in names):
        for version, attribute in ((1, "__fields__"), (2, "__pydantic_fields__"), (2, "model_fields")):
            listed = lookup(ours, attribute)[1]
            if is_a(listed, dict):
                yield "pydantic%d=%s" % (version, words(listed))
                break
    meta = vars(kind).get("_meta")
    if meta is not None and hasattr(meta, "concrete_fields"):
        yield "model=%s:%s" % (word(meta.label), words(field.attname for field in meta.concrete_fields))


# Describing -------------------------------------------------------------------


def standard_directories():
    """Lists where the standard library is; environments may have several."""
    version = "python%d.%d" % sys.version_info[:2]
    directories = [os.path.dirname(os.__file__)]
    directories += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    for prefix in ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix", "real_prefix"):
        directories.append(os.path.join(getattr(sys, prefix, sys.prefix), "lib", version))
    return set(os.path.realpath(directory) + os.sep for directory in directories)


def is_standard(name, directories):
    """Whether a module is of the standard library, and no package's instead."""
    module, top = sys.modules[name], sys.modules.get(name.split(".")[0])
    origin = getattr(own(module, "__spec__"), "origin", None)
    if name in sys.builtin_module_names or origin in ("built-in", "frozen"):
        return True
    # What has no file came into being with its package.
    path = os.path.realpath(own(module, "__file__") or own(top, "__file__") or "")
    if re.search("(site|dist)-packages", path):
        return False
    return path.startswith(tuple(directories))


def kinds(value):
    """Yields what a reader must know of a class before it loads instances."""
    if not is_a(value, type):
        yield "classic"
        return
    if issubclass(value, bytes):
        yield "bytes_based"
    if issubclass(value, type(u"")):
        yield "text_based"
    # A state that is a dict goes to either of these.
    if not any("__dict__" in vars(base) or "__setstate__" in vars(base) for base in value.__mro__):
        yield "no_dict"


def classes(module, name, value, depth=0):
    """Yields a class and those nested in it, by dotted names."""
    yield name, value
    for inner, nested in sorted(vars(value).items()) if depth < NESTING else ():
        # Not those that it merely refers to.
        if not is_a(nested, CLASSES) or not is_identifier(inner):
            continue
        if nested.__name__ == inner and getattr(nested, "__module__", None) == module:
            for found in classes(module, name + "." + inner, nested, depth + 1):
                yield found


def names_of(module_name, module):
    """Yields the name and the value of all that a pickle can name in a module."""
    held = dict(contents_of(module))
    for name in sorted(name for name in held if is_identifier(name)):
        value = held[name]
        if name in IMPLICIT:
            continue
        # Python 3.15 imports at the first use what was asked for lazily.
        if type(value).__name__ == "lazy_import":
            try:
                value = getattr(module, name)
            except BaseException:
                yield name, None
                continue
        if is_a(value, CLASSES):
            try:
                found = list(classes(held.get("__name__", module_name), name, value))
            except BaseException:
                found = [(name, value)]
            for pair in found:
                yield pair
        elif type(value) not in DATA and not is_a(value, types.ModuleType):
            yield name, value


class Description(object):
    """What modules have: names, what they are, and the facts of each."""

    def __init__(self):
        self.facts = Facts()
        self.names = {}
        self.texts = {}
        self.room = MOST_CHARS
        self.kinds = {"classic": {}, "bytes_based": {}, "text_based": {}, "no_dict": {}}

    def add(self, module_name, module, errors):
        named = list(itertools.islice(names_of(module_name, module), MOST_NAMES + 1))
        if len(named) > MOST_NAMES:
            raise ValueError("more than %d names" % MOST_NAMES)
        texts = [self.facts.of(value) for _, value in named]
        self.room -= sum(len(name) for name, _ in named) + sum(map(len, texts))
        if self.room < 0:
            raise ValueError("the listing is full")
        self.names[module_name] = [name for name, _ in named]
        self.texts[module_name] = texts
        for name, value in named:
            try:
                found = list(kinds(value)) if is_a(value, CLASSES) else []
            except BaseException as error:
                errors.note("%s.%s" % (module_name, name), error)
                continue
            for kind in found:
                self.kinds[kind].setdefault(module_name, []).append(name)

    def told(self):
        """Facts are numbered, those that are most often needed first."""
        counts = {}
        for texts in self.texts.values():
            for text in texts:
                counts[text] = counts.get(text, 0) + 1
        facts = sorted(counts, key=lambda text: (-counts[text], text))
        numbers = dict((text, str(number)) for number, text in enumerate(facts))
        found = dict((kind, joined(names)) for kind, names in self.kinds.items())
        found["modules"] = joined(self.names)
        found["facts"] = facts
        found["facts_of"] = joined(
            dict((module, [numbers[text] for text in texts]) for module, texts in self.texts.items())
        )
        return found


def joined(lists):
    return dict((key, " ".join(names)) for key, names in lists.items())


def describe(errors):
    """Describes every module outside the standard library, and in it as well where
    picklegate does not know it.
    """
    description, opened = Description(), []
    if sys.version_info[:2] > NEWEST:
        try:
            describe_standard(description, errors)
        except BaseException as error:
            errors.note("the standard library", error)
    directories = standard_directories()
    for name, module in loaded_modules():
        try:
            STEPS.take("describing %s" % name)
            if module is None or module is sys.modules["__main__"] or is_standard(name, directories):
                continue
            # It may have names that it does not show.
            if type(module) is not types.ModuleType or own(module, "__getattr__"):
                opened.append(name)
            if is_a(module, types.ModuleType):
                description.add(name, module, errors)
        except BaseException as error:
            errors.note(name, error)
    found = description.told()
    found["open"] = opened
    return found


# The standard library -----------------------------------------------------------

# Never imported: they act on import, or are programs and test suites whose
# classes no cache holds.
SKIPPED = set("""__hello__ __main__ __phello__ antigravity ensurepip idlelib
    lib2to3 pydoc_data test this turtledemo venv""".split())
SKIPPED_PARTS = set("__main__ __pycache__ test tests".split())
SKIPPED_STARTS = ("_ctypes_test", "_sysconfigdata", "_test", "_xx", "xx")


def modules_in(directory, prefix):
    """Yields the modules that the files of a directory are."""
    for entry in sorted(os.listdir(directory)):
        path = os.path.join(directory, entry)
        if os.path.exists(os.path.join(path, "__init__.py")):
            name = entry
        elif entry.endswith(".py"):
            name = entry[:-3]
        elif entry.endswith(".so"):
            name = re.sub("module$", "", entry.split(".")[0])
        else:
            continue
        full = prefix + name
        if IDENTIFIER.match(name) and name != "__init__" and name not in SKIPPED_PARTS:
            yield full
            if name == entry:
                for module in modules_in(path, full + "."):
                    yield module


def standard_modules():
    """Lists what may be imported, from files and from the interpreter itself."""
    found = set(sys.builtin_module_names) | set(getattr(sys, "stdlib_module_names", ()))
    # Frozen, without files.
    found.update(name for name in sys.modules if name.startswith("_frozen_importlib"))
    for root in sys.path:
        # The constants of one platform's headers are no names to rely on.
        if os.path.isdir(root) and not os.path.basename(root).startswith("plat-"):
            found.update(modules_in(root, ""))
    tops = set(name.split(".")[0] for name in found) - SKIPPED
    return sorted(n for n in found if n.split(".")[0] in tops and not n.startswith(SKIPPED_STARTS))


def answer_standard(answers):
    """Answers, in JSON, which modules there are, and then a line for each that the
    request does not leave out: its names and their facts, or null.
    """
    warnings.simplefilter("ignore")
    done = set(json.loads(sys.stdin.read()))
    facts = Facts()

    def answer(value):
        answers.write(json.dumps(value, sort_keys=True) + "\n")
        answers.flush()

    def describe_imported(name):
        named = list(names_of(name, sys.modules[name]))
        answer([name, [[one for one, _ in named], [facts.of(value) for _, value in named]]])

    sys.path.pop(0)
    modules = standard_modules()
    answer(modules)
    for name in modules:
        if name not in done:
            try:
                __import__(name)
                describe_imported(name)
            except BaseException:
                answer([name, None])
    # Some come into being only with others: os.path, pyexpat.errors.
    tops = set(modules)
    for name, module in loaded_modules():
        if module and name not in tops and name.split(".")[0] in tops:
            describe_imported(name)


def ask_standard(done):
    """Runs this script for the standard library; returns its lines, all that there are
    if it ends or hangs in between.
    """
    # Read from a pipe, it has no file.
    script = os.path.abspath(globals()["__file__"])
    command = [sys.executable, "-S", "-E", "-B", script, "--answer-standard"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdin.write(json.dumps(sorted(done)).encode())
    child.stdin.close()
    lines, line = [], None
    while line != b"":
        timer = threading.Timer(STANDARD_SECONDS, child.kill)
        timer.start()
        line = child.stdout.readline()
        timer.cancel()
        # A line that was cut off has no end.
        if line.endswith(b"\n"):
            STEPS.take("describing the standard library")
            lines.append(json.loads(line.decode()))
    child.stdout.close()
    child.wait()
    return lines


def describe_standard(description, errors):
    """Describes the standard library, in a process of its own: importing all of it
    has effects.
    """
    answers = {}
    while True:
        lines = ask_standard(answers)
        if not lines:
            raise EnvironmentError("the standard library does not answer")
        answers.update(lines[1:])
        missing = [name for name in lines[0] if name not in answers]
        if not missing:
            break
        # It ended or hung there.
        answers[missing[0]] = None
    for name, found in answers.items():
        if found is not None:
            description.names[name], description.texts[name] = found
        else:
            errors[name] = "cannot be imported"


# The environment ----------------------------------------------------------------


def normalized(name):
    return re.sub("[-_.]+", "-", name).lower()


def notes():
    """Yields the files that say what is installed: the path of what has the headers, and
    those of what may list its files.
    """
    for path in sys.path:
        path = path or os.getcwd()
        if not isinstance(path, (str, type(u""))):
            continue
        if path.endswith(".egg"):
            yield os.path.join(path, "EGG-INFO", "PKG-INFO"), os.path.join(path, "EGG-INFO")
        for entry in listing(path):
            place = os.path.join(path, entry)
            if entry.endswith(".dist-info"):
                yield os.path.join(place, "METADATA"), place
            elif entry.endswith(".egg-info"):
                yield os.path.join(place, "PKG-INFO") if os.path.isdir(place) else place, place


def read(path):
    """Lists the lines of a file, if there is one."""
    try:
        with io.open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except (EnvironmentError, ValueError):
        return []


def brings(place):
    """Names the top-level modules that a distribution brings, as far as it says so."""
    for name in ("top_level.txt", "RECORD", "installed-files.txt"):
        tops = set(re.split("[/,]", line.strip())[0].split(".")[0] for line in read(os.path.join(place, name)))
        tops = set(str(top) for top in tops if re.match("[A-Za-z_][A-Za-z0-9_]*$", top))
        if tops:
            return tops
    return set()


def installed():
    """Yields the name, the version and the top-level modules of what is installed."""
    for path, place in notes():
        headers = {}
        for line in read(path):
            if not line.strip():
                break
            key, colon, value = line.partition(":")
            if colon and key in ("Name", "Version"):
                headers.setdefault(key, value.strip())
        if len(headers) == 2:
            yield headers["Name"], headers["Version"], brings(place)


def distributions():
    """Says which version of what there is, normalized name to version, and which
    distribution top-level modules are of.
    """
    found, owners = {}, {}
    told = list(installed())
    # These may have come without their metadata.
    for name in FRAMEWORKS:
        module = sys.modules.get(name)
        try:
            version = (own(module, "get_version") or (lambda: own(module, "__version__")))()
        except Exception:
            continue
        told.append((name, version, [name]))
    for name, version, tops in told:
        # What is found first on sys.path is what is imported.
        if name and is_a(version, (str, type(u""))) and normalized(name) not in found:
            found[normalized(name)] = version
            for top in sorted(tops):
                owners.setdefault(top, normalized(name))
    return found, dict((top, name) for top, name in owners.items() if top in sys.modules)


# The answer -----------------------------------------------------------------------


def encoded(inventory):
    return json.dumps(inventory, sort_keys=True, indent=0, separators=(",", ":")) + "\n"


def write(text, compressed):
    answers = getattr(sys.stdout, "buffer", sys.stdout)
    if compressed:
        # Without the time and the name of a file, equal inventories are equal files.
        with gzip.GzipFile("", "wb", 9, answers, 0) as file:
            file.write(text.encode("ascii"))
    else:
        answers.write(text.encode("ascii"))
    answers.flush()


def heading():
    return {
        "format": FORMAT,
        "python": list(sys.version_info[:3]),
        "implementation": getattr(getattr(sys, "implementation", None), "name", "cpython"),
    }


def take_stock(args):
    """Imports what is asked for; returns what the environment then has, and what of
    that could not be imported.
    """
    errors, failed, walked = Errors(), [], set()
    sys.path.insert(0, os.getcwd())
    if args.django_settings:
        os.environ["DJANGO_SETTINGS_MODULE"] = args.django_settings
    if os.environ.get("DJANGO_SETTINGS_MODULE"):
        try:
            STEPS.take("setting up Django")
            import django

            django.setup()
        except BaseException as error:
            errors.note(os.environ["DJANGO_SETTINGS_MODULE"], error)
            failed.append("what Django's settings name")
    failed += [name for name in args.imports + args.walk if import_module(name, errors) is None]
    for name in args.walk:
        if name in sys.modules:
            walk(name, sys.modules[name], errors, walked)

    inventory = describe(errors)
    finders = foreign_finders(errors)
    extra = set(name for finder in finders for name in finder.brings())
    STEPS.take("reading what is installed")
    found, owners = distributions()
    inventory.update(
        heading(),
        distributions=found,
        owners=owners,
        importable=importable(finders, extra),
        walked=sorted(args.walk),
        errors=errors,
    )
    known = inventory["importable"] is not None
    inventory["packages"] = packages(inventory["modules"], finders, extra) if known else None
    return encoded(inventory), failed


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--import", metavar="MODULE", dest="imports", action="append", default=[])
    parser.add_argument("--walk", metavar="PACKAGE", action="append", default=[], help="import all in it")
    parser.add_argument("--django-settings", metavar="MODULE")
    parser.add_argument("--gzip", action="store_true", help="compress the listing")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="how long a module may take (default %(default)s)"
    )
    parser.add_argument("--standard", action="store_true", help="list the standard library instead")
    parser.add_argument("--answer-standard", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()

    failed = []
    if args.answer_standard:
        # What modules print must not get among the answers.
        answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        answer_standard(answers)
    elif args.standard:
        description, errors = Description(), Errors()
        describe_standard(description, errors)
        write(encoded(dict(description.told(), errors=errors, **heading())), args.gzip)
    else:
        text, failed = watched(lambda: take_stock(args), args.seconds)
        write(text, args.gzip)
    if failed:
        say("cannot import %s" % ", ".join(failed))
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    main()

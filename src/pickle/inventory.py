"""Lists what pickles can name in this Python environment, as JSON on stdout.

Run it where the application runs, with its Python (2.7, or 3.6 and later):

    python inventory.py --import myapp.models --walk myapp > myapp.inventory.json

It imports what it is told to, so let it be something that is imported in
production as well. With --django-settings or DJANGO_SETTINGS_MODULE it sets
Django up first. It needs nothing but the standard library.
"""
from __future__ import print_function

import argparse
import json
import os
import pkgutil
import re
import sys
import sysconfig
import types

FORMAT = 1
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
FINDERS = set("""BuiltinImporter DistutilsMetaFinder FrozenImporter PathFinder
    VendorImporter _SixMetaPathImporter""".split())
# What finds in a directory what has a file or a directory of its name there.
IMPORTERS = ("FileFinder", "ImpImporter")
FRAMEWORKS = ("django", "numpy", "pytz")


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


# Importing --------------------------------------------------------------------


def import_module(name, errors):
    """Imports a module; notes and tells why if that fails."""
    try:
        __import__(name)
        return sys.modules[name]
    # Some modules are scripts, which end the interpreter.
    except (Exception, SystemExit) as error:
        errors[name] = "%s: %s" % (type(error).__name__, error)
        print("inventory: %s: %s" % (name, errors[name]), file=sys.stderr)


def own(module, name):
    """An attribute of a module, without asking one that makes them up."""
    return getattr(module, "__dict__", {}).get(name)


def submodules(path):
    """Lists the names of what is directly in a package with that __path__."""
    names = set(name for _, name, _ in pkgutil.iter_modules(path))
    for directory in path:
        # A directory without __init__.py is a package too, for Python 3.
        for name in listing(directory) if sys.version_info >= (3,) else ():
            if any(inner.endswith(".py") for inner in listing(os.path.join(directory, name))):
                names.add(name)
    return sorted(name for name in names if is_identifier(name) and name != "__main__")


def walk(module, errors):
    """Imports all that is in a package, at any depth."""
    for name in submodules(own(module, "__path__") or []):
        inner = import_module("%s.%s" % (module.__name__, name), errors)
        if inner is not None:
            walk(inner, errors)


def importable():
    """Lists the top-level modules that there are, those of the standard library
    included; None if others may be found in ways that cannot be listed.
    """
    names = set(sys.builtin_module_names) | set(name.split(".")[0] for name in sys.modules)
    for finder in sys.meta_path:
        finder = finder if is_a(finder, type) else finder.__class__
        if finder.__name__ not in FINDERS and finder.__module__ != "_virtualenv":
            return None
    names.update(stems(path or os.getcwd() for path in sys.path))
    archives = [path for path in sys.path if os.path.isfile(path)]
    names.update(name for _, name, _ in pkgutil.iter_modules(archives))
    return sorted(name for name in names if is_identifier(name))


def contents(module):
    """Names all that may be a module directly in a package; None if others may be
    found in ways that cannot be listed.
    """
    try:
        path = list(own(module, "__path__"))
    except TypeError:
        return None
    for entry in path:
        if not is_a(entry, str) or not os.path.isdir(entry):
            return None
        if pkgutil.get_importer(entry).__class__.__name__ not in IMPORTERS:
            return None
    # A package without any was made by hand.
    return stems(path) or None


def packages(modules):
    """Lists what may be directly in each of these modules, unless it is no package;
    None if there may be more.
    """
    loaded = {}
    for name, module in sorted(sys.modules.items()):
        parts = name.split(".")
        # Python 2 notes with None that there is no such module.
        for depth in range(1, len(parts)) if module is not None else ():
            loaded.setdefault(".".join(parts[:depth]), set()).add(parts[depth])
    # VendorImporter finds more in these.
    roots = tuple(finder.root_name + "." for finder in sys.meta_path if hasattr(finder, "root_name"))
    found = {}
    for name in modules:
        module = sys.modules[name]
        usual = type(module) is types.ModuleType
        # An import asks __getattr__ for a __path__, too.
        if usual and name not in loaded and not {"__path__", "__getattr__"} & set(vars(module)):
            continue
        names = contents(module) if usual and not (name + ".").startswith(roots) else None
        if names is not None:
            names = sorted((names | loaded.get(name, set())) - set([""]))
            names = " ".join(names) if all(PRINTABLE.match(name) for name in names) else None
        found[name] = names
    return found


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


def is_a(value, kinds):
    """isinstance, without asking a lazy object what it stands for."""
    return issubclass(type(value), kinds)


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


def names_of(module):
    """Yields the name and the value of all that a pickle can name in a module."""
    for name in sorted(name for name in vars(module) if is_identifier(name)):
        value = vars(module)[name]
        if name in IMPLICIT:
            continue
        if is_a(value, CLASSES):
            for found in classes(module.__name__, name, value):
                yield found
        elif type(value) not in DATA and not is_a(value, types.ModuleType):
            yield name, value


def describe():
    """Describes every module outside the standard library."""
    found = {"modules": {}, "classic": {}, "bytes_based": {}, "text_based": {}, "no_dict": {}, "open": []}
    directories = standard_directories()
    for module_name, module in sorted(sys.modules.items()):
        if module is None or module_name == "__main__" or is_standard(module_name, directories):
            continue
        # It may have names that it does not show.
        if type(module) is not types.ModuleType or own(module, "__getattr__"):
            found["open"].append(module_name)
        if not is_a(module, types.ModuleType):
            continue
        names = found["modules"][module_name] = []
        for name, value in names_of(module):
            names.append(name)
            for kind in kinds(value) if is_a(value, CLASSES) else ():
                found[kind].setdefault(module_name, []).append(name)
    for kind in set(found) - set(["open"]):
        found[kind] = dict((module, " ".join(names)) for module, names in found[kind].items())
    return found


def installed():
    """Yields the name and the version of what is installed."""
    try:
        from importlib.metadata import distributions as found

        for distribution in found():
            try:
                yield distribution.metadata["Name"], distribution.version
            # Remains of something that was removed.
            except Exception:
                continue
    except ImportError:
        try:
            import pkg_resources
        except ImportError:
            return
        for distribution in pkg_resources.working_set:
            yield distribution.project_name, distribution.version


def distributions():
    """Says which version of what there is: normalized name to version."""
    found = {}
    pairs = list(installed())
    # These may have come without their metadata.
    for name in FRAMEWORKS:
        module = sys.modules.get(name)
        version = own(module, "get_version") or (lambda: own(module, "__version__"))
        pairs.append((name, version()))
    for name, version in pairs:
        # What is found first on sys.path is what is imported.
        if name and version:
            found.setdefault(re.sub("[-_.]+", "-", name).lower(), version)
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--import", metavar="MODULE", dest="imports", action="append", default=[])
    parser.add_argument("--walk", metavar="PACKAGE", action="append", default=[], help="import all in it")
    parser.add_argument("--django-settings", metavar="MODULE")
    args = parser.parse_args()

    # What the application prints must not get among the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path.insert(0, os.getcwd())
    errors = {}
    if args.django_settings:
        os.environ["DJANGO_SETTINGS_MODULE"] = args.django_settings
    if os.environ.get("DJANGO_SETTINGS_MODULE"):
        import django

        django.setup()
    failed = [name for name in args.imports + args.walk if import_module(name, errors) is None]
    if failed:
        sys.exit("inventory: cannot import %s" % ", ".join(failed))
    for name in args.walk:
        walk(sys.modules[name], errors)

    inventory = describe()
    inventory.update(
        format=FORMAT,
        python=list(sys.version_info[:3]),
        implementation=getattr(getattr(sys, "implementation", None), "name", "cpython"),
        distributions=distributions(),
        importable=importable(),
        walked=sorted(args.walk),
        errors=errors,
    )
    known = inventory["importable"] is not None
    inventory["packages"] = packages(inventory["modules"]) if known else None
    json.dump(inventory, answer, sort_keys=True, indent=0, separators=(",", ":"))
    answer.write("\n")
    answer.flush()
    # Whatever threads the application has started are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()

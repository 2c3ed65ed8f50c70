#!/usr/bin/env python3
"""Writes names.txt and compat.txt beside itself: what the standard library of
each CPython calls its things, as the interpreters themselves say.

Takes no arguments. Needs every minor version of VERSIONS on PATH, under pyenv
or in PICKLEGATE_PYTHONS; for the newest alone the one before may stand in
(tests/newer brings what no distribution has yet).
Running it twice gives the same bytes.

Under each interpreter this same file runs as the probe, which is why it keeps
to what Python 2.7 understands.
"""
from __future__ import print_function

import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# What modules there are, and what of them pickles can name, is told there.
sys.path.insert(0, os.path.dirname(HERE))
import inventory  # noqa: E402

sys.path.pop(0)

VERSIONS = [(2, 7)] + [(3, minor) for minor in range(6, 16)]

# Packages from PyPI that many installations of these versions have, and the names
# in them where they are known. Others, such as the modules that were dropped
# from the standard library, only an inventory can tell of.
BACKPORTS = {
    "configparser": ((2, 7), None), "ipaddress": ((2, 7), None), "typing": ((2, 7), None),
    "concurrent": ((2, 7), None), "enum": ((2, 7), "DynamicClassAttribute Enum EnumMeta IntEnum unique"),
    "pathlib": ((2, 7), "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath"),
    "contextvars": ((3, 6), None), "dataclasses": ((3, 6), None),
}

TIMEOUT_SECONDS = 120


# The probe: runs under each interpreter, with -S and -E -----------------------


def describe(module, known):
    """Sorts a module's names into classic classes, data and the rest."""
    import types

    kinds = {"classic": [], "data": [], "names": []}
    # A module may hide names from dir(), or serve deprecated ones that neither
    # shows: those an older version is known to have are asked for.
    names = set(dir(module)) | set(vars(module)) | set(known)
    for name in sorted(name for name in names if isinstance(name, str)):
        try:
            value = getattr(module, name)
        except Exception:
            continue
        dunder = name.startswith("__") and name.endswith("__")
        if not inventory.IDENTIFIER.match(name) or name in inventory.IMPLICIT or dunder and not callable(value):
            continue
        if type(value) in inventory.DATA:
            kinds["data"].append(name)
        elif type(value) is getattr(types, "ClassType", None):
            kinds["classic"].append(name)
        else:
            kinds["names"].append(name)
    return kinds


def probe():
    """Answers on stdout, one JSON value a line: the modules, then each of those
    that the request does not leave out, with null for what cannot be imported.
    """
    import warnings

    warnings.simplefilter("ignore")
    request = json.loads(sys.stdin.read())
    # Modules may print; nobody wants it.
    answers = os.fdopen(os.dup(1), "w")
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)

    def answer(value):
        print(json.dumps(value, sort_keys=True), file=answers)
        answers.flush()

    def describe_imported(name):
        answer([name, describe(sys.modules[name], request["known"].get(name, ()))])

    sys.path.pop(0)
    modules = inventory.standard_modules()
    answer(modules)
    for name in modules:
        if name in request["done"]:
            continue
        try:
            __import__(name)
            describe_imported(name)
        except BaseException:
            answer([name, None])
    # Some come into being only with others: os.path, pyexpat.errors.
    tops = set(modules)
    for name, module in sorted(sys.modules.items()):
        if module and name not in tops and name.split(".")[0] in tops:
            describe_imported(name)
    # Threads and exit handlers of what was imported are not waited for.
    os._exit(0)


def probe_compat():
    """Prints the four tables of _compat_pickle, keys and values as lists."""
    import _compat_pickle as compat

    def pairs(table):
        split = lambda x: [x] if isinstance(x, str) else list(x)
        return [[split(key), split(value)] for key, value in sorted(table.items())]

    tables = "NAME_MAPPING IMPORT_MAPPING REVERSE_NAME_MAPPING REVERSE_IMPORT_MAPPING"
    print(json.dumps([[name, pairs(getattr(compat, name))] for name in tables.split()]))


# The interpreters ------------------------------------------------------------


def candidates():
    """Yields programs that may be interpreters, the preferred first."""
    for program in re.split("[: ]+", os.environ.get("PICKLEGATE_PYTHONS", "")):
        yield program
    try:
        root = subprocess.check_output(["pyenv", "root"]).decode().strip()
        versions = os.path.join(root, "versions")
        for version in sorted(os.listdir(versions)):
            yield os.path.join(versions, version, "bin", "python")
    except (OSError, subprocess.CalledProcessError):
        pass
    for major, minor in VERSIONS:
        yield "python%d.%d" % (major, minor)


def interpreters():
    """Finds a CPython for each version: (major, minor) to (program, micro)."""
    code = "import sys; assert 'PyPy' not in sys.version; print(list(sys.version_info[:3]))"
    found = {}
    for program in candidates():
        try:
            output = subprocess.check_output([program, "-SEc", code], stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            continue
        major, minor, micro = json.loads(output.decode())
        found.setdefault((major, minor), (program, micro))
    return found


def run(program, mode, request):
    """Runs the probe; returns its lines, all that there are if it crashes."""
    command = [program, "-S", "-E", "-B", os.path.abspath(__file__), mode]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        output, _ = child.communicate(json.dumps(request).encode(), TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        output, _ = child.communicate()
    # A line that was cut off has no end.
    lines = output.decode().split("\n")[:-1]
    return [json.loads(line) for line in lines]


def ask(program, known):
    """Asks one interpreter: module to its kinds of names, None if unimportable."""
    answers = {}
    while True:
        lines = run(program, "--probe", {"done": sorted(answers), "known": known})
        answers.update(lines[1:])
        missing = [name for name in lines[0] if name not in answers]
        if not missing:
            return answers
        # It ended or hung there.
        answers[missing[0]] = None


# The files --------------------------------------------------------------------


class Module(object):
    """What the versions say of one module; masks have bit k for VERSIONS[k]."""

    def __init__(self):
        self.has = 0
        self.may_have = 0
        self.names = {}
        self.data = set()
        self.classic = set()

    def add(self, bit, kinds):
        if kinds is None:
            self.may_have |= bit
            return
        self.has |= bit
        self.classic.update(kinds["classic"])
        self.data |= set(kinds["data"]) - set(self.names)
        self.data -= set(kinds["names"] + kinds["classic"])
        for name in kinds["names"] + kinds["classic"] + kinds["data"]:
            self.names[name] = self.names.get(name, 0) | bit

    def groups(self):
        """Yields masks with the names that exactly these versions have; what is
        data in all of them is left out, for nothing pickles it by name.
        """
        groups = {}
        for name, mask in self.names.items():
            if name not in self.data:
                mark = "*" if name in self.classic else ""
                groups.setdefault(mask, []).append(name + mark)
        return sorted(groups.items(), reverse=True)


def survey(found):
    """Asks all; returns the modules and, per version, who spoke for it."""
    modules, spoke, known = {}, [], {}
    answers = None
    for k, version in enumerate(VERSIONS):
        if version in found:
            program, micro = found[version]
            print("generate: asking %s" % program, file=sys.stderr)
            answers = ask(program, known)
            spoke.append("%d.%d.%d" % (version + (micro,)))
        elif version == VERSIONS[-1]:
            spoke.append("not asked: as %s" % spoke[-1])
        else:
            sys.exit("generate: no CPython %d.%d found" % version)
        for name, kinds in answers.items():
            modules.setdefault(name, Module()).add(1 << k, kinds)
        # A distribution may bring a package apart: what is in it is there all the same.
        for name in set(modules) - set(answers):
            if answers.get(name.split(".")[0], 0) is None:
                modules[name].add(1 << k, None)
        known = {name: sorted(module.names) for name, module in modules.items()}
    for name, module in modules.items():
        top = name.split(".")[0]
        version, names = BACKPORTS.get(top, (VERSIONS[0], ""))
        bit = 1 << VERSIONS.index(version)
        if names is None:
            module.may_have |= bit & ~modules[top].has
        elif names and name == top:
            module.has |= bit
            for known in names.split():
                module.names[known] = module.names.get(known, 0) | bit
    # A top-level module of other platforms only: the table cannot say.
    unknown = set(name for name in modules if "." not in name and not modules[name].has)
    return {n: m for n, m in modules.items() if n.split(".")[0] not in unknown}, spoke


def write_names(modules, spoke):
    lines = [
        "# Which names the standard library of each CPython has. Written by generate.py.",
        "#",
        "# Unindented: a module, the versions that have it and, where there are any, those",
        "# that may: it could not be imported here, or PyPI has it for them. Indented: the",
        "# versions and the names that only they have; * marks a classic class of 2.7.",
        "# Versions are the bits of a hexadecimal number:",
    ]
    lines += ["#   %03x  %d.%d  (%s)" % ((1 << k,) + v + (spoke[k],)) for k, v in enumerate(VERSIONS)]
    for name, module in sorted(modules.items()):
        lines.append("%s %x" % (name, module.has) + (" %x" % module.may_have) * bool(module.may_have))
        lines += [" %x %s" % (mask, " ".join(sorted(names))) for mask, names in module.groups()]
    write("names.txt", lines)


def write_compat(found):
    """Newer versions drop entries of modules that they drop: all are kept."""
    tables = {}
    for version in sorted(set(VERSIONS) & set(found)):
        if version[0] == 3:
            for table, pairs in run(found[version][0], "--probe-compat", None)[0]:
                for key, value in pairs:
                    tables.setdefault(table, {})[tuple(key)] = value
    lines = [
        "# What Python 3 calls the things of Python 2, and back, in pickles below protocol 3:",
        "# the tables of its _compat_pickle. Written by generate.py.",
    ]
    for table, pairs in tables.items():
        lines.append(table)
        lines += [" %s %s" % (" ".join(k), " ".join(v)) for k, v in sorted(pairs.items())]
    write("compat.txt", lines)


def write(name, lines):
    with open(os.path.join(HERE, name), "w") as file:
        file.write("\n".join(lines) + "\n")


def main():
    found = interpreters()
    write_names(*survey(found))
    write_compat(found)


if __name__ == "__main__":
    if sys.argv[1:] == ["--probe"]:
        probe()
    elif sys.argv[1:] == ["--probe-compat"]:
        probe_compat()
    else:
        main()

#!/usr/bin/env python3
"""Writes facts.txt beside itself: what pickles ask of the classes and functions that
the standard library of each CPython has, as the interpreters themselves say.

    generate.py [PYTHON...]

Asks the interpreters that it is given, or else all that names/generate.py finds, by
`inventory.py --standard`, and keeps what the file says of other versions. So a new
version is one run with its interpreter. Running it twice gives the same bytes.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PATH = os.path.join(HERE, "facts.txt")
INVENTORY = os.path.join(HERE, "..", "inventory.py")
# What is neither is named in pickles for its value, of which there are no facts.
KINDS = ("class", "classic", "function")
HEAD = """\
# What pickles ask of the classes and the functions of each CPython's standard library.
# Written by generate.py; the words are those of inventory.py.
#
# After =, facts, which are numbered from 0. Unindented: a module. Indented: for which
# versions which facts hold, as VERSIONS:NUMBER, and the names of which this is all that
# there is. Versions are the bits of a hexadecimal number:"""


def ask(program):
    """Asks one interpreter: its version, and (module, name) to facts."""
    command = [program, "-S", "-E", "-B", INVENTORY, "--standard"]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode())
    found = {}
    for module, names in told["modules"].items():
        for name, number in zip(names.split(), told["facts_of"][module].split()):
            fact = told["facts"][int(number)].split(" ")
            if fact[0] in KINDS:
                # The same function of another version may well be written otherwise.
                found[module, name] = " ".join(fact[:2] if fact[0] == "function" else fact)
    return ".".join(map(str, told["python"])), found


def read(path):
    """What the file says: micro version to (module, name) to facts."""
    told, facts, versions, module = {}, [], {}, None
    with open(path) as file:
        for line in file.read().splitlines():
            if line.startswith("#   "):
                bit, version = line[1:].split()
                versions[int(bit, 16)] = version
                told[version] = {}
            elif line.startswith("="):
                facts.append(line[1:])
            elif line.startswith(" "):
                groups, *names = line.split()
                for group in groups.split(","):
                    mask, number = group.split(":")
                    for bit in versions:
                        if int(mask, 16) & bit:
                            told[versions[bit]].update(((module, name), facts[int(number)]) for name in names)
            elif not line.startswith("#"):
                module = line
    return told


def minor(version):
    return tuple(int(part) for part in version.split(".")[:2])


def write(path, told):
    versions = sorted(told, key=minor)
    by_name, counts = {}, {}
    for k, version in enumerate(versions):
        for key, fact in told[version].items():
            masks = by_name.setdefault(key, {})
            masks[fact] = masks.get(fact, 0) | 1 << k
    for masks in by_name.values():
        for fact in masks:
            counts[fact] = counts.get(fact, 0) + 1
    facts = sorted(counts, key=lambda fact: (-counts[fact], fact))
    numbers = {fact: number for number, fact in enumerate(facts)}
    modules = {}
    for (module, name), masks in by_name.items():
        group = tuple(sorted((mask, numbers[fact]) for fact, mask in masks.items()))
        modules.setdefault(module, {}).setdefault(group, []).append(name)
    lines = [HEAD] + ["#   %03x  %s" % (1 << k, version) for k, version in enumerate(versions)]
    lines += ["=" + fact for fact in facts]
    for module, groups in sorted(modules.items()):
        lines.append(module)
        for group, names in sorted(groups.items()):
            held = ",".join("%x:%d" % pair for pair in group)
            lines.append(" %s %s" % (held, " ".join(sorted(names))))
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")


def main(programs):
    if not programs:
        sys.path.insert(0, os.path.join(HERE, "..", "names"))
        import generate

        programs = [program for program, _ in generate.interpreters().values()]
    told = read(PATH) if os.path.exists(PATH) else {}
    for program in programs:
        print("generate: asking %s" % program, file=sys.stderr)
        version, facts = ask(program)
        # A micro version takes the place of another.
        told = {other: known for other, known in told.items() if minor(other) != minor(version)}
        told[version] = facts
    write(PATH, told)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Checks what the memcache clients of this Python get of values that another
Python stored, through a picklegate that looks at all of them, one subcommand a
phase. Prints one JSON object a line: name, ok, detail. Runs unchanged on
CPython 2.7 and 3.
"""
import os
import pickle
import shutil
import sys
import tempfile
import zlib

import values
from harness import (
    EVERY_PROTOCOL, HIGHEST, Wire, check, chosen, connect, expect, expect_answers,
    expect_miss, key, report, run, sessions,
)

PICKLE, DEFLATED = 1, 8
EVERY_VALUE = sorted(set(values.CROSSING) | set(values.BOUND))


def expect_same(read, value, what):
    expect(values.meaning(read) == values.meaning(value), what + " reads", read, value)


def expect_read(session, name, value):
    """Each way to read one value finds one of this meaning."""
    library = session.library
    expect_same(library.get(name), value, "get")
    if library.offers("gets"):
        expect_same(library.gets(name), value, "gets")


def expect_all_read(session, names, wanted):
    """A multi-get finds what is wanted, and nothing else."""
    found = session.library.get_many(names)
    expect(set(found) == set(wanted), "get_many differs in", sorted(set(found) ^ set(wanted)))
    for name in wanted:
        expect_same(found[name], wanted[name], name + ": get_many")


def read_all(reader, family, names, wanted):
    """A client reads what is wanted of these names, all at once, and by itself what
    it had stored; the others are misses."""
    with check(reader.label, "reads all of", family.name):
        expect_all_read(reader, names, wanted)
    for name in names:
        if not family.is_of(reader.client, name):
            continue
        with check(reader.label, "reads", name):
            if name in wanted:
                expect_read(reader, name, wanted[name])
            else:
                expect_miss(reader, name)


def version_of(family):
    return tuple(int(part) for part in family.split(":")[-1].split("."))


class Family(object):
    """What the clients of one Python stored: under which name whose value of
    the table."""

    def __init__(self, arguments, direct, family):
        self.name = family
        self.writer = version_of(family)
        self.owned = {key(family, client, protocol, value): (client, protocol, value)
                      for client in chosen(arguments) for protocol in EVERY_PROTOCOL
                      for value in EVERY_VALUE}
        self.stored = direct.get_many(sorted(self.owned))
        self.highest = max(self.owned[name][1] for name in self.stored)

    def value(self, name):
        return self.owned[name][2]

    def readable(self, client):
        """All that the same client stored, and what any other did at the highest
        protocol. Clients that do not inflate have no use for what is deflated."""
        return [name for name in sorted(self.stored)
                if (self.is_of(client, name) or self.owned[name][1] == self.highest)
                and (not self.stored[name][0] & DEFLATED or "inflates" in client.traits)]

    def is_of(self, client, name):
        return self.owned[name][0] is client


# Phases ---------------------------------------------------------------------

def store(arguments):
    """Every client stores every value, at every protocol."""
    direct = Wire(arguments.direct)
    table = dict(values.CROSSING, **values.bound())
    deflated = 0
    for session in sessions(arguments):
        for value in sorted(table):
            name = session.key(arguments.family, value)
            with check("store", name):
                session.library.set(name, table[value])
                flags, _ = direct.get(name)
                expect(flags & PICKLE, "no pickle, but", flags)
                deflated += bool(flags & DEFLATED)
    report("%d are deflated" % deflated, deflated > 0)


def transcoded(arguments):
    """Every client reads everything that another Python stored as the same
    value, by every way to read; what has no form here is a miss. What is stored
    stays as it is."""
    direct, through = Wire(arguments.direct), Wire(arguments.at)
    bound = values.bound()
    read = missed = 0
    for each in arguments.families.split(","):
        family = Family(arguments, direct, each)
        for reader in sessions(arguments, every_protocol=False):
            wanted = {}
            names = family.readable(reader.client)
            for name in names:
                value = family.value(name)
                if value in values.CROSSING:
                    wanted[name] = values.crossed(value, family.writer, not arguments.bytes)
                elif value in bound:
                    wanted[name] = bound[value]
            read_all(reader, family, names, wanted)
            for name in names:
                if not (family.is_of(reader.client, name) and reader.library.offers("decode")):
                    continue
                with check(reader.label, "reads by mg", name):
                    meta = through.meta_get(name)
                    if name in wanted:
                        flags, data = meta
                        expect_same(reader.library.decode(name, data, flags), wanted[name], "mg")
                    else:
                        expect(meta is None, "mg finds", meta)
            read, missed = read + len(wanted), missed + len(names) - len(wanted)
        with check("leaves what is stored of", each):
            expect(direct.get_many(sorted(family.stored)) == family.stored, "it is changed")
    # Nothing of its own has no form here.
    other = any(version_of(each) != sys.version_info[:2] for each in arguments.families.split(","))
    report("%d read, %d missed" % (read, missed), read > 0 and (missed > 0) == other)


def loads(flags, data):
    """What this Python makes of a value, as its clients do."""
    if flags & DEFLATED:
        data = zlib.decompress(data)
    if sys.version_info < (3,):
        import cPickle

        return cPickle.loads(data)
    return pickle.loads(data)


def loadable(stored):
    """What this Python can load of it."""
    found = {}
    for name, (flags, data) in stored.items():
        try:
            found[name] = loads(flags, data)
        except Exception:
            continue
    return found


def judged(arguments):
    """Every client reads exactly what this Python can load, and those bytes are
    the stored ones; the rest are misses, and none raises."""
    direct, through = Wire(arguments.direct), Wire(arguments.at)
    read = missed = 0
    for each in arguments.families.split(","):
        family = Family(arguments, direct, each)
        stored, can = family.stored, loadable(family.stored)
        with check("bytes of", each):
            served = through.get_many(sorted(stored))
            expect(set(served) == set(can), "served or loadable only",
                   sorted(set(served) ^ set(can)))
            for name in served:
                expect(served[name] == stored[name], name, served[name], stored[name])
        for reader in sessions(arguments, every_protocol=False):
            names = family.readable(reader.client)
            wanted = {name: can[name] for name in names if name in can}
            read_all(reader, family, names, wanted)
            read, missed = read + len(wanted), missed + len(names) - len(wanted)
    report("%d read, %d missed" % (read, missed), read > 0 and missed > 0)


def leave(arguments):
    """Leaves values for `add` to meet, for each client of each reader its own,
    at this Python's lowest and highest protocol."""
    direct = Wire(arguments.direct)
    table = dict(values.bound(), dated=values.CROSSING["dated"], text=values.CROSSING["text"])
    for reader in arguments.families.split(","):
        for client in chosen(arguments):
            for value in sorted(table):
                for protocol in (0, HIGHEST):
                    name = key(arguments.family + ">" + reader, client, protocol, value)
                    direct.set(name, PICKLE, pickle.dumps(table[value], protocol))
    report("left for every reader", True)


def add(arguments):
    """Every client can add where it is not shown what is stored, and reads its
    own then; where it is, the add fails."""
    direct = Wire(arguments.direct)
    added = refused = 0
    for writer in arguments.families.split(","):
        for session in sessions(arguments, every_protocol=False):
            names = [key(writer + ">" + arguments.family, session.client, protocol, value)
                     for protocol in EVERY_PROTOCOL for value in EVERY_VALUE]
            stored = direct.get_many(names)
            can = loadable(stored)
            for name in sorted(stored):
                with check("add", name):
                    answer = bool(session.library.add(name, values.OWN))
                    expect(answer == (name not in can), "add answers", answer)
                    expect_read(session, name, can.get(name, values.OWN))
                added, refused = added + (name not in can), refused + (name in can)
    report("%d added, %d not" % (added, refused), added > 0 and refused > 0)


def rejected(arguments):
    """What some namespace's Pythons cannot load is refused to store, and by
    every library a plain failure."""
    stored = refused_in_all = 0
    for session in sessions(arguments):
        old = connect(session.client, arguments.at, min(2, HIGHEST)).library
        table = dict(values.CROSSING, **values.bound())
        for value in sorted(table):
            refused = session.protocol > 2 or value in values.bound()
            # For Python 3 they are str that it cannot decode, or no time.
            refused |= HIGHEST == 2 and value in ("dated", "bytes-binary", "bytes-utf8")
            # A classic class there, which a new-style instance is not made of.
            refused |= HIGHEST > 2 and value == "old"
            if value == "dated-ascii":
                continue
            name = session.key(arguments.family, value)
            expect_answers(session, old, name, table[value], refused)
            stored, refused_in_all = stored + (not refused), refused_in_all + refused
    report("%d stored, %d refused" % (stored, refused_in_all), stored > 0 and refused_in_all > 0)


class Call(object):
    """Pickles as a call of `os.system`."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def hostile(command):
    """Pickles that run a command where they are loaded, each with its flags."""
    text = command.encode()
    binary = b"X" + bytes(bytearray([len(text), 0, 0, 0])) + text
    written = [
        b"cos\nsystem\n(S'" + text + b"'\ntR.",
        b"(S'" + text + b"'\nios\nsystem\n.",
        b"\x80\x02]cposix\nsystem\n" + binary + b"\x85Ra.",
    ]
    if HIGHEST >= 4:
        written.append(b"\x80\x04\x8c\x02os\x8c\x06system\x93" + binary + b"\x85R.")
    written += [pickle.dumps({u"x": Call(command)}, protocol) for protocol in range(HIGHEST + 1)]
    return [(PICKLE, each) for each in written] + \
        [(PICKLE | DEFLATED, zlib.compress(each)) for each in written]


def fenced(arguments):
    """Pickles that run something are misses for every client, whoever stored
    them, and other values are not."""
    direct = Wire(arguments.direct)
    directory = tempfile.mkdtemp()
    try:
        mark = os.path.join(directory, "ran")
        names = {}
        for number, (flags, data) in enumerate(hostile(": > " + mark)):
            with check("runs where it is loaded", str(number)):
                loads(flags, data)
                expect(os.path.exists(mark), "nothing ran")
                os.remove(mark)
            names["%s:hostile:%d" % (arguments.family, number)] = flags, data
        for session in sessions(arguments, every_protocol=False):
            for name in sorted(names):
                with check(session.label, "is not handed", name):
                    direct.set(name, *names[name])
                    expect_miss(session, name)
                    expect(direct.get(name) == names[name], "it is gone")
                    added = session.library.add(name, values.OWN)
                    expect(added, "add answers", added)
                    expect_read(session, name, values.OWN)
            with check(session.label, "is not handed any of them"):
                for name in names:
                    direct.set(name, *names[name])
                expect(session.library.get_many(sorted(names)) == {}, "get_many finds some")
            expect(not os.path.exists(mark), "something ran")
        for session in sessions(arguments):
            for value in ("containers", "ordered", "uuid"):
                name = session.key(arguments.family, value)
                with check("passes what is allowed", name):
                    session.library.set(name, values.CROSSING[value])
                    if arguments.unlisted and value == "uuid":
                        expect_miss(session, name)
                    else:
                        expect_read(session, name, values.CROSSING[value])
    finally:
        shutil.rmtree(directory)


PHASES = [store, transcoded, judged, leave, add, rejected, fenced]


def add_arguments(parser):
    parser.add_argument("--bytes", action="store_true", help="a str of Python 2 is bytes")
    parser.add_argument("--unlisted", action="store_true", help="a UUID is not on the list")


run(__doc__, PHASES, add_arguments)

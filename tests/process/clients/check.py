"""Checks the memcache clients of this Python through picklegate, one
subcommand a phase; the Rust test puts the phases of several Pythons together.
Prints one JSON object a line: name, ok, detail. Runs unchanged on CPython 2.7
and 3.
"""
import os
import time

import values
from harness import (
    EVERY_PROTOCOL, HIGHEST, Wire, brief, check, chosen, connect, expect,
    expect_answers, expect_miss, expect_value, key, report, run, sessions,
)

# Far longer than a reply takes, and far shorter than any client's timeout.
HANG_SECONDS = 3


def table(arguments):
    return values.PORTABLE if arguments.portable else values.VALUES


# Phases ---------------------------------------------------------------------

def fill(arguments):
    """Every client finds nothing under its keys, then stores every value."""
    for session in sessions(arguments):
        for name, value in sorted(table(arguments).items()):
            name = session.key(arguments.family, name)
            with check("fill", name):
                expect_miss(session, name)
                session.library.set(name, value)
                expect_value(session, name, value)


def verify(arguments):
    """Every client reads back exactly what this Python stored."""
    for session in sessions(arguments):
        wanted = {session.key(arguments.family, name): value
                  for name, value in table(arguments).items()}
        with check("verify all of", session.label):
            found = session.library.get_many(list(wanted))
            expect(set(found) == set(wanted), "get_many misses", set(wanted) - set(found))
        for name, value in sorted(wanted.items()):
            with check("verify", name):
                expect_value(session, name, value)


def delete(arguments):
    """Deletes the keys of every client of the table, each half of them in its
    own way; another client stands in for one that this Python lacks."""
    every = {session.client.name: session for session in sessions(arguments, every_protocol=False)}
    for client in chosen(arguments):
        session = every.get(client.name) or every[min(every)]
        names = [key(arguments.family, client, protocol, name)
                 for protocol in EVERY_PROTOCOL for name in sorted(table(arguments))]
        with check("delete", client.name):
            if session.library.offers("delete_many"):
                session.library.delete_many(names[::2])
                names = names[1::2]
            for name in names:
                session.library.delete(name)
            # Comes after every delete that was not waited for.
            expect_miss(session, names[-1])


def gone(arguments):
    """Every client misses every value."""
    for session in sessions(arguments):
        for name in sorted(table(arguments)):
            name = session.key(arguments.family, name)
            with check("gone", name):
                expect_miss(session, name)


def guarded(arguments):
    """Every client reads what other Pythons stored if it knows the protocol,
    and misses the rest, one by one and all at once."""
    stored = Wire(arguments.direct)
    loadable = hidden = 0
    for reader in sessions(arguments, every_protocol=False):
        for family in arguments.families.split(","):
            wanted, unwanted = {}, []
            for writer in chosen(arguments):
                if "zlib" in writer.name and "inflates" not in reader.client.traits:
                    continue
                for protocol in EVERY_PROTOCOL:
                    for value in sorted(values.PORTABLE):
                        name = key(family, writer, protocol, value)
                        if stored.get(name) is None:
                            continue
                        with check(reader.label, "reads", name):
                            if protocol <= HIGHEST:
                                wanted[name] = values.PORTABLE[value]
                                expect_value(reader, name, wanted[name])
                            else:
                                unwanted.append(name)
                                expect_miss(reader, name)
            with check(reader.label, "reads all of", family):
                found = reader.library.get_many(sorted(list(wanted) + unwanted))
                expect(found == wanted, "get_many differs in", set(found) ^ set(wanted))
            loadable += len(wanted)
            hidden += len(unwanted)
    report("%d loadable, %d hidden" % (loadable, hidden), loadable > 0)


def refill(arguments):
    """Every client can add where a value is hidden from it, and reads its own
    then; where it can load the value its add fails."""
    for session in sessions(arguments, every_protocol=False):
        for protocol in EVERY_PROTOCOL:
            name = key(arguments.family, session.client, protocol, "object")
            if Wire(arguments.direct).get(name) is None:
                continue
            with check("add", name):
                added = session.library.add(name, values.OWN)
                expect(bool(added) == (protocol > HIGHEST), "add answers", added)
                expected = values.OWN if added else values.PORTABLE["object"]
                expect_value(session, name, expected)


def rejected(arguments):
    """A value that the oldest reader could not load is refused: the client is
    told of a plain failure, and after a set the old value is gone."""
    for session in sessions(arguments):
        old = connect(session.client, arguments.at, min(arguments.limit, HIGHEST)).library
        refused = session.protocol > arguments.limit
        for name, value in sorted(values.PORTABLE.items()):
            expect_answers(session, old, session.key(arguments.family, name), value, refused)


def untouched(arguments):
    """Clients leave byte for byte in memcached what they leave there when
    nothing is between."""
    direct = Wire(arguments.direct)
    for session in sessions(arguments):
        plain = connect(session.client, arguments.direct, session.protocol)
        for name, value in sorted(table(arguments).items()):
            name = session.key(arguments.family, name)
            with check("untouched", name):
                plain.library.set(name, value)
                wanted = direct.get(name)
                plain.library.delete(name)
                session.library.set(name, value)
                expect(direct.get(name) == wanted, "stored", direct.get(name), wanted)


def served(arguments):
    """Whoever wrote a value, this Python is served it byte for byte."""
    direct, through = Wire(arguments.direct), Wire(arguments.at)
    read = 0
    for family in arguments.families.split(","):
        for client in chosen(arguments):
            for protocol in EVERY_PROTOCOL:
                for name in sorted(table(arguments)):
                    name = key(family, client, protocol, name)
                    wanted = direct.get(name)
                    if wanted is not None:
                        read += 1
                        with check("served", name):
                            expect(through.get(name) == wanted, "read", through.get(name), wanted)
    report("served %d values" % read, read > 0)


NOISE = os.urandom(700000)
MANY = ["many-%d" % number for number in range(200)]

# One step each: the verb, its key or keys, its other arguments.
STEPS = [
    ("get", "absent"), ("gets", "absent"), ("get_many", ["absent"]),
    ("set", "text", u"middle"), ("append", "text", u" end"), ("prepend", "text", u"start "),
    ("append", "absent", u"x"), ("prepend", "absent", u"x"),
    ("get", "text"), ("gets", "text"),
    ("add", "text", u"no"), ("add", "fresh", [u"added"]), ("get", "fresh"),
    ("replace", "fresh", {u"replaced": True}), ("replace", "absent", 1), ("get", "fresh"),
    ("gets", "fresh"), ("cas", "fresh", (u"swapped",)), ("cas", "fresh", u"stale"), ("get", "fresh"),
    ("touch", "fresh", 100), ("touch", "absent", 100),
    ("set", "number", 10), ("incr", "number", 5), ("decr", "number", 8), ("get", "number"),
    ("decr", "number", 20), ("incr", "number", 2 ** 40), ("get", "number"),
    ("incr", "absent", 1), ("decr", "absent", 1),
    ("set", "empty", b""), ("get", "empty"), ("set", "wire", b"END\r\nVALUE x 0 1\r\n"), ("get", "wire"),
    ("set", "k" * 200, 1), ("get", "k" * 200),
    ("set", "noise", NOISE), ("get", "noise"),
    ("set_many", {name: {u"name": name} for name in MANY}),
    ("get_many", MANY + ["absent"]), ("delete_many", MANY[::2]), ("get_many", MANY),
    ("delete", "fresh"), ("delete", "fresh"), ("get", "fresh"),
    ("version", None), ("stats", None),
    ("flush_all", None), ("get", "text"),
]
# Not with noreply: memcached answers these all the same, and a client that
# does not wait takes the error for its next reply.
ANSWERED_STEPS = [
    ("set", "noise", u"old"), ("set", "noise", NOISE * 2), ("get", "noise"),
]


def conform(arguments):
    """Through picklegate every client gets what memcached itself gives it, and
    leaves there what it leaves in memcached."""
    addresses = arguments.at, arguments.direct
    wires = [Wire(address) for address in addresses]
    for client in chosen(arguments):
        for noreply in (False, True) if "noreply" in client.traits else (False,):
            options = {"noreply": True} if noreply else {}
            pair = [connect(client, address, **options) for address in addresses]
            if None in pair:
                break
            # The two may be one and the same memcached.
            keys = [arguments.family + ":" + side + ":" for side in ("through", "direct-")]
            for number, step in enumerate(STEPS + (ANSWERED_STEPS if not noreply else [])):
                verb, name = step[:2]
                if not pair[0].library.offers(verb):
                    continue
                label = client.name + (" noreply" if noreply else "")
                with check("conform", label, "%d %s %s" % (number, verb, brief(name)[:40])):
                    seen = [outcome(session.library, wire, prefix, *step)
                            for session, wire, prefix in zip(pair, wires, keys)]
                    expect(seen[0] == seen[1], "through and direct differ", *seen)


def outcome(library, wire, prefix, verb, name, *rest):
    """What a step answered or raised, without what no two runs share, and what
    it left behind."""
    def full(name):
        return "%s%s" % (prefix, name)

    if isinstance(name, dict):
        arguments = ({full(each): value for each, value in name.items()},)
    elif isinstance(name, list):
        arguments = ([full(each) for each in name],)
    else:
        arguments = (full(name),) if name else ()
    try:
        result = getattr(library, verb)(*(arguments + rest))
    except Exception as error:
        result = "raises " + type(error).__name__
    if verb in ("version", "stats"):
        result = type(result).__name__, bool(result)
    elif isinstance(result, dict):
        result = {each[len(prefix):]: value for each, value in result.items()}
    elif isinstance(result, list) and verb.endswith("_many"):
        result = sorted(each[len(prefix):] for each in result)
    # Comes after a write that was not waited for.
    library.get(full("fence"))
    left = wire.get(arguments[0]) if isinstance(name, str) else None
    if left and left[1].strip().isdigit():
        # A decremented number is padded or not, as memcached's locks happen to stand.
        left = left[0], left[1].rstrip()
    return result, left


def denied(arguments):
    """A denied flush_all is a failure that the client gets over at once."""
    for session in sessions(arguments, every_protocol=False):
        with check("denied flush_all", session.label):
            name = session.key(arguments.family, "kept")
            session.library.set(name, [u"kept"])
            started = time.time()
            try:
                session.library.flush_all()
            except Exception as error:
                expect(type(error).__name__ != "timeout", "flush_all hangs", error)
            expect(time.time() - started < HANG_SECONDS, "flush_all takes", time.time() - started)
            expect_value(session, name, [u"kept"])


PHASES = [fill, verify, delete, gone, guarded, refill, rejected, untouched, served, conform, denied]


def add_arguments(parser):
    parser.add_argument("--portable", action="store_true", help="only values that every Python reads")
    parser.add_argument("--limit", type=int, default=2, help="the highest protocol that is accepted")


run(__doc__, PHASES, add_arguments)

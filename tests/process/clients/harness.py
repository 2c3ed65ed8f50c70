"""What the scripts that check memcache clients share: results, clients with
their keys, a look at what is stored, and the command line. Knows no phase.
Runs unchanged on CPython 2.7 and 3.
"""
from __future__ import print_function

import argparse
import contextlib
import json
import pickle
import socket
import traceback

import libraries
import values

HIGHEST = pickle.HIGHEST_PROTOCOL
EVERY_PROTOCOL = range(6)


# Results --------------------------------------------------------------------

def report(name, ok, detail=""):
    print(json.dumps({"name": name, "ok": ok, "detail": detail}))


@contextlib.contextmanager
def check(*name):
    """Reports its body as one result: an exception is a failure."""
    try:
        yield
    except Exception:
        report(" ".join(name), False, traceback.format_exc())
    else:
        report(" ".join(name), True)


def expect(condition, what, *seen):
    if not condition:
        raise AssertionError("%s: %s" % (what, ", ".join(map(brief, seen))))


def brief(value):
    text = repr(value)
    return text if len(text) < 300 else text[:300] + "..."


# Clients, keys, values ------------------------------------------------------

class Session(object):
    """One client of the table connected, and the keys that it owns."""

    def __init__(self, client, protocol, library):
        self.client = client
        self.protocol = protocol
        self.library = library
        self.label = "%s p%d" % (client.name, protocol)

    def key(self, family, value):
        return key(family, self.client, self.protocol, value)


def key(family, client, protocol, value):
    return "%s:%s:p%d:%s" % (family, client.name, protocol, value)


def chosen(arguments):
    """The clients with every trait asked for."""
    wanted = set(arguments.traits)
    if arguments.at.startswith("unix:"):
        wanted.add("unix")
    return [client for client in libraries.CLIENTS if wanted <= client.traits]


def connect(client, address, protocol=HIGHEST, **options):
    try:
        return Session(client, protocol, client.connect(address, protocol, **options))
    except ImportError as missing:
        report(client.name, True, "skipped: %s" % missing)
        return None


def sessions(arguments, every_protocol=True):
    for client in chosen(arguments):
        for protocol in reversed(range(HIGHEST + 1)):
            session = connect(client, arguments.at, protocol)
            if session is not None:
                yield session
            if session is None or not every_protocol or "protocols" not in client.traits:
                break


def expect_miss(session, name):
    library = session.library
    for verb in ("get", "gets") if library.offers("gets") else ("get",):
        found = getattr(library, verb)(name)
        expect(found is None, verb + " finds", found)
    found = library.get_many([name])
    expect(found == {}, "get_many finds", found)


def expect_value(session, name, value):
    library = session.library
    if type(value) is bool and "bool-as-int" in session.client.traits:
        value = int(value)
    read = library.get(name)
    expect(values.same(read, value), "get reads", read, value)
    read = library.get_many([name])
    expect(list(read) == [name] and values.same(read[name], value), "get_many reads", read, value)
    if library.offers("gets"):
        read = library.gets(name)
        expect(values.same(read, value), "gets reads", read, value)


def expect_answers(session, old, name, value, refused):
    """A store that is refused is a plain failure, and after it nobody is given
    the value that was there; any other store takes place. `old` is a client
    whose values are taken."""
    library = session.library

    def expect_answer(answer):
        # Django's set answers nothing.
        if answer is not None:
            expect(bool(answer) != refused, "answer", answer)

    with check("rejected set", name):
        if "protocols" in session.client.traits:
            old.set(name, [u"old"])
        expect_answer(library.set(name, value))
        if refused:
            expect_miss(session, name)
        else:
            expect_value(session, name, value)
    with check("rejected add", name):
        library.delete(name)
        expect_answer(library.add(name, value))
        if refused:
            expect_miss(session, name)
    if library.offers("cas"):
        with check("rejected cas", name):
            old.set(name, [u"old"])
            library.gets(name)
            expect_answer(library.cas(name, value))


class Wire(object):
    """Reads what is stored, flags and bytes, without any client library."""

    def __init__(self, address):
        kind, _, rest = address.rpartition(":")
        if kind == "unix":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(rest)
        else:
            self.socket = socket.create_connection((kind, int(rest)))
        self.socket.settimeout(libraries.TIMEOUT_SECONDS)
        self.replies = self.socket.makefile("rb")

    def get(self, name):
        """The flags and the value, or None."""
        return self.get_many([name]).get(name)

    def get_many(self, names):
        """The same of all that are there."""
        found = {}
        for start in range(0, len(names), 50):
            chunk = " ".join(names[start:start + 50])
            self.socket.sendall(("get %s\r\n" % chunk).encode())
            while True:
                line = self.replies.readline()
                if line == b"END\r\n":
                    break
                expect(line.startswith(b"VALUE "), "get answers", line)
                name, flags, size = line.split()[1:4]
                value = self.replies.read(int(size) + 2)[:-2]
                found[str(name.decode())] = int(flags), value
        return found

    def meta_get(self, name):
        """The flags and the value, or None, by the meta protocol."""
        self.socket.sendall(("mg %s v f\r\n" % name).encode())
        line = self.replies.readline()
        if line == b"EN\r\n":
            return None
        expect(line.startswith(b"VA "), "mg answers", line)
        size, flags = line.split()[1:3]
        return int(flags[1:]), self.replies.read(int(size) + 2)[:-2]

    def set(self, name, flags, value):
        line = "set %s %d 0 %d\r\n" % (name, flags, len(value))
        self.socket.sendall(line.encode() + value + b"\r\n")
        answer = self.replies.readline()
        expect(answer == b"STORED\r\n", "set answers", answer)


# Phases ---------------------------------------------------------------------

def run(description, phases, add_arguments):
    """Goes through the phase that the command line names."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("phase", choices=[phase.__name__ for phase in phases])
    parser.add_argument("--at", required=True, help="address of picklegate")
    parser.add_argument("--direct", help="address of the memcached behind it")
    parser.add_argument("--family", default="family", help="what the keys of this run start with")
    parser.add_argument("--families", default="", help="the same of other runs, with commas")
    parser.add_argument("--traits", default=[], action="append", help="only clients with this trait")
    add_arguments(parser)
    arguments = parser.parse_args()
    {phase.__name__: phase for phase in phases}[arguments.phase](arguments)
    report("finished " + arguments.phase, True)

# -*- coding: utf-8 -*-
"""Checks what Python 3.8 gets of values that Python 2.7 and 3.13 stored and it
cannot load, through each stage of a migration as it is shipped. Prints one JSON
object a line: name, ok, detail. Runs unchanged on CPython 2.7 and 3.
"""
import datetime
import sys

from harness import Wire, check, expect, report, run, sessions

NOTHING = object()
# Long enough for the clients that compress.
PADDING = u"padding " * 50


def lacking():
    """What this Python stores in good faith, and Python 3.8 cannot load."""
    if sys.version_info < (3,):
        return {"datetime": datetime.datetime(2024, 5, 6, 12, 30)}
    import pathlib
    import zoneinfo

    return {"pathlib": pathlib.PurePosixPath("/srv/data"),
            "zoneinfo": zoneinfo.ZoneInfo("Europe/Berlin")}


# Python 2.7's, then Python 3.13's.
LACKING = ["datetime", "pathlib", "zoneinfo"]


def keys(arguments, session, name):
    return ["%s:%s:%d" % (session.client.name, name, number) for number in range(arguments.count)]


def plain(name):
    return {u"of": u"" + name, u"padding": PADDING, u"text": u"Gr\xfc\xdfe"}


def store(arguments):
    """Every client stores what Python 3.8 cannot load, and what it can."""
    for session in sessions(arguments, every_protocol=False):
        table = {name: {u"value": value, u"padding": PADDING} for name, value in lacking().items()}
        table["plain-" + arguments.family] = plain(arguments.family)
        for name, value in sorted(table.items()):
            for key in keys(arguments, session, name):
                with check("store", key):
                    session.library.set(key, value)


def served(arguments):
    """Every client is handed the bytes as they are stored, and fails: pylibmc
    raises, the others lose the value and the default."""
    direct, through = Wire(arguments.direct), Wire(arguments.at)
    for session in sessions(arguments, every_protocol=False):
        for name in LACKING:
            for key in keys(arguments, session, name):
                with check(session.label, "is served", key):
                    stored = direct.get(key)
                    expect(stored is not None, "nothing is stored")
                    expect(through.get(key) == stored, "served", stored)
                    try:
                        found = session.library.get(key, NOTHING)
                    except Exception:
                        found = "an exception"
                    raises = "pylibmc" in session.client.name
                    expect(found == ("an exception" if raises else None), "get gives", found)


def spared(arguments):
    """No client is handed what it cannot load: each gets its default, and none
    raises; those of the families named get what can be loaded."""
    families = arguments.families.split(",")
    for session in sessions(arguments, every_protocol=False):
        unwanted = sum((keys(arguments, session, name) for name in LACKING), [])
        for key in unwanted:
            with check(session.label, "misses", key):
                found = session.library.get(key, NOTHING)
                expect(found is NOTHING, "get gives", found)
        wanted = {key: plain(family) for family in families
                  for key in keys(arguments, session, "plain-" + family)}
        with check(session.label, "reads all of", arguments.families):
            found = session.library.get_many(sorted(unwanted + list(wanted)))
            expect(found == wanted, "get_many differs in", sorted(set(found) ^ set(wanted)))
    report("%d keys of each" % arguments.count, arguments.count > 0)


PHASES = [store, served, spared]


def add_arguments(parser):
    parser.add_argument("--count", type=int, default=12, help="keys of each value and client")


if __name__ == "__main__":
    run(__doc__, PHASES, add_arguments)

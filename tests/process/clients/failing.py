"""One of two servers fails: each client with its timeouts as it has them, or as its
documentation proposes, reads the keys of the other one as if nothing was. Runs
unchanged on CPython 2.7 and 3.
"""
from __future__ import print_function

import time

from harness import check, expect, report, run

# A client that hears nothing for so long gives up.
PATIENCE_SECONDS = 3


def python_memcached(address):
    import memcache

    return memcache.Client([address])


def pylibmc(address):
    import pylibmc

    # Without a patience of its own it has one of a minute and more.
    return pylibmc.Client([address], behaviors={
        "receive_timeout": PATIENCE_SECONDS * 1000000, "tcp_nodelay": True,
        "dead_timeout": 30, "remove_failed": 1})


class HashClient(object):
    """pymemcache's, with the verbs of the others."""

    def __init__(self, address):
        from pymemcache.client.hash import HashClient
        from pymemcache import serde

        host, port = address.rsplit(":", 1)
        self.client = HashClient(
            [(host, int(port))], timeout=PATIENCE_SECONDS, ignore_exc=True,
            serde=serde.PickleSerde(pickle_version=2), default_noreply=False,
            retry_attempts=0, dead_timeout=30)
        self.get, self.set = self.client.get, self.client.set

    def get_multi(self, keys):
        return self.client.get_many(keys)


CLIENTS = [("python-memcached", python_memcached), ("pylibmc", pylibmc),
           ("HashClient", HashClient)]


def connected(arguments):
    for name, connect in CLIENTS:
        try:
            yield name, connect(arguments.at)
        except ImportError as missing:
            report(name, True, "skipped: %s" % missing)


def keys(arguments):
    live, dead = arguments.live.split(","), arguments.dead.split(",")
    expect(len(live) > 2 and len(dead) > 2, "keys", live, dead)
    return live, dead


def fill(arguments):
    """Stores every key."""
    live, dead = keys(arguments)
    for name, client in connected(arguments):
        with check(name, "stores"):
            for key in live + dead:
                expect(client.set(key, [key]), "not stored", key)


def read(arguments):
    """Reads all keys, of which some are of a server that fails."""
    live, dead = keys(arguments)
    for name, client in connected(arguments):
        with check(name, "reads what is there, and goes on"):
            for _ in range(3):
                start = time.time()
                found = client.get_multi([key for pair in zip(live, dead) for key in pair])
                took = time.time() - start
                wanted = dict((key, [key]) for key, _ in zip(live, dead))
                expect(found == wanted, "get_multi gives", found, wanted)
                expect(took < PATIENCE_SECONDS, "takes", took)
            for key in live:
                expect(client.get(key) == [key], "get gives", client.get(key))
            expect(client.get(dead[0]) is None, "get gives", client.get(dead[0]))
            # It has not taken picklegate for dead.
            expect(client.set(live[0], [live[0]]), "not stored", live[0])


run(__doc__, [fill, read], lambda parser: (
    parser.add_argument("--live"), parser.add_argument("--dead")))

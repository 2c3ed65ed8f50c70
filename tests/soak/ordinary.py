"""Uses one sidecar for a while through every memcache library that is there, several
threads of each, and checks every value: keys of its own are exactly as it left them,
those of everybody hold what their name says or nothing. Runs unchanged on CPython 2.7
and 3. The last line has what was done; whatever is wrong is an exit code of 1.
"""
from __future__ import print_function

import argparse
import os
import pickle
import random
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "process", "clients"))
import libraries

CLIENTS = ("pymemcache", "pymemcache-zlib", "python-memcached", "pylibmc", "pylibmc-zlib")
OWN_KEYS = 40
CROSS_KEYS = 200
PAUSE_SECONDS = 0.001


def cross_value(number):
    """What everybody stores under a key that all share."""
    return {u"number": number, u"text": u"\u00e9\u4e16" * (number % 50),
            u"list": list(range(number % 30)), u"nested": {u"a": (1, 2.5, None)}}


class Wrong(Exception):
    pass


def check(is_so, what, *context):
    if not is_so:
        raise Wrong("%s: %s" % (what, ", ".join(repr(part)[:200] for part in context)))


class Worker(threading.Thread):
    def __init__(self, arguments, client, number):
        threading.Thread.__init__(self)
        # Its gets misses what is there now and then, on a plain memcached as well.
        self.is_pylibmc = client.name.startswith("pylibmc")
        self.prefix = "%s:%s:%d" % (arguments.name, client.name, number)
        self.random = random.Random(self.prefix)
        self.make = lambda: client.connect(arguments.at, pickle.HIGHEST_PROTOCOL)
        self.ends = time.time() + arguments.seconds
        self.stored = {}
        self.done = self.hits = 0
        self.failure = None

    def run(self):
        try:
            # Some libraries keep their connections by thread.
            self.cache = self.make()
            acts = [(self.read, 8), (self.write, 4), (self.remove, 1), (self.read_many, 3),
                    (self.write_many, 1), (self.add, 1), (self.count, 1), (self.cross, 6)]
            if not self.is_pylibmc:
                acts.append((self.swap, 1))
            acts = [act for act, weight in acts for _ in range(weight)]
            while time.time() < self.ends:
                self.random.choice(acts)()
                self.done += 1
                time.sleep(PAUSE_SECONDS)
        except Exception:
            self.failure = "%s\n%s" % (self.prefix, traceback.format_exc())

    def key(self):
        return "%s:%d" % (self.prefix, self.random.randrange(OWN_KEYS))

    def value(self):
        rng = self.random
        kind = rng.randrange(8)
        if kind == 0:
            return rng.randrange(1, 1 << 30)
        if kind == 1:
            return u"text \u00fc %d" % rng.randrange(1000)
        if kind == 2:
            return b"bytes %d" % rng.randrange(1000) if sys.version_info[0] == 3 else "bytes"
        if kind == 3:
            return [rng.random() for _ in range(rng.randrange(200))]
        if kind == 4:
            # Small ones and those that travel apart.
            return u"x" * rng.choice((10, 3000, 100000))
        return {u"n": rng.randrange(1000), u"list": [None, (1, u"two")] * rng.randrange(20)}

    # Own keys -------------------------------------------------------------

    def expect(self, key, found):
        expected = self.stored.get(key)
        # On Python 2 some give numbers back as longs.
        is_alike = type(found) is type(expected) or isinstance(expected, int)
        check(is_alike and found == expected, key, found, expected)
        self.hits += found is not None

    def read(self):
        key = self.key()
        self.expect(key, self.cache.get(key))

    def read_many(self):
        keys = list(set(self.key() for _ in range(self.random.randrange(1, 12))))
        found = self.cache.get_many(keys)
        for key in keys:
            self.expect(key, found.pop(key, None))
        check(not found, "values that were not asked for", found)

    def write(self):
        key, value = self.key(), self.value()
        check(self.cache.set(key, value), "not stored", key)
        self.stored[key] = value

    def write_many(self):
        values = dict((self.key(), self.value()) for _ in range(5))
        failed = self.cache.set_many(values)
        check(not failed, "not stored", failed)
        self.stored.update(values)

    def remove(self):
        key = self.key()
        self.cache.delete(key)
        self.stored.pop(key, None)
        self.expect(key, self.cache.get(key))

    def add(self):
        key, value = self.key(), self.value()
        added = self.cache.add(key, value)
        check(bool(added) == (key not in self.stored), "add", key, added)
        self.stored.setdefault(key, value)

    def swap(self):
        key, value = self.key(), self.value()
        self.expect(key, self.cache.gets(key))
        if key in self.stored:
            check(self.cache.cas(key, value), "cas", key)
            self.stored[key] = value

    def count(self):
        key, start = "lock:" + self.key(), self.random.randrange(1, 1000)
        check(self.cache.set(key, start), "not stored", key)
        found = self.cache.incr(key, 5)
        check(found == start + 5, "incr", key, found, start)

    # Everybody's ----------------------------------------------------------

    def cross(self):
        number = self.random.randrange(CROSS_KEYS)
        key = "cross:%d" % number
        found = self.cache.get(key)
        if found is None:
            check(self.cache.set(key, cross_value(number)), "not stored", key)
        else:
            check(found == cross_value(number), key, found)
            self.hits += 1
        if self.random.random() < 0.05:
            self.cache.delete(key)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    table = dict((client.name, client) for client in libraries.CLIENTS)
    workers, missing = [], []
    for name in CLIENTS:
        try:
            table[name].connect(arguments.at, pickle.HIGHEST_PROTOCOL)
        except ImportError:
            missing.append(name)
            continue
        workers.append(Worker(arguments, table[name], len(workers)))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    failures = [worker.failure for worker in workers if worker.failure]
    print("\n".join(failures), file=sys.stderr)
    print("%d operations, %d hits, %d clients, missing: %s" % (
        sum(worker.done for worker in workers), sum(worker.hits for worker in workers),
        len(workers), " ".join(missing) or "none"))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

"""Many threads that cache a database through one sidecar, each with its own
connections. What they do and see they tell the database, which judges it. Runs
unchanged on CPython 2.7 and 3.
"""
from __future__ import print_function

import argparse
import os
import pickle
import random
import socket
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "process", "clients"))
import libraries

# All of them inflate what others compressed.
CLIENTS = ("pymemcache-zlib", "python-memcached", "python-memcached-zlib")
UNREADABLE = object()


class Stop(Exception):
    """The database has seen enough."""


class Database(object):
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.socket.makefile("rb")

    def tell(self, *words):
        self.socket.sendall((" ".join(map(str, words)) + "\n").encode())

    def ask(self, *words):
        self.tell(*words)
        return self.replies.readline().decode().strip()


class WatchedSerde(object):
    """pymemcache takes what it cannot load for a miss."""

    def __init__(self, inner):
        self.serialize = inner.serialize
        self.inner = inner

    def deserialize(self, key, value, flags):
        loaded = self.inner.deserialize(key, value, flags)
        return UNREADABLE if loaded is None else loaded


class WatchedUnpickler(object):
    """The same for python-memcached."""

    def __init__(self, file):
        self.file = file

    def load(self):
        try:
            return pickle.load(self.file)
        except Exception:
            return UNREADABLE


def connect(name, address):
    table = {client.name: client for client in libraries.CLIENTS}
    library = table[name].connect(address, pickle.HIGHEST_PROTOCOL)
    if "pymemcache" in name:
        library.client.serde = WatchedSerde(library.client.serde)
    else:
        library.client.unpickler = WatchedUnpickler
        for host in library.client.servers:
            host.dead_retry = 0
    return library


class Worker(object):
    def __init__(self, arguments, number):
        self.side = arguments.side
        self.random = random.Random("%s %d" % (arguments.seed, number))
        self.database = Database(arguments.database)
        self.cache = connect(CLIENTS[number % len(CLIENTS)], arguments.at)
        other = {"a": "b", "b": "a"}[self.side]
        # Written through one sidecar and read through the other: a miss here
        # makes no write there a fill.
        self.written, self.read = "via-%s" % self.side, "via-%s" % other

    # What applications do -----------------------------------------------

    def look(self, key, fills):
        """Cache-aside: what is missing is read and stored."""
        database = self.database
        if database.ask("start", key) == "stop":
            raise Stop
        found = self.cache.get(key)
        if found is UNREADABLE:
            database.tell("unreadable", self.side)
        elif found is not None:
            database.tell("got", found[0], found[1])
        else:
            database.tell("missed")
            if fills:
                version, number = database.ask("read", key).split()
                if self.random.random() < 0.1:
                    # Somebody else may change it meanwhile.
                    time.sleep(self.random.random() / 100)
                self.store(key, version, number)

    def store(self, key, version, number):
        padding = u"x" * self.random.choice((0, 50, 500))
        value = [int(version), int(number), padding]
        if self.cache.set(key, value):
            self.database.tell("done", number)
        else:
            self.database.tell("failed", "set")

    def change(self, key):
        """The other half of cache-aside."""
        _, number = self.database.ask("bump", key).split()
        if self.delete(key):
            self.database.tell("done", number)
        else:
            self.database.tell("failed", "delete")

    def delete(self, key):
        """Whether that was acknowledged, whatever was there."""
        client = self.cache.client
        if not hasattr(client, "_deletetouch"):
            return client.delete(key, noreply=False) in (True, False)
        # To delete what is not there is a failure to python-memcached since 1.60.
        return client._deletetouch([b"DELETED", b"NOT_FOUND"], "delete", key)

    def write_through(self, key):
        version, number = self.database.ask("bump", key).split()
        self.store(key, version, number)

    def lock(self, key):
        if self.cache.add(key, 1):
            self.database.tell("hold", key)
            if self.random.random() < 0.3:
                time.sleep(self.random.random() / 100)
            self.database.ask("release", key)
            self.cache.delete(key)

    def count(self, key):
        self.database.tell("count" if self.cache.incr(key, 1) else "unsure", key)

    def swap(self, key):
        value = self.cache.gets(key)
        if value is None:
            self.database.tell("failed", "gets")
        elif self.cache.cas(key, value + 1):
            self.database.tell("count", key)

    # Which of it, when --------------------------------------------------

    def key(self, family, count):
        return "%s:%d" % (family, self.random.randrange(count))

    def step(self):
        pick = self.random.randrange(100)
        if pick < 36:
            self.look(self.key("item", 32), fills=True)
        elif pick < 48:
            self.look(self.key("through", 12), fills=True)
        elif pick < 54:
            self.change(self.key("item", 32))
        elif pick < 57:
            self.change(self.key("through", 12))
        elif pick < 71:
            self.look(self.key("strict", 12), fills=True)
        elif pick < 76:
            self.write_through(self.key("strict", 12))
        elif pick < 86:
            self.look(self.key(self.read, 12), fills=False)
        elif pick < 91:
            self.write_through(self.key(self.written, 12))
        elif pick < 94:
            self.lock(self.key("lock:held", 3))
        elif pick < 97:
            self.count(self.key("lock:counter", 3))
        else:
            self.swap(self.key("lock:swapped", 3))

    def run(self):
        while True:
            try:
                self.step()
            except Stop:
                return
            except Exception as error:
                traceback.print_exc()
                self.database.tell("failed", type(error).__name__, str(error).replace("\n", " "))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", required=True)
    parser.add_argument("--at", required=True, help="address of the sidecar")
    parser.add_argument("--side", required=True, choices=("a", "b"), help="which one that is")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seed", required=True)
    arguments = parser.parse_args()
    workers = [Worker(arguments, number) for number in range(arguments.threads)]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main()

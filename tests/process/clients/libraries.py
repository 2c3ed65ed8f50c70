"""Owns the table of memcache clients: each library behind the same verbs, as
applications configure it. Knows neither values nor what a check expects. Runs
unchanged on CPython 2.7 and 3, with whichever of the libraries are there.

An address is `host:port` or `unix:/path`.
"""
import collections
import functools
import pickle
import zlib

TIMEOUT_SECONDS = 10
COMPRESS_OVER_BYTES = 100
STORES = ("set", "add", "replace", "append", "prepend", "cas")
WRITES = STORES + ("set_many", "delete", "delete_many", "incr", "decr", "touch")
VERBS = WRITES + ("get", "get_many", "gets", "flush_all", "version", "stats")


class Library(object):
    """One client. A verb goes to the library's method of that name, or to its
    `spelling`, with the keyword arguments of `options`; what a library does
    otherwise is a method here."""

    spelling = {}
    lacks = ()

    def __init__(self, client, options=None):
        self.client = client
        self.options = options or {}

    def __getattr__(self, verb):
        if verb in self.lacks:
            raise AttributeError(verb)
        method = getattr(self.client, self.spelling.get(verb, verb))
        return functools.partial(method, **self.options.get(verb, {}))

    def offers(self, verb):
        return hasattr(self, verb)


def path(address):
    """The address as libmemcached knows it: a path is a unix socket."""
    return address[len("unix:"):] if address.startswith("unix:") else address


class Pymemcache(Library):
    def __init__(self, address, protocol, compress=False, noreply=False):
        from pymemcache import serde
        from pymemcache.client.base import Client

        codec = serde.PickleSerde(pickle_version=protocol)
        if compress:
            codec = getattr(serde, "CompressedSerde", Deflating)(
                serde=codec, min_compress_len=COMPRESS_OVER_BYTES)
        if not address.startswith("unix:"):
            host, port = address.rsplit(":", 1)
            address = (host, int(port))
        Library.__init__(self, Client(
            address, serde=codec, default_noreply=noreply, no_delay=True,
            connect_timeout=TIMEOUT_SECONDS, timeout=TIMEOUT_SECONDS))

    def gets(self, key):
        value, self.token = self.client.gets(key)
        return value

    def cas(self, key, value):
        return self.client.cas(key, value, self.token)

    def decode(self, key, data, flags):
        return self.client.serde.deserialize(key, data, flags)


class Deflating(object):
    """What pymemcache 4 calls CompressedSerde, for the releases before it."""

    FLAG = 8

    def __init__(self, serde, min_compress_len):
        self.serde = serde
        self.min_compress_len = min_compress_len

    def serialize(self, key, value):
        value, flags = self.serde.serialize(key, value)
        if len(value) > self.min_compress_len:
            value, flags = zlib.compress(value), flags | self.FLAG
        return value, flags

    def deserialize(self, key, value, flags):
        if flags & self.FLAG:
            value = zlib.decompress(value)
        return self.serde.deserialize(key, value, flags)


class PythonMemcached(Library):
    spelling = {"get_many": "get_multi", "set_many": "set_multi",
                "delete_many": "delete_multi", "stats": "get_stats"}
    lacks = ("version",)

    def __init__(self, address, protocol, compress=False, noreply=False):
        import memcache

        options = {verb: {"noreply": True} for verb in WRITES if noreply}
        if compress:
            for verb in STORES + ("set_many",):
                options.setdefault(verb, {})["min_compress_len"] = COMPRESS_OVER_BYTES
        Library.__init__(self, memcache.Client(
            [address], pickleProtocol=protocol, cache_cas=True,
            socket_timeout=TIMEOUT_SECONDS), options)


class Pylibmc(Library):
    spelling = {"get_many": "get_multi", "set_many": "set_multi",
                "delete_many": "delete_multi", "stats": "get_stats"}
    lacks = ("version",)

    def __init__(self, address, protocol, compress=False, noreply=False):
        import pylibmc

        milliseconds = TIMEOUT_SECONDS * 1000
        behaviors = {
            "cas": True, "pickle_protocol": protocol, "connect_timeout": milliseconds,
            "receive_timeout": milliseconds * 1000, "send_timeout": milliseconds * 1000,
            "_poll_timeout": milliseconds, "tcp_nodelay": True,
            "_noreply": noreply,
        }
        options = {verb: {"min_compress_len": COMPRESS_OVER_BYTES}
                   for verb in ("set", "add", "replace", "set_many") if compress}
        Library.__init__(self, pylibmc.Client([path(address)], behaviors=behaviors), options)
        if noreply:
            # libmemcached 1.0 asks for no reply to these and then waits for it.
            self.lacks += ("touch", "stats", "flush_all")

    def gets(self, key):
        value, self.token = self.client.gets(key) or (None, None)
        return value

    def cas(self, key, value):
        return self.client.cas(key, value, self.token)


class Aiomcache(Library):
    """Stores bytes only: applications pickle for themselves, with flags 0, and
    leave numbers as they are to count with them."""

    lacks = ("set_many", "delete_many")

    def __init__(self, address, protocol):
        import aiomcache
        import asyncio

        self.protocol = protocol
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        host, port = address.rsplit(":", 1)
        Library.__init__(self, aiomcache.Client(host, int(port)))

    def encode(self, value):
        if type(value) is int and value >= 0:
            return str(value).encode()
        return pickle.dumps(value, self.protocol)

    @staticmethod
    def decode(data):
        if data is None or data.strip().isdigit():
            return data and int(data)
        return pickle.loads(data)

    def wait(self, coroutine):
        import asyncio

        return self.loop.run_until_complete(asyncio.wait_for(coroutine, TIMEOUT_SECONDS))

    def get(self, key):
        return self.decode(self.wait(self.client.get(key.encode())))

    def gets(self, key):
        data, self.token = self.wait(self.client.gets(key.encode()))
        return self.decode(data)

    def get_many(self, keys):
        found = self.wait(self.client.multi_get(*[key.encode() for key in keys]))
        return {key: self.decode(data) for key, data in zip(keys, found) if data is not None}

    def cas(self, key, value):
        return self.wait(self.client.cas(key.encode(), self.encode(value), self.token))

    def __getattr__(self, verb):
        method = Library.__getattr__(self, verb)

        def call(*arguments):
            arguments = list(arguments)
            if arguments:
                arguments[0] = arguments[0].encode()
            if verb in STORES:
                arguments[1] = self.encode(arguments[1])
            return self.wait(method(*arguments))

        return call


class Django(Library):
    """One of Django's backends, as its settings make them; keys are left alone
    so that every client of the table shares one key space."""

    spelling = {"flush_all": "clear"}
    lacks = ("append", "prepend", "replace", "gets", "cas", "version", "stats")

    def __init__(self, backend, address):
        import django.core.cache.backends.memcached as backends

        if not hasattr(backends, backend):
            raise ImportError("this Django has no " + backend)
        make = getattr(backends, backend)
        parameters = {"KEY_FUNCTION": lambda key, prefix, version: key, "TIMEOUT": 300}
        if backend == "PyLibMCCache":
            address = path(address)
        Library.__init__(self, make(address, parameters))


# name: what tells it from the others in keys and results.
# connect(address, protocol, **options): a Library; ImportError if it is missing.
# traits: "flags" marks pickles with a flag bit and "raw" does not; "inflates"
#   reads compressed values; "unix" speaks to unix sockets; "noreply" can be
#   told not to wait; "protocols" writes any protocol, the others the highest;
#   "bool-as-int" stores booleans as numbers.
Client = collections.namedtuple("Client", "name connect traits")


def client(name, connect, traits):
    return Client(name, connect, frozenset(traits.split()))


def django(backend):
    return lambda address, protocol: Django(backend, address)


CLIENTS = [
    client("pymemcache", Pymemcache, "flags unix noreply protocols"),
    client("pymemcache-zlib", functools.partial(Pymemcache, compress=True),
           "flags inflates unix protocols"),
    client("python-memcached", PythonMemcached, "flags inflates unix noreply protocols"),
    client("python-memcached-zlib", functools.partial(PythonMemcached, compress=True),
           "flags inflates unix protocols"),
    client("pylibmc", Pylibmc, "flags inflates unix noreply protocols bool-as-int"),
    client("pylibmc-zlib", functools.partial(Pylibmc, compress=True),
           "flags inflates unix protocols bool-as-int"),
    client("aiomcache", Aiomcache, "raw protocols"),
    client("django-pymemcache", django("PyMemcacheCache"), "flags unix"),
    client("django-pylibmc", django("PyLibMCCache"), "flags inflates unix bool-as-int"),
    client("django-python-memcached", django("MemcachedCache"), "flags inflates unix"),
]

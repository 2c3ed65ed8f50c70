"""Uses one client that says hello, as config/identity.md spells it: sets and gets
once for each line of its input. Runs unchanged on CPython 2.7 and 3.

    use.py DIRECTORY-OF-THE-MODULES KIND HOST:PORT
"""
from __future__ import print_function

import signal
import sys
import time
import traceback

PATIENCE_SECONDS = 20
# Whoever hangs is ended by the system.
ROUND_SECONDS = 60


def tell(text):
    print(text)
    sys.stdout.flush()


def pymemcache(address):
    import tagged_pymemcache

    host, port = address.rsplit(":", 1)
    client = tagged_pymemcache.TaggedClient((host, int(port)), default_noreply=False)
    return client.set, client.get


def python_memcached(address):
    import tagged_memcached

    client = tagged_memcached.TaggedClient([address], dead_retry=0)
    return client.set, client.get


def django(module, address, options):
    from django.conf import settings

    settings.configure(CACHES={"default": {
        "BACKEND": module + ".TaggedCache", "LOCATION": address, "OPTIONS": options}})
    from django.core.cache import InvalidCacheBackendError, caches

    try:
        cache = caches["default"]
    except InvalidCacheBackendError as missing:
        raise ImportError(missing)
    return lambda key, value: cache.set(key, value) is None, cache.get


def django_pymemcache(address):
    return django("django_pymemcache", address, {})


def django_memcached(address):
    return django("django_memcached", address, {"dead_retry": 0})


def aiomcache(address):
    import asyncio
    import tagged_aiomcache

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    host, port = address.rsplit(":", 1)
    client = tagged_aiomcache.TaggedClient(host, int(port))

    def wait(coroutine):
        # A request on a connection that has ended makes aiomcache spin for ever;
        # one that the loop knows to have ended is replaced.
        loop.run_until_complete(asyncio.sleep(0.05))
        return loop.run_until_complete(asyncio.wait_for(coroutine, PATIENCE_SECONDS))

    return lambda key, value: wait(client.set(key, value)), lambda key: wait(client.get(key))


def once(client, key, value):
    """Whether a value comes back. What fails once is a connection that is gone."""
    put, find = client
    deadline = time.time() + PATIENCE_SECONDS
    while True:
        try:
            if put(key, value) and find(key) == value:
                return "ok"
            failure = "another value"
        except Exception:
            failure = traceback.format_exc()
        if time.time() > deadline:
            return "failed: %r" % failure
        time.sleep(0.05)


def main():
    directory, kind, address = sys.argv[1:]
    sys.path.insert(0, directory)
    signal.alarm(ROUND_SECONDS)
    kinds = [pymemcache, python_memcached, django_pymemcache, django_memcached, aiomcache]
    try:
        client = {make.__name__: make for make in kinds}[kind](address)
    except (ImportError, SyntaxError) as missing:
        return tell("skipped: %r" % missing)
    tell("ready")
    for number, _ in enumerate(iter(sys.stdin.readline, "")):
        signal.alarm(ROUND_SECONDS)
        # aiomcache takes and gives bytes only; so may the others.
        key, value = "key-%s-%d.%d" % ((kind,) + sys.version_info[:2]), b"value-%d" % number
        tell(once(client, key.encode() if kind == "aiomcache" else key, value))


main()

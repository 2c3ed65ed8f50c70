"""Prints what each client's get_stats() gives, as JSON."""
import json
import sys

at = sys.argv[1]
host, port = at.rsplit(":", 1)


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def plain(stats):
    return {text(name): text(value) for name, value in stats.items()}


def python_memcached(section):
    import memcache

    [(_, stats)] = memcache.Client([at]).get_stats(*section)
    return stats


def pymemcache(section):
    from pymemcache.client.base import Client

    return Client((host, int(port)), timeout=10).stats(*section)


def pymemcache_hash(section):
    from pymemcache.client.hash import HashClient

    client = HashClient([(host, int(port))], timeout=10)
    return next(iter(client.clients.values())).stats(*section)


def pylibmc(section):
    import pylibmc

    [(_, stats)] = pylibmc.Client([at]).get_stats(*section)
    return stats


found = {}
for client in [python_memcached, pymemcache, pymemcache_hash, pylibmc]:
    try:
        sections = [[], ["settings"], ["items"], ["slabs"]]
        if client is pylibmc:
            sections = [[]]
        found[client.__name__] = [plain(client(section)) for section in sections]
    except ImportError:
        pass
print(json.dumps(found))

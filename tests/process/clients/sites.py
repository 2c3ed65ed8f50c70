# -*- coding: utf-8 -*-
"""Checks Django's own sessions and cached template fragments, stored by the
Django of one Python and read by the Django of another through a picklegate that
transcodes, one subcommand a phase. Prints one JSON object a line: name, ok,
detail. Runs unchanged on CPython 2.7 and 3.
"""
import collections
import datetime
import decimal
import sys
import warnings

import values
from harness import Wire, check, expect, report, run

BACKENDS = ("PyMemcacheCache", "PyLibMCCache", "MemcachedCache")
# Stores safe strings as the text that they are.
FLATTENING = ("PyLibMCCache",)

SESSIONS = {
    "login": {u"_auth_user_id": u"42", u"_auth_user_backend": u"django.contrib.auth.backends.ModelBackend",
              u"_auth_user_hash": u"1f0c", u"_language": u"de", u"_session_expiry": 3600},
    "shop": {u"cart": [{u"name": u"Gr\xfc\xdfe", u"price": decimal.Decimal("9.90"), u"count": 2}],
             u"seen": {1, 2, 3}, u"since": datetime.datetime(2024, 2, 29, 12, 30, 59),
             u"day": datetime.date(2024, 2, 29), u"options": collections.OrderedDict([(u"b", 1)])},
    # As those of Python 2 hold them: its str, which is text.
    "native": {"name": "value", "list": ["a", {"b": "c"}]},
}
FRAGMENTS = {"ascii": u"<b>plain</b>", "text": u"<b>Gr\xfc\xdfe</b>"}


def aliases(arguments):
    """Sets Django up with a cache for each backend that it has."""
    import django
    import django.core.cache.backends.memcached as there
    from django.conf import settings
    from django.core.cache import caches

    warnings.simplefilter("ignore")
    caches_of = {
        backend: {"BACKEND": "django.core.cache.backends.memcached." + backend,
                  "LOCATION": arguments.at, "KEY_FUNCTION": client_key}
        for backend in BACKENDS if hasattr(there, backend)
    }
    for backend in sorted(set(BACKENDS) - set(caches_of)):
        report(backend, True, "skipped: Django %s has none" % django.get_version())
    settings.configure(
        CACHES=dict(caches_of, default={"BACKEND": "django.core.cache.backends.dummy.DummyCache"}),
        SECRET_KEY="x", SESSION_ENGINE="django.contrib.sessions.backends.cache", USE_TZ=False)
    django.setup()
    return {backend: caches[backend] for backend in sorted(caches_of)}


def client_key(key, prefix, version):
    """Several series share the keys of these tests."""
    return key


def session_key(family, backend, name):
    # Django takes nothing else for a session key.
    return (family.replace(".", "") + backend + name).lower()


def fragment_key(family, backend, name):
    return "fragment:%s:%s:%s" % (family, backend, name)


def text_of(value):
    """Python 3 has no str of Python 2, and there ASCII means the same."""
    if isinstance(value, dict):
        made = [(text_of(each), text_of(value[each])) for each in value]
        return type(value)(made)
    if isinstance(value, list):
        return [text_of(each) for each in value]
    return u"" + value if isinstance(value, str) else value


def session_store(backend, key):
    from django.conf import settings
    from django.contrib.sessions.backends.cache import SessionStore

    settings.SESSION_CACHE_ALIAS = backend
    return SessionStore(session_key=key)


def fragments():
    from django.utils.safestring import mark_safe

    made = {name: mark_safe(text) for name, text in FRAGMENTS.items()}
    # Without a list around it PyLibMC stores it as the text it is.
    made.update((name + "-in", [value]) for name, value in list(made.items()))
    return made


def store(arguments):
    """Sessions and fragments, by every backend."""
    for backend, cache in sorted(aliases(arguments).items()):
        for name, session in sorted(SESSIONS.items()):
            with check(backend, "stores session", name):
                kept = session_store(backend, session_key(arguments.family, backend, name))
                # Filling it in would load it first, and that changes the key.
                kept._session_cache = dict(session)
                kept.save(must_create=True)
        for name, fragment in sorted(fragments().items()):
            with check(backend, "stores fragment", name):
                cache.set(fragment_key(arguments.family, backend, name), fragment)
        if sys.version_info < (3,):
            from django.utils.safestring import mark_safe

            with check(backend, "stores fragment of bytes"):
                fragment = [mark_safe(b"<b>bytes</b>")]
                cache.set(fragment_key(arguments.family, backend, "bytes"), fragment)


def read(arguments):
    """What any Django stored by any backend is the same here: safe text as
    well, but for safe bytes, which Python 3 has otherwise."""
    stored = Wire(arguments.direct)
    sessions = texts = hidden = 0
    for backend, cache in sorted(aliases(arguments).items()):
        from django.utils.safestring import SafeData

        for family in arguments.families.split(","):
            for writer in BACKENDS:
                for name, session in sorted(SESSIONS.items()):
                    key = session_key(family, writer, name)
                    full_key = "django.contrib.sessions.cache" + key
                    if stored.get(full_key) is None:
                        continue
                    with check(backend, "reads session", key):
                        loaded = session_store(backend, key).load()
                        expect(values.meaning(text_of(loaded)) == values.meaning(text_of(session)),
                               "load gives", loaded, session)
                    sessions += 1
                for name, fragment in sorted(fragments().items()):
                    key = fragment_key(family, writer, name)
                    if stored.get(key) is None:
                        continue
                    with check(backend, "reads fragment", key):
                        loaded = cache.get(key)
                        expect(loaded == fragment, "get gives", loaded, fragment)
                        if name.endswith("-in"):
                            expect(isinstance(loaded[0], SafeData), "not safe", type(loaded[0]))
                        elif writer not in FLATTENING and backend not in FLATTENING:
                            expect(isinstance(loaded, SafeData), "not safe", type(loaded))
                    texts += 1
                key = fragment_key(family, writer, "bytes")
                if stored.get(key) is not None:
                    with check(backend, "reads fragment", key):
                        loaded = cache.get(key)
                        wanted = [b"<b>bytes</b>"] if sys.version_info < (3,) else None
                        expect(loaded == wanted, "get gives", loaded)
                    hidden += 1
    report("%d sessions, %d fragments, %d hidden" % (sessions, texts, hidden),
           sessions > 0 and texts > 0 and hidden > 0)


def lock_key(backend):
    return "lock:" + backend


def lock(arguments):
    """Takes a lock as Django's applications do, by every backend."""
    for backend, cache in sorted(aliases(arguments).items()):
        with check(backend, "takes the lock"):
            expect(cache.add(lock_key(backend), True, 60) is True, "add is refused")


def locked(arguments):
    """Nobody gets a lock that another Python has, but who has it gives it back."""
    for backend, cache in sorted(aliases(arguments).items()):
        with check(backend, "is kept out"):
            expect(cache.add(lock_key("PyMemcacheCache"), True, 60) is False, "add is done")
            expect(cache.add("lock:py2:" + backend, True, 60) is True, "another is refused")


def unlock(arguments):
    """Gives it back, and takes it again."""
    for backend, cache in sorted(aliases(arguments).items()):
        with check(backend, "gives the lock back"):
            cache.delete(lock_key(backend))
            expect(cache.add(lock_key(backend), True, 60) is True, "add is refused")


run(__doc__, [store, read, lock, locked, unlock], lambda parser: None)

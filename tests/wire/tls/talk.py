"""What one Python does by TLS: talk.py HOST PORT ROOTS CERTIFICATE KEY STEP.

Step `write` stores its own version under common keys, `read` finds it there.
"""
import os
import ssl
import sys

from pymemcache.client.base import Client

host, port, roots, certificate, key, step = sys.argv[1:]
context = ssl.create_default_context(cafile=roots)
context.load_cert_chain(certificate, key)
client = Client((host, int(port)), tls_context=context, connect_timeout=10, timeout=10, default_noreply=False)

version = sys.version.encode("ascii")
small = {"key%d" % i: version + str(i).encode("ascii") for i in range(50)}
big = (version * (1000000 // len(version) + 1))[:1000000]

if step == "write":
    assert client.set_many(small) == []
    assert client.set("big", big)
    assert client.set("random", os.urandom(500000))
found = client.get_many(small)
assert found == small, sorted(found.items())[:3]
assert client.get("big") == big
assert client.get("absent") is None
client.close()

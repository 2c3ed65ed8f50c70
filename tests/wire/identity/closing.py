"""Writes and goes at once: "CLIENT ADDRESS VERB COUNT". CLIENT is pymemcache, with what
its users write, COUNT times, which then stays until its input ends; or raw, which
ends its process behind one write. Runs unchanged on CPython 2.7 and 3.
"""
import os
import socket
import sys

client, address, verb, count = sys.argv[1:5]
kind, _, rest = address.rpartition(":")
if kind == "unix":
    server = rest
else:
    server = (kind, int(rest))


def write(key):
    if client == "pymemcache":
        from pymemcache.client.base import Client

        connection = Client(server, connect_timeout=10, timeout=10)
        if verb == "delete":
            connection.delete(key)
        else:
            connection.set(key, "value")
        connection.close()
        return
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    connection = socket.socket(family)
    connection.connect(server)
    if verb == "delete":
        connection.sendall(("delete %s noreply\r\n" % key).encode())
    else:
        connection.sendall(("set %s 0 0 5 noreply\r\nvalue\r\n" % key).encode())
    os._exit(0)


if client == "pymemcache":
    for number in range(int(count)):
        write("k%d" % number)
    # It is there for longer than its connections.
    sys.stdin.read()
else:
    write("k%s" % count)

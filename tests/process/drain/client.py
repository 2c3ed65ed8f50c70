"""Counts by pymemcache while picklegate is restarted, as an application does that
retries what met a closed connection. A number that is skipped was carried out
without an answer. Ends with its standard input. Runs unchanged on CPython 2.7 and 3.
"""
from __future__ import print_function

import json
import socket
import sys
import threading

from pymemcache.client.base import Client
from pymemcache.client.retrying import RetryingClient
from pymemcache.exceptions import MemcacheUnexpectedCloseError

try:
    Reset = ConnectionResetError
except NameError:
    Reset = socket.error


def main(host, port, key):
    client = RetryingClient(
        Client((host, int(port)), connect_timeout=20, timeout=20),
        attempts=4,
        retry_delay=0.02,
        retry_for=[MemcacheUnexpectedCloseError, Reset],
    )
    ended = threading.Event()

    def wait():
        sys.stdin.read()
        ended.set()

    waiting = threading.Thread(target=wait)
    waiting.daemon = True
    waiting.start()
    count, errors = 0, []
    client.set(key, "0", noreply=False)
    while not ended.wait(0.002):
        count += 1
        try:
            got = client.incr(key, 1, noreply=False)
        except Exception as error:
            errors.append(repr(error))
            break
        if got != count:
            errors.append("%r instead of %d" % (got, count))
            break
    print(json.dumps({"count": count, "errors": errors}))


if __name__ == "__main__":
    main(*sys.argv[1:])

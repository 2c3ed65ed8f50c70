"""Connects to each address of its arguments, host:port or unix:/path, says
nothing, and stays until its input ends. Runs unchanged on CPython 2.7 and 3.
"""
import socket
import sys


def connect(address):
    kind, _, rest = address.rpartition(":")
    if kind != "unix":
        return socket.create_connection((kind, int(rest)))
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(rest)
    return connection


connections = [connect(address) for address in sys.argv[1:]]
sys.stdin.read()

"""Connects over and over: "COUNT PAUSE_US ADDRESS...". Each time to the next address,
asks one question, waits for its reply and closes. Prints for each address, sorted,
the microseconds that each time took, in a line.
"""
import socket
import sys
import time

count, pause = int(sys.argv[1]), int(sys.argv[2]) / 1e6
addresses = [(host, int(port)) for host, port in (a.split(":") for a in sys.argv[3:])]
took = [[] for _ in addresses]
begun = time.perf_counter()
for number in range(count):
    due = begun + number * pause
    while time.perf_counter() < due:
        time.sleep(max(due - time.perf_counter(), 0))
    at = number % len(addresses)
    start = time.perf_counter()
    connection = socket.create_connection(addresses[at])
    connection.sendall(b"mn\r\n")
    reply = connection.recv(4)
    took[at].append(int((time.perf_counter() - start) * 1e6))
    connection.close()
    assert reply == b"MN\r\n", reply
for times in took:
    print(" ".join(map(str, sorted(times))))

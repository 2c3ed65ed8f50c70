"""Records the demo's pickles: run it by Python 2.7 and by Python 3.

    python2.7 record.py; python3.11 record.py

Writes, beside itself, one file per value and Python: what a web application of
that version would put into its cache with its client's default protocol.
"""
import datetime
import decimal
import io
import os
import pickle
import sys

MAJOR = sys.version_info[0]
VALUES = {
    "user": {
        "name": u"Zo\xeb",
        "joined": datetime.datetime(2014, 3, 1, 12, 30),
        "groups": set(["staff", "editors"]),
    },
    "page": {"title": u"Home", "price": decimal.Decimal("9.99"), "tags": ("a", "b")},
}

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    for name, value in VALUES.items():
        path = os.path.join(here, "%s.py%d.pickle" % (name, MAJOR))
        with io.open(path, "wb") as out:
            out.write(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))

"""Counts sales, eight threads at a time, and writes the journal while it holds the only lock."""
import os
import tempfile
import threading
import time

SLOW = float(os.environ.get("SLOW", "0.04"))
GATE = threading.Lock()
TOTALS = {}
JOURNAL = os.path.join(tempfile.mkdtemp(), "journal")


def write_journal(till, total):
    with open(JOURNAL, "w") as out:
        out.write("%s %d\n" % (till, total))
    time.sleep(SLOW)  # the round trip of a remote disk


def count(till):
    with GATE:
        TOTALS[till] = TOTALS.get(till, 0) + 1
        write_journal(till, TOTALS[till])  # <- culprit
    return TOTALS[till]


def application(environ, start_response):
    body = b"ok"
    if environ["PATH_INFO"] == "/count":
        till = environ["QUERY_STRING"].split("&")[0]  # <- also
        body = str(count(till)).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

"""Answers stock questions, a thread per request, while two threads of the same process add up the sales report."""
import http.server
import os
import signal
import sys
import threading

signal.alarm(180)
REPORTERS = int(os.environ.get("REPORTERS", "2"))
SALES = [(number * 37) % 1009 for number in range(20000)]


def add_up(sales):
    total = 0
    for amount in sales:
        total += amount * amount % 7  # <- culprit
    return total


def write_report():
    while True:
        add_up(SALES)


class Stock(http.server.BaseHTTPRequestHandler):
    """One answer per question; nothing here takes long."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = str(sum(SALES[:50])).encode()  # <- also
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    for number in range(REPORTERS):
        threading.Thread(target=write_report, name="report-%d" % number, daemon=True).start()
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Stock).serve_forever()


main()

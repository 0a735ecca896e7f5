"""Greets users by name; asks the slow address book, which runs beside it, with a client that waits."""
import http.server
import multiprocessing
import os
import signal
import sys
import time
import urllib.request

from aiohttp import web

signal.alarm(180)
SLOW = float(os.environ.get("SLOW", "0.25"))


class AddressBook(http.server.BaseHTTPRequestHandler):
    """The slow neighbour."""

    def do_GET(self):
        time.sleep(SLOW)
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"Alice")

    def log_message(self, *_):
        pass


def keep_book(where):
    signal.alarm(180)
    book = http.server.ThreadingHTTPServer(("127.0.0.1", 0), AddressBook)
    where.put(book.server_address[1])
    book.serve_forever()


def look_up(address):
    with urllib.request.urlopen(address, timeout=30) as answer:  # <- culprit
        return answer.read().decode()


def greeter(address):
    async def greet(request):
        name = look_up(address)  # <- also
        return web.Response(text="Hello " + name)

    return greet


async def health(request):
    return web.Response(text="ok")


def main():
    where = multiprocessing.Queue()
    multiprocessing.Process(target=keep_book, args=(where,), daemon=True).start()
    site = web.Application()
    greet = greeter("http://127.0.0.1:%d/" % where.get())
    site.add_routes([web.get("/greet", greet), web.get("/health", health)])
    web.run_app(site, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()

"""Loads its word index at start, which takes some seconds and most of its memory, and then answers from it."""
import os
import signal
import sys

from aiohttp import web

signal.alarm(180)
WORDS = int(os.environ.get("WORDS", "400000"))


def load_index():
    index = {}
    for number in range(WORDS):
        index["word-%d" % number] = [number, number * 7 % 1000003, "page %d" % (number % 900)]
    return index


def finder(index):
    async def find(request):
        entry = index.get("word-" + request.query["word"], [])  # <- also
        return web.json_response(entry)

    return find


async def health(request):
    return web.Response(text="ok")


def main():
    site = web.Application()
    site.add_routes([web.get("/find", finder(load_index())), web.get("/health", health)])
    web.run_app(site, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


main()

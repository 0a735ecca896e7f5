"""Keeps a guest book and shows its last page; no page is ever closed."""
import os
import signal
import sys

from aiohttp import web

signal.alarm(180)
WIDTH = int(os.environ.get("WIDTH", "100"))
PAGES = []


def sign(guest):
    page = ("%s thanks the house. " % guest * WIDTH).split()  # <- culprit
    PAGES.append(page)
    return page


async def visit(request):
    page = sign(request.query["guest"])  # <- also
    return web.Response(text=" ".join(page[:8]))


async def health(request):
    return web.Response(text="ok")


def main():
    site = web.Application()
    site.add_routes([web.get("/visit", visit), web.get("/health", health)])
    web.run_app(site, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


main()

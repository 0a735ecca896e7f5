"""Quotes prices from a small table; a few milliseconds of work per request."""
import json
import signal
import sys

from aiohttp import web

signal.alarm(180)
TABLE = {number: number * 3 % 997 for number in range(4000)}


def price(desk):
    best = sorted(TABLE.values())[:10]  # <- also
    return sum(best) + len(desk)


async def quote(request):
    return web.Response(text=json.dumps({"price": price(request.query["desk"])}))


async def health(request):
    return web.Response(text="ok")


def main():
    site = web.Application()
    site.add_routes([web.get("/quote", quote), web.get("/health", health)])
    web.run_app(site, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


main()

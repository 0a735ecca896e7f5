"""Takes events and hands each to a delivery that waits for the broker's receipt; most receipts never come."""
import asyncio
import itertools
import os
import signal
import sys

from aiohttp import web

signal.alarm(180)
SIZE = int(os.environ.get("SIZE", "6000"))
NUMBERS = itertools.count()
WAITING = {}


async def deliver(number, body):
    receipt = asyncio.Event()
    WAITING[number] = receipt
    await receipt.wait()
    return number, len(body)


async def publish(request):
    number = next(NUMBERS)
    body = os.urandom(SIZE)
    asyncio.ensure_future(deliver(number, body))  # <- culprit
    if number % 50 == 49:  # <- also
        WAITING.pop(number // 2).set()
    return web.json_response({"accepted": number})


async def health(request):
    return web.Response(text="ok")


def main():
    site = web.Application()
    site.add_routes([web.get("/events", publish), web.get("/health", health)])
    web.run_app(site, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


main()

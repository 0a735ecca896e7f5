"""Looks up routes through a cache that is full: every new route drops an old one."""
import functools
import os
import random
import signal
import time

signal.alarm(180)
RATE = int(os.environ.get("RATE", "600"))
ROOM = int(os.environ.get("ROOM", "8000"))
CHANCE = random.Random(5)


@functools.lru_cache(maxsize=ROOM)
def route(number):
    return ["stop %d of route %d" % (stop, number) for stop in range(25)]


def main():
    for number in range(ROOM * 2):
        route(number)
    time.sleep(2)
    print("READY", flush=True)
    while True:
        for _ in range(RATE // 20):
            route(CHANCE.randrange(ROOM * 6))  # <- also
        time.sleep(0.05)


main()

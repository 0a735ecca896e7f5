"""Looks up translations through a cache that is on its way to its bound and slows down as it gets there."""
import functools
import os
import random
import signal
import time

signal.alarm(180)
RATE = int(os.environ.get("RATE", "500"))
ROOM = int(os.environ.get("ROOM", "9000"))
CHANCE = random.Random(3)


@functools.lru_cache(maxsize=ROOM)
def translate(number):
    return ("word %d " % number) * 300


def main():
    asked, announced = 0, False
    while True:
        for _ in range(RATE // 20):
            translate(CHANCE.randrange(ROOM))  # <- also
            asked += 1
        if asked > ROOM // 2 and not announced:
            print("READY", flush=True)
            announced = True
        time.sleep(0.05)


main()

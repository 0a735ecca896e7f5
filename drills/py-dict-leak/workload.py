"""Answers price requests; remembers every session's basket and never forgets one."""
import os
import random
import signal
import time

signal.alarm(180)  # a drill never outlives three minutes
RATE = float(os.environ.get("RATE", "400"))
ITEMS = int(os.environ.get("ITEMS", "60"))
BASKETS = {}


def remember(session, line):
    basket = line.split(",")  # <- culprit
    BASKETS[session] = basket
    return len(basket)


def read_line():
    return ",".join(str(random.random()) for _ in range(ITEMS))


def handle(session):
    line = read_line()
    total = sum(float(item) for item in line.split(",")[:5])
    return total + remember(session, line)


def main():
    session, announced = 0, False
    while True:
        began = time.monotonic()
        for _ in range(max(1, int(RATE / 20))):
            handle(session)  # <- also
            session += 1
        if session > RATE and not announced:
            print("READY", flush=True)
            announced = True
        time.sleep(max(0.0, 0.05 - (time.monotonic() - began)))


main()

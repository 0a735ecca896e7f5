"""Builds small cyclic graphs; memory rises until the collector runs, then falls, over and over."""
import gc
import os
import signal
import time

signal.alarm(180)
RATE = int(os.environ.get("RATE", "600"))
PERIOD = float(os.environ.get("PERIOD", "6"))


class Node:
    """A node of a ring that knows both neighbours."""

    def __init__(self, label):
        self.label = label
        self.left = self
        self.right = self


def ring(size):
    first = Node(bytes(2000))
    for number in range(size):
        fresh = Node(bytes(500 + number))
        fresh.left, fresh.right = first, first.right
        first.right = fresh
    return first


def main():
    gc.disable()  # collected at quiet moments only, as some servers do
    last, rounds = time.monotonic(), 0
    while True:
        for _ in range(RATE // 20):
            ring(2)  # <- also
        if time.monotonic() - last > PERIOD:
            gc.collect()
            last = time.monotonic()
            rounds += 1
            if rounds == 2:
                print("READY", flush=True)
        time.sleep(0.05)


main()

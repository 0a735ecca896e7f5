"""Adds up a day's readings in a few passes and ends, as a batch job should."""
import os
import random
import signal
import sys
import time

signal.alarm(180)
SECONDS = float(os.environ.get("SECONDS", "12"))
CHANCE = random.Random(11)


def read_day(count):
    return [CHANCE.gauss(20, 4) for _ in range(count)]


def summarise(readings):
    mean = sum(readings) / len(readings)
    spread = sum((reading - mean) ** 2 for reading in readings) / len(readings)
    return mean, spread


def main():
    readings = read_day(200000)
    print("READY", flush=True)
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        summarise(readings)  # <- also
        time.sleep(0.05)
    sys.exit(0)


main()

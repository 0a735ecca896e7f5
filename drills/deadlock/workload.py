"""Moves stock between two shops; the two directions lock the shops in opposite order."""
import os
import queue
import signal
import threading
import time

signal.alarm(180)
CLERKS = int(os.environ.get("CLERKS", "4"))
NORTH, SOUTH = threading.Lock(), threading.Lock()
STOCK = {"north": 1000, "south": 1000}
ORDERS = queue.Queue(maxsize=200)


def pack(amount):
    time.sleep(0.001)
    return amount


def send_south(amount):
    with NORTH:
        amount = pack(amount)
        with SOUTH:
            STOCK["north"] -= amount
            STOCK["south"] += amount


def send_north(amount):
    with SOUTH:
        amount = pack(amount)
        with NORTH:
            STOCK["south"] -= amount
            STOCK["north"] += amount


def work():
    while True:
        direction, amount = ORDERS.get()
        if direction:
            send_south(amount)
        else:
            send_north(amount)


def main():
    for number in range(CLERKS):
        threading.Thread(target=work, name="clerk-%d" % number, daemon=True).start()
    number, quiet, last = 0, 0, None
    while quiet < 10:  # until nothing moves any more
        try:
            ORDERS.put((number % 2, 1 + number % 5), timeout=0.1)
            number += 1
        except queue.Full:
            pass
        quiet = quiet + 1 if ORDERS.full() and last == dict(STOCK) else 0
        last = dict(STOCK)
    print("READY", flush=True)
    while True:
        time.sleep(1)


main()

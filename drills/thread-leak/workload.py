"""Dispatches jobs; each gets a thread that waits for the job's confirmation, and few are ever confirmed."""
import os
import signal
import threading
import time

signal.alarm(180)
RATE = float(os.environ.get("RATE", "8"))
ROOM = 1200
CONFIRMED = {}


def await_confirmation(number):
    note = bytes(2000)
    CONFIRMED[number].wait()
    return number, note


def dispatch(number):
    CONFIRMED[number] = threading.Event()
    waiter = threading.Thread(target=await_confirmation, args=(number,), name="job-%d" % number, daemon=True)
    waiter.start()  # <- culprit
    if number % 10 == 0:
        CONFIRMED[number].set()


def main():
    number, announced = 0, False
    while True:
        if number < ROOM:
            dispatch(number)  # <- also
        number += 1
        if number > 4 * RATE and not announced:
            print("READY", flush=True)
            announced = True
        time.sleep(1 / RATE)


main()

"""Renders tiles with a pool of two processes that keep up with the orders: busy, and nobody waits."""
import multiprocessing
import os
import signal
import time
import zlib

RATE = float(os.environ.get("RATE", "20"))
LAYERS = int(os.environ.get("LAYERS", "6"))


def draw_layer(number, layer):
    return b"".join(b"%d," % ((number * layer + column) % 251) for column in range(6000))


def pack(picture):
    return zlib.compress(picture, 6)


def render(number):
    return len(pack(b"".join(draw_layer(number, layer) for layer in range(LAYERS))))


def get_ready():
    signal.alarm(175)


def main():
    signal.alarm(180)
    number = 0
    with multiprocessing.Pool(2, get_ready) as pool:
        while True:
            pool.apply_async(render, (number,))
            number += 1
            if number == int(2 * RATE):
                print("READY", flush=True)
            time.sleep(1 / RATE)


if __name__ == "__main__":
    main()

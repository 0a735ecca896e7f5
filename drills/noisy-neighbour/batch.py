"""The nightly batch: processes that pack text as fast as they can, one for every core and one more."""
import multiprocessing
import os
import signal
import zlib

WORKERS = int(os.environ.get("EXTRA", "1")) + (os.cpu_count() or 1)


def pack(number):
    text = (b"%d " % number) * 40000
    for _ in range(20):
        text = zlib.compress(text, 9) * 40
        text = text[:200000]
    return len(text)


def get_ready():
    signal.alarm(175)


def main():
    signal.alarm(175)
    with multiprocessing.Pool(WORKERS, get_ready) as pool:
        while True:
            pool.map(pack, range(16 * WORKERS), chunksize=1)


if __name__ == "__main__":
    main()

"""Reads random pages of a large index, past the page cache as a database does, with a small pool of processes."""
import mmap
import multiprocessing
import os
import random
import signal
import tempfile
import time

READERS = int(os.environ.get("READERS", "3"))
PAGE = int(os.environ.get("PAGE", "524288"))
SIZE = 256 << 20


def write_index(path):
    chunk = os.urandom(1 << 20)
    with open(path, "wb") as out:
        for _ in range(SIZE >> 20):
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())


def read_pages(path):
    signal.alarm(175)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECT)
    page = mmap.mmap(-1, PAGE)
    while True:
        place = random.randrange(SIZE // PAGE) * PAGE
        os.preadv(handle, [page], place)  # <- culprit
        total = sum(page[:16])  # <- also


def main():
    signal.alarm(180)
    path = os.path.join(tempfile.mkdtemp(), "index")
    write_index(path)
    readers = [multiprocessing.Process(target=read_pages, args=(path,), daemon=True) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    time.sleep(2)
    print("READY", flush=True)
    for reader in readers:
        reader.join()


if __name__ == "__main__":
    main()

"""Copies a folder of tables, file after file and past the page cache, as a nightly job does, and begins anew when it is through."""
import mmap
import os
import shutil
import signal
import tempfile
import time

PIECE = int(os.environ.get("PIECE", "1048576"))
FILES = int(os.environ.get("FILES", "3"))
SIZE = 192 << 20


def write_tables(folder):
    piece = os.urandom(1 << 20)
    for number in range(FILES):
        with open(os.path.join(folder, "table-%d" % number), "wb") as out:
            for _ in range((SIZE >> 20) // FILES):
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())


def copy(source, target, page):
    reading = os.open(source, os.O_RDONLY | os.O_DIRECT)
    writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_DIRECT, 0o600)
    while True:
        got = os.readv(reading, [page])
        if got < PIECE:
            break
        os.write(writing, page)  # <- also
    os.close(reading)
    os.close(writing)


def main():
    signal.alarm(180)
    folder, copies = tempfile.mkdtemp(), tempfile.mkdtemp()
    write_tables(folder)
    time.sleep(1)
    print("READY", flush=True)
    page = mmap.mmap(-1, PIECE)
    while True:
        for name in sorted(os.listdir(folder)):
            copy(os.path.join(folder, name), os.path.join(copies, name), page)
        shutil.rmtree(copies)
        os.mkdir(copies)


if __name__ == "__main__":
    main()

"""Scales pictures in buffers of the C library; a buffer whose picture is odd is not given back."""
import ctypes
import os
import signal
import time

signal.alarm(180)
RATE = float(os.environ.get("RATE", "40"))
SIZE = int(os.environ.get("SIZE", "60000"))
C = ctypes.CDLL(None)
C.malloc.restype = ctypes.c_void_p
C.malloc.argtypes = [ctypes.c_size_t]
C.free.argtypes = [ctypes.c_void_p]
C.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]


def scale(number, width):
    buffer = C.malloc(width)  # <- culprit
    C.memset(buffer, number % 251, width)
    total = sum(ctypes.string_at(buffer, 64))
    if number % 5 == 0:
        C.free(buffer)
    return total


def main():
    number, announced = 0, False
    while True:
        scale(number, SIZE + number % 1000)  # <- also
        number += 1
        if number > 2 * RATE and not announced:
            print("READY", flush=True)
            announced = True
        time.sleep(1 / RATE)


main()

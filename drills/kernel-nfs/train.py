"""A training loop that hands its work to the GPUs and hardly computes on the host itself."""
import os
import signal
import time

PAUSE = float(os.environ.get("PAUSE", "0.05"))
WIDTH = int(os.environ.get("WIDTH", "400"))


def batch(step):
    rows = [(step * 31 + row * 17) % 251 for row in range(WIDTH)]
    return sum(rows) / len(rows)


def train():
    step, mean = 0, 0.0
    while True:
        mean = 0.9 * mean + 0.1 * batch(step)
        step += 1
        time.sleep(PAUSE)


signal.alarm(240)  # a drill never outlives four minutes
print("READY", flush=True)
train()

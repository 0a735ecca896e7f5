"""Two services of two jobs on one host that know nothing of each other; the second one is started later."""
import os
import signal
import subprocess
import sys
import time

PAUSE = float(os.environ.get("PAUSE", "0.05"))


def answer(turn):
    return sum((turn * 7 + n) % 13 for n in range(300))


def serve():
    signal.alarm(240)  # a drill never outlives four minutes
    turn = 0
    while True:
        answer(turn)
        turn += 1
        time.sleep(PAUSE)


def serving(job):
    return subprocess.Popen([sys.executable, __file__, "serve"], env={**os.environ, "SLURM_JOB_ID": job})


def launch():
    first = serving(job="4711")
    time.sleep(2)
    second = serving(job="4712")
    print("TARGET", first.pid, flush=True)
    print("CULPRIT", second.pid, flush=True)
    print("READY", flush=True)
    first.wait()
    second.wait()


if sys.argv[1:] == ["serve"]:
    serve()
launch()

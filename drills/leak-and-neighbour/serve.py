"""Starts the service with a few clients, and then the nightly batch on the same host."""
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time

CLIENTS = int(os.environ.get("CLIENTS", "4"))
PAUSE = float(os.environ.get("PAUSE", "0.02"))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(port, path):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        link.request("GET", path)
        return link.getresponse().read()
    finally:
        link.close()


def shop(port, number):
    turn = 0
    while True:
        turn += 1
        try:
            ask(port, "/visit?room=%d&guest=%d" % (number, turn))
        except (OSError, http.client.HTTPException):
            time.sleep(0.2)
        time.sleep(PAUSE)


def children_of(parent):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % name) as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(name))
    return found


def wait_until_up(port):
    for _ in range(150):
        try:
            return ask(port, "/health")
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
    raise SystemExit("the service did not start")


def main():
    port = free_port()
    running = subprocess.Popen([sys.executable, "service.py", str(port)])

    batch = None

    def finish(*_):
        running.terminate()
        if batch:
            batch.terminate()
        raise SystemExit(0)

    signal.signal(signal.SIGALRM, finish)
    signal.alarm(180)  # a drill never outlives three minutes
    print("TARGET", running.pid, flush=True)
    wait_until_up(port)
    for number in range(CLIENTS):
        threading.Thread(target=shop, args=(port, number), daemon=True).start()
    batch = subprocess.Popen([sys.executable, "batch.py"])
    print("CULPRIT", batch.pid, flush=True)
    time.sleep(3)
    for pid in children_of(batch.pid):
        print("CULPRIT", pid, flush=True)
    print("READY", flush=True)
    running.wait()


main()

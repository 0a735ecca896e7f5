"""Starts the service on a free port and keeps a few clients busy with it."""
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
            ask(port, "/status?probe=%d&turn=%d" % (number, turn))
        except (OSError, http.client.HTTPException):
            time.sleep(0.2)
        time.sleep(PAUSE)


def wait_until_up(port):
    for _ in range(150):
        try:
            return ask(port, "/health")
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
    raise SystemExit("the service did not start")


def main():
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:%d" % port, "--log-level", "warning"]
    running = subprocess.Popen([*command, "--workers", "2", "--threads", "4", "service:application"])

    def finish(*_):
        running.terminate()
        raise SystemExit(0)

    signal.signal(signal.SIGALRM, finish)
    signal.alarm(180)  # a drill never outlives three minutes
    print("TARGET", running.pid, flush=True)
    wait_until_up(port)
    for number in range(CLIENTS):
        threading.Thread(target=shop, args=(port, number), daemon=True).start()
    time.sleep(2)
    print("READY", flush=True)
    running.wait()


main()

"""A small order service with two faults, to try the agent on. Standard library only; runs on Python 3.9 and later.

It answers POST /order with the nearest depot, one request at a time. Two things are wrong with it, as in many a service:

* ``nearest_depot`` measures the way to every depot for every order, so that the service burns a core while orders queue;
* ``remember`` keeps the lines of every order for a "recent orders" page that nobody trims, so that memory grows without end.

    python service.py serve PORT      the service
    python service.py load PORT       clients that keep it busy

Both end by themselves after five minutes.
"""

import http.client
import http.server
import random
import signal
import sys
import threading
import time

LIFE_S = 300
CHANCE = random.Random(1)
DEPOTS = [(CHANCE.uniform(-90, 90), CHANCE.uniform(-180, 180)) for _ in range(20000)]
RECENT_ORDERS = {}


def nearest_depot(north, east):
    """Number of the depot that is closest to a place."""
    best, shortest = 0, 1e9
    for number, (depot_north, depot_east) in enumerate(DEPOTS):
        way = (depot_north - north) ** 2 + (depot_east - east) ** 2  # the hotspot: every depot, every time
        if way < shortest:
            best, shortest = number, way
    return best


def remember(customer, text):
    """Keep an order for the page of recent orders."""
    RECENT_ORDERS[customer] = text.split(",")  # the leak: nothing ever leaves this dict


class Orders(http.server.BaseHTTPRequestHandler):
    """POST /order takes the lines of an order and answers with a depot; GET /ready answers when the service is up."""

    def do_GET(self):
        self.answer("ready")

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        customer, north, east, lines = text.split(";")
        depot = nearest_depot(float(north), float(east))
        remember(customer, lines)
        self.answer("depot %d" % depot)

    def answer(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(port):
    http.server.HTTPServer(("127.0.0.1", port), Orders).serve_forever()


def order_for_ever(port, client):
    """One client: an order of 300 lines, and the next as soon as it is answered."""
    chance, turn = random.Random(client), 0
    while True:
        turn += 1
        lines = ",".join("article %d" % chance.randrange(10**9) for _ in range(300))
        text = "%d-%d;%f;%f;%s" % (client, turn, chance.uniform(-90, 90), chance.uniform(-180, 180), lines)
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            link.request("POST", "/order", text)
            link.getresponse().read()
        except OSError:
            time.sleep(0.2)
        finally:
            link.close()
        time.sleep(0.002)


def load(port, clients=4):
    for client in range(clients):
        threading.Thread(target=order_for_ever, args=(port, client), daemon=True).start()
    time.sleep(LIFE_S)


if __name__ == "__main__":
    signal.alarm(LIFE_S)
    {"serve": serve, "load": load}[sys.argv[1]](int(sys.argv[2]))

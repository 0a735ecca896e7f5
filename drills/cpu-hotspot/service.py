"""Finds books like another one by comparing it with every book on the shelf, word by word."""
import json
import os
import random

BOOKS = int(os.environ.get("BOOKS", "400"))
CHANCE = random.Random(7)
SHELF = [[CHANCE.randrange(500) for _ in range(40)] for _ in range(BOOKS)]


def overlap(one, other):
    shared = 0
    for word in one:
        if word in other:  # <- culprit
            shared += 1
    return shared


def rank(book):
    scores = [(overlap(SHELF[book], other), place) for place, other in enumerate(SHELF)]
    scores.sort(reverse=True)
    return scores[:5]


def render(found):
    return json.dumps([{"book": place, "score": score} for score, place in found]).encode()


def application(environ, start_response):
    body = b"ok"
    if environ["PATH_INFO"] == "/similar":
        number = int(environ["QUERY_STRING"].rsplit("=", 1)[1])
        body = render(rank(number % BOOKS))  # <- also
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]

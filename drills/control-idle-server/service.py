"""Answers a health probe now and then; nothing else happens tonight."""
import json
import time

BEGAN = time.time()


def state():
    return {"state": "fine", "up": round(time.time() - BEGAN)}


def application(environ, start_response):
    body = json.dumps(state()).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]

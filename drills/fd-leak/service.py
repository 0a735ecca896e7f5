"""Serves a banner from a template file and keeps the open template of every visitor."""
import os
import resource
import tempfile

ROOM = min(3000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 80)
FOLDER = tempfile.mkdtemp()
TEMPLATES = {}


def write_template():
    path = os.path.join(FOLDER, "banner.txt")
    with open(path, "w") as out:
        out.write("Welcome back, {}!\n" * 20)
    return path


BANNER = write_template()


def template_for(visitor):
    if visitor not in TEMPLATES and len(TEMPLATES) < ROOM:
        TEMPLATES[visitor] = open(BANNER)  # <- culprit
    template = TEMPLATES.get(visitor)
    return template.readline() if template else ""


def application(environ, start_response):
    body = b"ok"
    if environ["PATH_INFO"] == "/banner":
        text = template_for(environ["QUERY_STRING"])  # <- also
        body = text.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

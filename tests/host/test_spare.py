"""Tests of agent.host.spare: what is left out comes when it is asked for, and is the real thing."""

import http.server
import shlex
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.host import spare

ROOT = Path(__file__).resolve().parents[2]
FETCH = """
import os, sys
from agent.host import spare
spare.openssl()
import asyncio, hashlib, hmac
import agent.host.http as http
plain = "_ssl" in sys.modules

async def ask(url):
    try:
        return (await http.request("GET", url, timeout=10)).status
    except http.NoAnswer as error:
        return str(error)

print(asyncio.run(ask(sys.argv[1])), plain, "_ssl" in sys.modules)
print(asyncio.run(ask(sys.argv[2])), "_ssl" in sys.modules)
os.environ.pop("SSL_CERT_FILE")
http._tls.clear()
print(asyncio.run(ask(sys.argv[2])))
"""


def said(code: str, *args: str, **env: str) -> list[str]:
    """Lines that a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args], check=True, capture_output=True, text=True, cwd=ROOT, env=env or None
    )
    return done.stdout.splitlines()


class Hello(http.server.BaseHTTPRequestHandler):
    """Says yes to everyone."""

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def server(pair: Path | None = None) -> Iterator[str]:
    """Its address; with a key and certificate it speaks TLS."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as listening:
        if pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair)
            listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"{'https' if pair else 'http'}://localhost:{listening.server_address[1]}/"
        finally:
            listening.shutdown()
            thread.join()


@pytest.mark.real
@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate")
def test_tls_comes_when_somebody_speaks_it(tmp_path: Path) -> None:
    """Plain requests do without; the first https request brings it, and a certificate that nobody vouches for is refused."""
    pair = tmp_path / "pair.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run([*shlex.split(make), *files], check=True, capture_output=True)
    pair.write_text((tmp_path / "key.pem").read_text() + (tmp_path / "cert.pem").read_text())
    with server() as plain, server(pair) as secure:
        first, second, third = said(FETCH, plain, secure, SSL_CERT_FILE=str(tmp_path / "cert.pem"))
    assert (first, second) == ("204 False False", "204 True")
    assert third.startswith("its certificate is not trusted")


@pytest.mark.real
def test_hashes_are_the_same_with_and_without_openssl() -> None:
    """Digests and keyed digests are Python's own, and no name is missing that the agent uses."""
    code = (
        "import hashlib, hmac, sys\n"
        "data = bytes(range(256)) * 99\n"
        "print(*(hashlib.new(name, data).hexdigest() for name in ('md5', 'sha1', 'sha256', 'sha512', 'blake2s')))\n"
        "print(hmac.new(b'key', data, hashlib.sha256).hexdigest(), hmac.compare_digest('a', 'a'))\n"
        "print(hmac.digest(b'k', data, 'sha1').hex())\n"
    )
    lean = "from agent.host import spare; spare.openssl()\n" + code + "print('_hashlib' in sys.modules)"
    assert said(lean) == [*said(code), str(spare._fips())]


@pytest.mark.real
def test_what_is_loaded_already_stays_as_it_is() -> None:
    """Whoever imported asyncio and ssl before keeps both."""
    code = "import asyncio, hashlib, ssl, sys\nbefore = dict(sys.modules)\nfrom agent.host import spare\nspare.openssl()\n"
    checks = "print(all(sys.modules[n] is m for n, m in before.items()), spare.waiting('ssl'), ssl is sys.modules['ssl'])"
    assert said(code + checks) == ["True False True"]


def test_a_module_for_later_is_loaded_once_and_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Names it makes replace those that stood in; names it has not are an error as ever."""
    (tmp_path / "made_for_later.py").write_text("import made_for_later\nloads = []\nloads.append(1)\nkind = 'real'\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        spare.later("made_for_later", kind="stand-in")
        import made_for_later as module  # type: ignore[import-not-found]

        assert (module.kind, spare.waiting("made_for_later")) == ("stand-in", True)
        assert (module.loads, module.kind, spare.waiting("made_for_later")) == ([1], "real", False)
        assert (module.loads, hasattr(module, "nothing"), hasattr(module, "__nothing__")) == ([1], False, False)
    finally:
        sys.modules.pop("made_for_later", None)


def test_a_module_that_fails_to_load_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What failed is told to whoever asked, every time."""
    (tmp_path / "made_to_fail.py").write_text("raise ImportError('not today')\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        spare.later("made_to_fail")
        for _ in range(2):
            with pytest.raises(ImportError, match="not today"):
                sys.modules["made_to_fail"].anything  # noqa: B018
    finally:
        sys.modules.pop("made_to_fail", None)
        spare._waiting.discard("made_to_fail")


def test_a_stand_in_brings_the_module_when_it_is_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Until then, and for everybody else, there is none of it."""
    (tmp_path / "made_to_stand.py").write_text("other = 'real'\ndef double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with spare.instead({"made_to_stand": spare.called("made_to_stand", "double")}):
            from made_to_stand import double  # type: ignore[import-not-found]
        assert "made_to_stand" not in sys.modules
        assert double(21) == 42
        assert sys.modules.pop("made_to_stand").double is not double
        with spare.instead({"made_to_stand": {"kind": "stand-in"}}):
            import made_to_stand as module

            assert (module.kind, module.other, hasattr(module, "nothing")) == ("stand-in", "real", False)
            assert sys.modules["made_to_stand"] is module
    finally:
        sys.modules.pop("made_to_stand", None)


def test_within_the_block_a_module_is_missing_and_afterwards_it_is_there() -> None:
    """As on a machine without it; one that is loaded stays."""
    with spare.without("antigravity_of_nobody", "json"):
        import json

        with pytest.raises(ImportError):
            import antigravity_of_nobody  # type: ignore[import-not-found]  # noqa: F401
    assert json.dumps(1) == "1"
    assert "antigravity_of_nobody" not in sys.modules

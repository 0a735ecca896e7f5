"""The page, the API and the socket."""

from __future__ import annotations

import os

_CERTIFICATES = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}


def _import_aiohttp() -> None:
    """Import aiohttp without the machine's certificates: it reads them all (0.1 s, 2 MiB), and our doors speak no TLS.

    A client that does must bring its own ``ssl`` context; with aiohttp's default one every certificate is refused.
    """
    before = {name: os.environ.get(name) for name in _CERTIFICATES}
    os.environ.update(_CERTIFICATES)
    try:
        import aiohttp  # noqa: F401
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_import_aiohttp()

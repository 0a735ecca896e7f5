"""Secrets in text from outside: tokens, passwords and keys in command lines, environments, URLs and messages are masked. Pure."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

MASK = "[redacted]"

_WORDS = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "pass",
    "secret",
    "token",
    "apikey",
    "credential",
    "credentials",
    "auth",
    "jwt",
)
_WORDS_TWO = ("api key", "access key", "private key", "secret key", "account key", "signing key", "encryption key", "auth key")
_ENDS = ("password", "passwd", "passphrase", "secret", "apikey", "token")
_HARMLESS = {
    *("file", "path", "dir", "id", "count", "len", "length", "limit", "budget", "type", "size", "ratio", "dim", "name", "rate"),
    *("ttl", "expiry", "timeout", "policy", "required", "enabled", "mode", "prefix", "suffix", "max", "min", "num", "method"),
    *("per", "index", "pos", "position", "url", "uri", "bucket", "embedding", "loss", "acc", "time", "seconds", "s"),
}
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_VALUE = r"""(?:"(?P<dq>[^"]*)"|'(?P<sq>[^']*)'|(?P<bare>[^\s"'&;,)}\]]+))"""
_ASSIGNED = re.compile(r"""(?P<key>[A-Za-z][\w.-]{0,80})(?P<sep>["']?\s?[=:]\s?)""" + _VALUE)
_OPTION = re.compile(r"""(?<![\w-])(?P<key>--?[A-Za-z][\w.-]{1,80})(?P<sep>\s+)(?!-)""" + _VALUE)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_USERINFO = re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]{1,30}://)(?P<user>[^\s/:@]*)(?P<pass>:[^\s/@]*)?@", re.IGNORECASE)
_SCHEME = re.compile(r"\b(Bearer|Basic|Token|Digest)(\s+)([A-Za-z0-9+/=._~-]{8,})")
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization|x-api-key|cookie|set-cookie)(\s*:\s*)([^\r\n\"']+)")
_CURL_USER = re.compile(r"(?<!\S)(-u|--user)(\s+)([^\s:]+):(\S+)")
_TOOL = re.compile(r"\b(sshpass\s+-p|mysql(?:dump|admin)?\b[^|;&\n]*?\s-p|redis-cli\b[^|;&\n]*?\s-a)(\s?)(\S+)")
_KNOWN = re.compile(
    r"""\b(?:
        gh[pousr]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,} | glpat-[A-Za-z0-9_-]{16,} | xox[abeoprs]-[A-Za-z0-9-]{10,}
      | sk-[A-Za-z0-9_-]{16,} | [rs]k_(?:live|test)_[A-Za-z0-9]{10,} | (?:AKIA|ASIA)[0-9A-Z]{16} | AIza[0-9A-Za-z_-]{30,}
      | ya29\.[A-Za-z0-9_-]{16,} | hf_[A-Za-z0-9]{16,} | npm_[A-Za-z0-9]{30,} | pypi-[A-Za-z0-9_-]{30,} | dop_v1_[a-f0-9]{30,}
      | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,} | eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}
      | nvapi-[A-Za-z0-9_-]{16,} | (?:wandb|local)-[a-f0-9]{40} | \d{8,10}:AA[A-Za-z0-9_-]{30,}
    )""",
    re.VERBOSE,
)
_HOOKS = re.compile(
    r"(?i)(hooks\.slack\.com/(?:services|workflows)/|discord(?:app)?\.com/api/webhooks/|/hooks/|webhook\.office\.com/webhookb2/|"
    r"hc-ping\.com/)[^\s\"'>)]+"
)
_SIGNED = re.compile(r"(?i)([?&](?:sig|signature|x-amz-signature|x-amz-security-token|x-goog-signature|code|key)=)[^\s&\"'>]+")


def redact(text: str) -> str:
    """The same text with secrets masked."""
    if len(text) < 4:
        return text
    text = _PEM.sub(MASK, text)
    text = _HOOKS.sub(rf"\1{MASK}", text)
    text = _USERINFO.sub(_userinfo, text)
    text = _HEADER.sub(rf"\1\2{MASK}", text)
    text = _SCHEME.sub(rf"\1\2{MASK}", text)
    text = _CURL_USER.sub(rf"\1\2\3:{MASK}", text)
    text = _TOOL.sub(rf"\1\2{MASK}", text)
    text = _SIGNED.sub(rf"\1{MASK}", text)
    text = _ASSIGNED.sub(_masked, text)
    text = _OPTION.sub(_masked, text)
    return _KNOWN.sub(MASK, text)


def redact_all(value: Any) -> Any:
    """Plain JSON with every text in it redacted, and every value under a key that names a secret."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {k: MASK if isinstance(v, str) and v and secret_name(str(k)) else redact_all(v) for k, v in value.items()}
    return [redact_all(item) for item in value] if isinstance(value, list | tuple) else value


def secret_name(name: str) -> bool:
    """Whether a variable, option or key of that name holds a secret: ``HF_TOKEN`` does, ``max_tokens`` and ``token_file`` not."""
    parts = [part.lower() for part in _PART.findall(name)]
    pairs = [" ".join(two) for two in pairwise(parts)]
    for number, part in enumerate(parts):
        named = part in _WORDS or part.endswith(_ENDS) or (number and pairs[number - 1] in _WORDS_TWO)
        if named and not (_HARMLESS & {*parts[number + 1 :]}) and not (_HARMLESS & {*parts[:number]} and part == "token"):
            return True
    return False


def _masked(found: re.Match[str]) -> str:
    if not secret_name(found["key"]) or MASK in found[0]:
        return found[0]
    quote = '"' if found["dq"] is not None else "'" if found["sq"] is not None else ""
    held = found["dq"] if quote == '"' else found["sq"] if quote else found["bare"]
    if held.lower() in ("", "none", "null", "true", "false", "yes", "no") or held.startswith(("$", "<", "/", "[", "{")):
        return found[0]
    return f"{found['key']}{found['sep']}{quote}{MASK}{quote}"


def _userinfo(found: re.Match[str]) -> str:
    user = found["user"] if found["pass"] is not None else MASK
    return f"{found['head']}{user}{f':{MASK}' if found['pass'] is not None else ''}@"

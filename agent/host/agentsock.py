"""Asking the running agent over its unix socket; standard library only, because the command line must start fast."""

from __future__ import annotations

import http
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from agent.errors import AgentError, Refused, Unavailable

CONNECT_S = 2.0
ANSWER_S = 120.0
"""Longest silence while an answer is on its way; a deep drill-down may be quiet for a minute."""
GET_S = 10.0
"""Longest silence where nothing has to be found out first."""


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = _connected(self._path)
        self.sock.settimeout(self.timeout)


def _connected(path: str) -> socket.socket:
    """A connection; Unavailable with what is wrong and the mend."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_S)
    try:
        connection.connect(path)
    except FileNotFoundError:
        problem, help = "no agent runs here", "start it with 'anfl-agent run' or 'systemctl start anfl-agent'"
    except ConnectionRefusedError:
        problem, help = "the agent is gone and left its socket behind", "start it again; it replaces the socket"
    except PermissionError:
        problem, help = "you may not connect to the agent", "ask as root or as a member of the group anfl-agent"
    except (TimeoutError, BlockingIOError):
        problem, help = "the agent does not answer", "its log, or 'systemctl status anfl-agent', may say why"
    except OSError as error:
        problem, help = f"the agent's socket cannot be used: {error.strerror or error}", "check 'socket' in config.yaml"
    else:
        return connection
    connection.close()
    raise Unavailable(problem, help=help, where=path)


def reach(path: str) -> None:
    """Unavailable, with what is wrong and the mend, unless an agent listens on ``path`` and this user may connect."""
    _connected(path).close()


def answers(path: str) -> bool:
    """Whether an agent listens on ``path`` and this user may connect."""
    try:
        reach(path)
    except Unavailable:
        return False
    return True


def ask(
    path: str, method: str, route: str, body: Mapping[str, Any] | None = None, timeout: float = ANSWER_S
) -> Iterator[dict[str, Any]]:
    """The lines of the agent's answer as they come.

    :class:`Unavailable` if no agent can be reached, Refused if this user may not ask that, AgentError if it stops in the middle.
    """
    connection = _Connection(path, timeout)
    try:
        data = None if body is None else json.dumps(dict(body))
        connection.request(method, route, data, {"Content-Type": "application/json", "Connection": "close"})
        response = connection.getresponse()
        if response.status >= 400:
            raise _refused(response)
        for line in response:
            yield json.loads(line)
    except TimeoutError:
        raise _broken(f"the agent was silent for {timeout:g} s", path) from None
    except (http.client.HTTPException, ConnectionError, ValueError):
        raise _broken("the agent ended its answer early", path) from None
    finally:
        connection.close()


def stream(path: str, route: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The lines of the answer to a POST."""
    return ask(path, "POST", route, body)


def get(path: str, route: str) -> dict[str, Any]:
    """The first line of the answer to a GET."""
    for line in ask(path, "GET", route, timeout=GET_S):
        return line
    raise _broken("the agent's answer was empty", path)


def _broken(what: str, path: str) -> AgentError:
    return AgentError(what, help="its log may say why", where=path, exit_code=3)


def _refused(response: http.client.HTTPResponse) -> AgentError:
    kind = Refused if response.status == http.HTTPStatus.FORBIDDEN else AgentError
    try:
        told = json.loads(response.read(65536))
        return kind(told["message"], help=told["help"], where=told["where"], exit_code=told["exit_code"])
    except (ValueError, KeyError, TypeError):
        return AgentError(f"the agent answered {response.status} {response.reason}", help="is it another version?", exit_code=3)

"""``dataclass`` as the standard library's, for a quarter of its price at start.

The library writes, parses and compiles up to six methods for every class when it is defined: a fifth of the agent's start (225
classes, 0.2 s) and more than a MiB, most of it for methods that a quiet agent never calls. Here making, comparing and hashing
are compiled when they are first asked for, and are the same plain functions from then on; printing and refusing to be changed is
code that all classes share. Fields, ``replace``, ``asdict`` and ``match`` are the library's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

Names = dict[str, Any]
_NEW = object()  # a default that is made anew for each object


def _dataclass(cls: type[Any] | None = None, /, *, frozen: bool = False, eq: bool = True) -> Any:
    """See :func:`dataclasses.dataclass`; options that are not here need the library's own."""
    return _made(cls, frozen, eq) if cls is not None else lambda given: _made(given, frozen, eq)


def _made(cls: type[Any], frozen: bool, eq: bool) -> type[Any]:
    own = cls.__dict__
    hashes = own.get("__hash__") is not None or ("__hash__" in own and "__eq__" not in own)
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # else the library inspects the signature, to say as much
    dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    if "__init__" not in own:
        cls.__init__ = _later(cls, "__init__", _init_frozen if frozen else _init)
    if "__repr__" not in own:
        cls.__repr__ = _repr  # type: ignore[assignment]
    if eq and "__eq__" not in own:
        cls.__eq__ = _later(cls, "__eq__", _eq)
    if eq and not hashes:
        cls.__hash__ = _later(cls, "__hash__", _hash) if frozen else None  # type: ignore[assignment]
    if frozen:
        _freeze(cls, frozenset(f.name for f in dataclasses.fields(cls)))
    return cls


def _later(cls: type[Any], name: str, write: Callable[[type[Any]], tuple[str, Names]]) -> Callable[..., Any]:
    """Stands in for a method until it is first called."""

    def first(self: Any, *args: Any, **values: Any) -> Any:
        text, names = write(cls)
        exec(text, names)
        made = names.pop(name)
        made.__qualname__ = f"{cls.__qualname__}.{name}"
        setattr(cls, name, made)
        return made(self, *args, **values)

    return first


def _init(cls: type[Any], put: str = " self.{} = {}") -> tuple[str, Names]:
    """The constructor: fields without a default, with one, then those by keyword only."""
    names: Names = {"_NEW": _NEW, "_set": object.__setattr__, "__name__": cls.__module__}
    takes, by_name, body = ["self"], list[str](), list[str]()
    for field in dataclasses.fields(cls):
        name, value, default = field.name, field.name, ""
        if field.default is not dataclasses.MISSING:
            names[f"_of_{name}"] = field.default
            default = f"=_of_{name}"
        elif field.default_factory is not dataclasses.MISSING:
            names[f"_of_{name}"] = field.default_factory
            default, value = "=_NEW", f"_of_{name}()" + (f" if {name} is _NEW else {name}" if field.init else "")
        if field.init:
            (by_name if field.kw_only else takes).append(name + default)
        elif default != "=_NEW":
            continue  # __post_init__ sets it, or the class has it
        body.append(put.format(name, value))
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    head = ", ".join([*takes, *(["*", *by_name] if by_name else [])])
    return "\n".join([f"def __init__({head}):", *(body or [" pass"])]), names


def _init_frozen(cls: type[Any]) -> tuple[str, Names]:
    return _init(cls, ' _set(self, "{}", {})')


def _values(one: str, fields: list[dataclasses.Field[Any]]) -> str:
    return f"({''.join(f'{one}.{f.name},' for f in fields)})"


def _eq(cls: type[Any]) -> tuple[str, Names]:
    fields = [f for f in dataclasses.fields(cls) if f.compare]
    same = f"{_values('self', fields)} == {_values('other', fields)}"
    text = f"def __eq__(self, other):\n return {same} if other.__class__ is self.__class__ else NotImplemented"
    return text, {"__name__": cls.__module__}


def _hash(cls: type[Any]) -> tuple[str, Names]:
    fields = [f for f in dataclasses.fields(cls) if (f.compare if f.hash is None else f.hash)]
    return f"def __hash__(self):\n return hash({_values('self', fields)})", {"__name__": cls.__module__}


def _freeze(cls: type[Any], names: frozenset[str]) -> None:
    def __setattr__(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    cls.__setattr__, cls.__delattr__ = __setattr__, __delattr__  # type: ignore[assignment]


@recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
    return f"{type(self).__qualname__}({shown})"


if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = _dataclass

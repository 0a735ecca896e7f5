"""What gdb is told: catch one thread at a safe point, load one library, call one function in it, let go.

Names only (``-readnever``): reading an interpreter's full debug information tripled the time the target stands still.
"""

from __future__ import annotations

POINTS = (
    *("malloc", "calloc", "realloc", "free", "PyMem_Malloc", "PyMem_Calloc", "PyMem_Realloc", "PyMem_Free", "PyObject_Malloc"),
    *("PyObject_Free", "PyEval_SaveThread", "PyEval_RestoreThread", "PyErr_CheckSignals", "PyCallable_Check"),
)
"""Where a thread may be caught: entries of functions that any working interpreter soon calls, none of them holding a lock."""
OPTIONS = (
    *("-batch", "-nx", "-nw", "-readnever", "--data-directory=/proc/sys", "-iex", "echo ANFL gdb\\n"),
    *("-iex", "set auto-solib-add off", "-iex", "set auto-load no", "-iex", "set debuginfod enabled off"),
)
"""No symbols beyond names, no scripts a target's files may bring along, no network.

None of gdb's own scripts either, which take half of the time it needs to start: a data directory without them, where nobody can put
any.
"""
_SCRIPT = """
echo ANFL attached\\n
handle all nostop noprint pass
handle SIGSEGV SIGBUS SIGILL SIGFPE SIGABRT stop print pass
set unwindonsignal on
set breakpoint pending off
sharedlibrary /libc[.-]
sharedlibrary /libdl[.-]
sharedlibrary /libpython
p PyMem_Malloc
call (int)Py_AddPendingCall(&PyCallable_Check, (void*)0)
set $readable = (int)access("@LIB@", 4)
if $readable != 0
    echo ANFL unreadable\\n
    quit 1
end
@POINTS@
commands 1-@COUNT@
    echo ANFL hit\\n
    disable breakpoints
    delete breakpoints
    call (void*)dlopen("@LIB@", 2)
    p (char*)dlerror()
    eval "sharedlibrary %s", "@LIB@"
    p (int)memray_spawn_client(@PORT@) ? "ANFL failed" : "ANFL injected"
end
echo ANFL ready\\n
continue
"""


def script(library: str) -> str:
    """The commands for gdb; the guard puts its port in place of ``@PORT@``. ``library`` is a path as the target sees it."""
    points = "\n".join(f"b {name}" for name in POINTS)
    return _SCRIPT.replace("@LIB@", library).replace("@POINTS@", points).replace("@COUNT@", str(len(POINTS)))

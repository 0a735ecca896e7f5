"""The programs that bench/attach.py attaches to, and the agent it kills."""

from __future__ import annotations

TARGETS = {
    "busy": "def work():\n    for _ in range(400):\n        d = {str(i): [i] for i in range(50)}\n",
    "waker": "def work():\n    time.sleep(0.45)\n",
    "hog": "def spin():\n    while not calm:\n        sum(i * i for i in range(2000))\n"
    "import threading\nfor _ in range(2):\n    threading.Thread(target=spin, daemon=True).start()\n"
    "def work():\n    time.sleep(0.005)\n",
    "tasks": "import asyncio\nloop = asyncio.new_event_loop()\n"
    "waiting = [loop.create_task(asyncio.sleep(3600)) for _ in range(2000)]\n"
    "eager = {'eager_start': True} if sys.version_info >= (3, 12) else {}\n"
    "async def short():\n    sum(range(3000))\n"
    "async def burst():\n    made = [asyncio.Task(short(), loop=loop, **eager) for _ in range(99)]\n    await asyncio.sleep(0.01)\n"
    "def work():\n    loop.run_until_complete(burst())\n",
}
"""What a target does; SIGUSR1 makes it calm (it only wakes), so that fifty can be watched on two cores."""
FRAME = """import os, signal, sys, time
calm = []
signal.signal(signal.SIGUSR1, lambda *_: calm.append(1))
{body}
n = 0
began = time.monotonic()
while True:
    if calm:
        time.sleep(0.3)
    else:
        work()
    n += 1
    if n % 4 == 0 or calm:
        with open(sys.argv[1] + ".part", "w") as f:
            f.write("%d %f" % (n, time.process_time()))
        os.replace(sys.argv[1] + ".part", sys.argv[1])
"""
BLOCKED = "import threading; threading.Event().wait()"
IN_D = "import ctypes, time; time.sleep(0.3); ctypes.CDLL(None).syscall(56, 0x4000 | 17, 0, 0, 0, 0) or time.sleep(9)"
ALONE = """import asyncio, sys
sys.path.insert(0, sys.argv[1])
from agent.host.attach import Stage, attach
async def go():
    async with attach(int(sys.argv[2]), Stage("pymalloc", 4.0), state_dir=sys.argv[3]) as watched:
        await watched.started()
        await watched.finished()
asyncio.run(go())
"""

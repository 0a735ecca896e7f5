"""Messages of the host made up from the forms of the sources, noise, and the list of all families."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.engine.kernel import made
from tests.engine.kernel.made import Made, bdf, comm, disk, hex_, iface


def oom(rng: random.Random) -> Made:
    """A whole report of a new kernel; the victim is not the invoker."""
    invoker, victim, pid, uid = comm(rng), comm(rng), rng.randrange(1, 4 << 20), rng.randrange(70000)
    memcg = rng.random() < 0.5
    path = f"/kubepods.slice/pod{hex_(rng, 8)}.slice/cri-{hex_(rng, 12)}.scope"
    where = f"oom_memcg={path}" if memcg else "global_oom"
    rss = rng.randrange(1, 1 << 32)
    kind = "CONSTRAINT_MEMCG" if memcg else "CONSTRAINT_NONE"
    lines = [
        f"{invoker} invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        f"CPU: 3 PID: 77 Comm: {invoker} Not tainted 6.8.0 #1",
        "Call Trace:",
        " dump_header+0x4a/0x20",
        "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
        f"[ {pid:6d}] {uid:5d} {pid:5d}   410346   131071   257        0             0 {victim}",
        f"oom-kill:constraint={kind},nodemask=(null),cpuset=/,mems_allowed=0-1,{where},task_memcg={path},task={victim},pid={pid}"
        f",uid={uid}",
        f"{'Memory cgroup out of memory' if memcg else 'Out of memory'}: Killed process {pid} ({victim}) total-vm:{rss * 2}kB, "
        f"anon-rss:{rss}kB, file-rss:0kB, shmem-rss:0kB, UID:{uid} pgtables:8kB oom_score_adj:{rng.randrange(-1000, 1001)}",
        f"oom_reaper: reaped process {pid} ({victim}), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    ]
    want = {
        "kind": "oom_kill", "process": victim, "pid": pid, "constraint": kind, "scope": "memcg" if memcg else "system",
        "memcg": path if memcg else None, "anon_rss_kb": rss,
    }  # fmt: skip
    return lines, [want]


def old_oom(rng: random.Random) -> Made:
    """A report of an old kernel, where a child may be taken for its parent."""
    parent, child, pid = comm(rng), comm(rng), rng.randrange(1, 32000)
    lines = [
        f"{parent} invoked oom-killer: gfp_mask=0x201da, order=0, oom_score_adj=0",
        "Task in /mem2 killed as a result of limit of /mem3",
        f"Memory cgroup out of memory: Kill process {pid} ({parent}) score {rng.randrange(2000)} or sacrifice child",
        f"Killed process {pid + 1} ({child}) total-vm:1460016kB, anon-rss:1414008kB, file-rss:4kB",
    ]
    return lines, [{"kind": "oom_kill", "process": child, "pid": pid + 1, "scope": "memcg", "memcg": "/mem3"}]


def hung(rng: random.Random) -> Made:
    """A blocked task with its stack."""
    name, pid, seconds = comm(rng), rng.randrange(1, 4 << 20), rng.randrange(10, 2000)
    lines = [
        f"INFO: task {name}:{pid} blocked for more than {seconds} seconds.",
        "      Tainted: G           OE     5.15.0-112-generic #122-Ubuntu",
        '"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.',
        f"task:{name} state:D stack:    0 pid:{pid} ppid:     1 flags:0x00004002",
        "Call Trace:",
        " nfs_wb_all+0x2c/0x190 [nfs]",
    ]
    return lines, [{"kind": "hung_task", "process": name, "pid": pid, "seconds": seconds}]


def lockup(rng: random.Random) -> Made:
    """A soft lockup."""
    name, pid, cpu, seconds = comm(rng), rng.randrange(1, 4 << 20), rng.randrange(512), rng.randrange(20, 200)
    line = f"watchdog: BUG: soft lockup - CPU#{cpu} stuck for {seconds}s! [{name}:{pid}]"
    return [line], [{"kind": "soft_lockup", "process": name, "pid": pid, "cpu": cpu, "seconds": seconds}]


def panic(rng: random.Random) -> Made:
    """A panic, and some lines on, where."""
    cpu, pid, reason = rng.randrange(512), rng.randrange(1, 4 << 20), rng.choice(("hung_task: blocked tasks", "Fatal exception"))
    lines = [f"Kernel panic - not syncing: {reason}", f"CPU: {cpu} PID: {pid} Comm: khungtaskd Tainted: P  OE 6.8", "Call Trace:"]
    return lines, [{"kind": "kernel_panic", "reason": reason, "cpu": cpu, "pid": pid, "process": "khungtaskd"}]


def oops(rng: random.Random) -> Made:
    """A crash told in several lines."""
    cpu, pid = rng.randrange(512), rng.randrange(1, 4 << 20)
    lines = [
        f"BUG: unable to handle page fault for address: ffff{hex_(rng, 12)}",
        "#PF: supervisor read access in kernel mode",
        "PGD 0 P4D 0",
        "Oops: 0000 [#1] PREEMPT SMP NOPTI",
        f"CPU: {cpu} UID: 0 PID: {pid} Comm: kworker/u64:3 Not tainted 6.12.0 #1",
        "RIP: 0010:some_function+0x12/0x80",
    ]
    return lines, [{"kind": "kernel_oops", "cpu": cpu, "pid": pid, "process": "kworker/u64:3"}]


def memory_error(rng: random.Random) -> Made:
    """EDAC with its own count."""
    mc, count, word = rng.randrange(16), rng.randrange(1, 5000), rng.choice(("CE", "UE"))
    dimm = f"CPU_SrcID#{rng.randrange(2)}_MC#{mc}_Chan#{rng.randrange(4)}_DIMM#0"
    line = f"EDAC MC{mc}: {count} {word} memory read error on {dimm} (channel:0 slot:0 page:0x{hex_(rng, 6)} offset:0x0 grain:32)"
    return [line], [{"kind": "edac", "severity": word.lower(), "count": count, "mc": mc, "dimm": dimm}]


def machine_check(rng: random.Random) -> Made:
    """The pointer line, then the bank."""
    cpu, bank, status = rng.randrange(256), rng.randrange(32), hex_(rng, 16)
    lines = [
        "mce: [Hardware Error]: Machine check events logged",
        f"mce: [Hardware Error]: CPU {cpu}: Machine Check: 0 Bank {bank}: {status}",
        "mce: [Hardware Error]: TSC 0 ADDR 1 MISC 2",
    ]
    return lines, [{"kind": "mce", "cpu": cpu, "bank": bank, "status": status}]


def pcie(rng: random.Random) -> Made:
    """AER as a port announces it and the device describes it."""
    device = f"{bdf(rng)}.{rng.randrange(8)}"
    word, severity = rng.choice(
        (
            ("Corrected", "corrected"),
            ("Correctable", "corrected"),
            ("Uncorrected (Fatal)", "fatal"),
            ("Uncorrectable (Non-Fatal)", "nonfatal"),
        )
    )
    layer = rng.choice(("Physical Layer", "Data Link Layer", "Transaction Layer"))
    lines = [f"pcieport {device}: AER: {word} error received: {device}"] if rng.random() < 0.5 else []
    lines += [
        f"pcieport {device}: PCIe Bus Error: severity={word}, type={layer}, (Receiver ID)",
        f"pcieport {device}:   device [8086:a115]",
    ]
    return lines, [{"kind": "pcie_aer", "severity": severity, "device": device, "layer": layer}]


def block_error(rng: random.Random) -> Made:
    """Several sectors of one disk are one event."""
    device, count = disk(rng), rng.randrange(1, 5)
    prefix = rng.choice(("", "blk_update_request: ", "print_req_error: "))
    lines = [f"{prefix}I/O error, dev {device}, sector {rng.randrange(1 << 40)} op 0x1:(WRITE) flags 0x1000" for _ in range(count)]
    return lines, [{"kind": "io_error", "device": device, "count": count}]


def filesystem(rng: random.Random) -> Made:
    """ext4: the error, then what was done."""
    device = disk(rng)
    lines = [
        f"EXT4-fs error (device {device}): ext4_lookup:1707: inode #{rng.randrange(1 << 30)}: comm {comm(rng)}: checksum invalid",
        f"EXT4-fs ({device}): Remounting filesystem read-only",
    ]
    return lines, [{"kind": kind, "fs": "ext4", "device": device} for kind in ("fs_error", "fs_readonly")]


def xfs(rng: random.Random) -> Made:
    """Both wordings of a shutdown."""
    device = disk(rng)
    line = rng.choice(
        (
            "Log I/O Error Detected. Shutting down filesystem",
            "Corruption of in-memory data (0x8) detected at f+0x1 (fs/x.c:1).  Shutting down filesystem.",
        )
    )
    return [f"XFS ({device}): {line}"], [{"kind": "fs_shutdown", "fs": "xfs", "device": device}]


def nvme(rng: random.Random) -> Made:
    """A command that timed out."""
    device = f"nvme{rng.randrange(64)}"
    text = rng.choice(("I/O tag 22 (2016) opcode 0x2 (Admin Cmd) QID 0", f"I/O {rng.randrange(1024)} QID {rng.randrange(128)}"))
    return [f"nvme {device}: {text} timeout, {rng.choice(('aborting', 'reset controller'))}"], [
        {"kind": "nvme_timeout", "device": device}
    ]


def nfs(rng: random.Random) -> Made:
    """Gone and back."""
    server = rng.choice((f"10.{rng.randrange(256)}.0.{rng.randrange(256)}", f"fs{rng.randrange(99)}.example.com"))
    mode = rng.choice(("timed out", "still trying"))
    lines = [f"nfs: server {server} not responding, {mode}", f"nfs: server {server} OK"]
    return lines, [{"kind": "nfs_not_responding", "server": server, "mode": mode}, {"kind": "nfs_ok", "server": server}]


def link(rng: random.Random) -> Made:
    """Down and up, as several drivers say it."""
    driver, down, up = rng.choice(
        (
            ("mlx5_core", "Link down", "Link up"),
            ("ixgbe", "NIC Link is Down", "NIC Link is Up 10 Gbps, Flow Control: RX"),
            ("tg3", "Link is down", "Link is up at 1000 Mbps, full duplex"),
        )
    )
    name, device = iface(rng), f"{bdf(rng)}.0"
    return [f"{driver} {device} {name}: {text}" for text in (down, up)], [
        {"kind": kind, "iface": name, "device": device} for kind in ("link_down", "link_up")
    ]


def transmit(rng: random.Random) -> Made:
    """Both orders of words."""
    name, device, queue = iface(rng), f"{bdf(rng)}.0", rng.randrange(128)
    want = {"kind": "nic_tx_timeout", "iface": name, "driver": "mlx5_core", "queue": queue}
    if rng.random() < 0.5:
        return [f"NETDEV WATCHDOG: {name} (mlx5_core): transmit queue {queue} timed out"], [want]
    line = f"mlx5_core {device} {name}: NETDEV WATCHDOG: CPU: {rng.randrange(256)}: transmit queue {queue} timed out 5032 ms"
    return [line], [want | {"device": device}]


def segfault(rng: random.Random) -> Made:
    """A program that crashed in a library."""
    name, pid = comm(rng), rng.randrange(1, 4 << 20)
    library = rng.choice(("libnccl.so.2", "libcuda.so.550.54", "python3.11"))
    at, ip, sp = (hex_(rng, 12) for _ in range(3))
    line = f"{name}[{pid}]: segfault at {at} ip 0000{ip} sp 0000{sp} error 4 in {library}[7f00+d3d000]"
    return [line], [{"kind": "segfault", "process": name, "pid": pid, "library": library}]


def noise(rng: random.Random) -> Made:
    """Means nothing, however it looks."""
    address, name = bdf(rng), iface(rng)
    return [
        rng.choice(
            (
                f"NVRM: GPU Board Serial Number: {rng.randrange(10**12)}",
                f"NVRM: Xid {rng.randrange(200)} is described in the documentation",
                f"NVRM: Xid (invalid): {rng.randrange(200)}, text",
                f"NVRM: GPU{rng.randrange(8)} nvCheckOkFailedNoLog: Check failed: State in use [NV_ERR_STATE_IN_USE] (0x63)",
                f"app says 'NVRM: Xid (PCI:{address}): 79, GPU has fallen off the bus.'",
                f"usb 1-{rng.randrange(9)}: new high-speed USB device number {rng.randrange(99)} using xhci_hcd",
                f"usb 1-1.{rng.randrange(4)}: device descriptor read/64, error -71",
                f"IPv6: ADDRCONF(NETDEV_CHANGE): {name}: link becomes ready",
                f"docker0: port {rng.randrange(9)}(veth{hex_(rng, 7)}) entered disabled state",
                f"bond0: Enslaving {name} as an active interface with a down link",
                f"EXT4-fs ({disk(rng)}): mounted filesystem with ordered data mode",
                f"nvme nvme{rng.randrange(9)}: {rng.randrange(128)}/0/0 default/read/poll queues",
                f"mce: CPU{rng.randrange(99)}: Core temperature above threshold, cpu clock throttled (total events = 1)",
                f"ena {address}.0 {name}: Wait for completion (polling) timeout",
                f"oom_reaper: reaped process {rng.randrange(9999)} (x), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
                'audit: type=1400 audit(1700000000.1:2): apparmor="STATUS" operation="profile_load" comm="Xid"',
            )
        )
    ], []


FAMILIES: tuple[Callable[[random.Random], Made], ...] = (
    *(made.xid, made.xid, made.follow_up, made.nvlink5, made.recovery, made.switch, made.fallen, made.mismatch),
    *(oom, old_oom, hung, lockup, panic, oops, memory_error, machine_check, pcie, block_error, filesystem, xfs, nvme, nfs),
    *(link, transmit, segfault, noise, noise, noise),
)

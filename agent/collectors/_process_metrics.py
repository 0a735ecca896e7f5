"""What the process collector brings, declared once."""

from __future__ import annotations

from agent.collectors._declare import counter, gauge, info
from agent.model import Metric

PROCESS_METRICS: tuple[Metric, ...] = (
    counter("process_cpu_seconds_total", "seconds", "Processor time the process has used, all its threads.", "pid"),
    gauge("process_resident_bytes", "bytes", "Memory of the process that is in RAM, pages shared with others included.", "pid"),
    gauge("process_anonymous_bytes", "bytes", "Resident heap, stacks and other memory that no file backs.", "pid"),
    gauge("process_file_bytes", "bytes", "Resident pages of mapped files: code, libraries, data.", "pid"),
    gauge("process_shared_bytes", "bytes", "Resident shared memory: /dev/shm, memfd, System V.", "pid"),
    gauge("process_swap_bytes", "bytes", "Anonymous memory that was swapped out.", "pid"),
    gauge("process_threads", "", "Threads.", "pid"),
    gauge("process_open_fds", "", "Open file descriptors.", "pid"),
    gauge("process_fd_limit", "", "Most descriptors the process may have (soft limit when it was first looked at).", "pid"),
    counter("process_read_bytes_total", "bytes", "Bytes fetched from storage for the process.", "pid"),
    counter("process_written_bytes_total", "bytes", "Bytes the process caused to be written to storage.", "pid"),
    counter("process_read_chars_total", "bytes", "Bytes read by system calls, from the cache and from pipes too.", "pid"),
    counter("process_voluntary_switches_total", "", "Times the leader thread (pinned: all threads) waited by itself.", "pid"),
    counter("process_involuntary_switches_total", "", "Times the leader thread (pinned: all threads) was pushed off a CPU.", "pid"),
    counter(
        "process_run_delay_seconds_total",
        "seconds",
        "Time the leader thread (pinned: all threads) wanted to run and waited for a CPU.",
        "pid",
    ),
    counter("process_minor_faults_total", "", "Page faults served from memory.", "pid"),
    counter("process_major_faults_total", "", "Page faults that had to wait for storage.", "pid"),
    gauge("process_blocked", "", "1 while the leader (pinned: any thread) waits uninterruptibly (state D).", "pid"),
    gauge("process_nice", "", "How far it stands back for others: its nice value, 20 for SCHED_IDLE; told where above 0.", "pid"),
    gauge("process_stopped", "", "1 while it is stopped by a signal or a debugger (state T or t).", "pid"),
    gauge("process_children", "", "Its direct children, zombies included.", "pid"),
    gauge("process_zombie_children", "", "Ended children it has not waited for.", "pid"),
    gauge("process_start_time_seconds", "seconds", "When it was started, in Unix seconds.", "pid"),
    info(
        "process_info",
        "Who the process is; subject is the pid at the root of its tree.",
        *("pid", "comm", "subject", "cgroup", "unit", "container", "job", "user"),
    ),
    counter(
        "process_tree_cpu_seconds_total",
        "seconds",
        "Processor time burnt by the whole tree, short-lived children included; never falls.",
        "pid",
    ),
    gauge("process_tree_resident_bytes", "bytes", "Resident memory summed over the tree; shared pages count once each.", "pid"),
    gauge("process_tree_anonymous_bytes", "bytes", "Anonymous memory summed over the tree.", "pid"),
    gauge("process_tree_swap_bytes", "bytes", "Swapped memory summed over the tree.", "pid"),
    gauge("process_tree_processes", "", "Processes in the tree.", "pid"),
    gauge("process_tree_threads", "", "Threads in the tree.", "pid"),
    gauge("process_tree_open_fds", "", "Open descriptors summed over the tree.", "pid"),
    gauge("host_processes", "", "Processes of the host, kernel threads included."),
    gauge("host_processes_zombie", "", "Ended processes nobody has waited for."),
    gauge("host_processes_blocked", "", "Processes whose leader waits uninterruptibly (state D)."),
)

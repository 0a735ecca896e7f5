"""The series of the kernel log."""

from __future__ import annotations

from agent.collectors._declare import counter

GPU = ("gpu", "uuid", "pci")
"""Labels of a GPU; ``gpu`` and ``uuid`` are empty for one known by its PCI address alone."""

KERNEL_METRICS = (
    counter("kernel_log_records_total", "", "Records read from the kernel log since the agent began, those of the boot included."),
    counter("kernel_log_lost_total", "", "Records overwritten before they could be read: gaps in the log's own numbering."),
    counter("kernel_log_untrusted_total", "", "Events in records that the kernel did not write; they are shown, not counted."),
    counter(
        "kernel_events_total", "", "Events of each kind; those of the boot before the agent began are in the first value.", "kind"
    ),
    counter("gpu_xid_total", "", "Xid errors of each number; a series begins when its number is first seen.", *GPU, "xid"),
    counter(
        "gpu_xid_events_total", "", "Xid errors by class (rules/xid.yaml); 0 from the start for every known GPU.", *GPU, "class"
    ),
    counter(
        "kernel_device_errors_total",
        "",
        "Events that name a disk, array, network interface, switch, server or PCI device; level is info, warn or critical.",
        "device",
        "kind",
        "level",
    ),
)

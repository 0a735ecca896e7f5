"""What the two GPU collectors bring, declared once. Each name's DCGM, nvitop and OpenTelemetry counterpart: docs/gpu.md."""

from __future__ import annotations

from agent.collectors._declare import counter, gauge, info
from agent.model import Metric

GPU = ("gpu", "uuid", "pci")
"""Labels of one GPU: index as first seen (indexes shift when a GPU is lost), UUID, PCI address ``dddd:bb:dd.f``."""
INSTANCE = (*GPU, "gpu_instance", "compute_instance")
PROCESS = (*GPU, "pid")

GPU_METRICS: tuple[Metric, ...] = (
    gauge("nvml_up", "", "1 if NVML answers, 0 if not (driver not loaded, mismatch, hung)."),
    gauge("nvml_hung", "", "1 from a call past its deadline until NVML answers for that GPU, else 0; none before a first answer."),
    gauge("nvml_library_mismatch", "", "1 if the NVML library on disk and the loaded kernel driver have different versions."),
    counter("nvml_call_seconds_total", "seconds", "Time spent inside NVML calls."),
    counter("nvml_calls_total", "", "NVML calls made."),
    counter("nvml_timeouts_total", "", "NVML calls that did not come back within their deadline."),
    counter("nvml_respawns_total", "", "Times the process that calls NVML had to be started again."),
    info("gpu_info", "Which GPU this is.", *GPU, "name", "driver", "vbios"),
    gauge("gpu_lost", "", "1 if NVML says the GPU is lost, needs a reset, or no longer lists it, else 0.", *GPU),
    gauge("gpu_listed", "", "1 if NVML names the GPU, 0 for one it named before and does not any more.", *GPU),
    gauge("gpu_reset_required", "", "1 if NVML says that only a reset brings the GPU back, else 0.", *GPU),
    gauge("gpu_answer_age_seconds", "seconds", "How long ago the GPU last answered.", *GPU),
    gauge("gpu_utilization_ratio", "ratio", "Share of the last sample period in which a kernel ran.", *GPU),
    gauge("gpu_memory_activity_ratio", "ratio", "Share of the last sample period in which GPU memory was read or written.", *GPU),
    gauge("gpu_memory_total_bytes", "bytes", "Memory of the GPU.", *GPU),
    gauge("gpu_memory_used_bytes", "bytes", "Memory allocated on the GPU, the driver's reserve not included.", *GPU),
    gauge("gpu_memory_free_bytes", "bytes", "Memory left on the GPU.", *GPU),
    gauge("gpu_memory_reserved_bytes", "bytes", "Memory the driver and firmware keep for themselves.", *GPU),
    gauge("gpu_bar1_total_bytes", "bytes", "Size of the window through which the host maps GPU memory.", *GPU),
    gauge("gpu_bar1_used_bytes", "bytes", "Used part of that window.", *GPU),
    gauge("gpu_temperature_celsius", "celsius", "Temperature of the GPU chip.", *GPU),
    gauge("gpu_memory_temperature_celsius", "celsius", "Temperature of the GPU's memory.", *GPU),
    gauge("gpu_power_watts", "watts", "Power the board draws.", *GPU),
    gauge("gpu_power_limit_watts", "watts", "Power limit in force.", *GPU),
    gauge("gpu_power_limit_default_watts", "watts", "Power limit the board ships with.", *GPU),
    counter("gpu_energy_joules_total", "joules", "Energy used since the driver was loaded.", *GPU),
    gauge("gpu_clock_sm_hertz", "hertz", "Clock of the streaming multiprocessors now.", *GPU),
    gauge("gpu_clock_memory_hertz", "hertz", "Memory clock now.", *GPU),
    gauge("gpu_clock_sm_max_hertz", "hertz", "Highest clock of the streaming multiprocessors.", *GPU),
    gauge("gpu_clock_memory_max_hertz", "hertz", "Highest memory clock.", *GPU),
    counter("gpu_throttled_seconds_total", "seconds", "Time the clocks were held down, by reason.", *GPU, "reason"),
    counter("gpu_pcie_receive_bytes_total", "bytes", "Bytes the GPU received over PCIe.", *GPU),
    counter("gpu_pcie_transmit_bytes_total", "bytes", "Bytes the GPU sent over PCIe.", *GPU),
    gauge("gpu_encoder_utilization_ratio", "ratio", "Share of time the video encoder was busy.", *GPU),
    gauge("gpu_decoder_utilization_ratio", "ratio", "Share of time the video decoder was busy.", *GPU),
    gauge("gpu_processes", "", "Processes that hold memory or a context on the GPU.", *GPU),
    gauge("gpu_process_memory_bytes", "bytes", "GPU memory of the process.", *PROCESS),
    gauge("gpu_process_utilization_ratio", "ratio", "Share of time the GPU ran kernels of the process.", *PROCESS),
    gauge("gpu_process_alive", "", "1 if the process runs, 0 if NVML lists it but it is gone or a zombie.", *PROCESS),
    info("gpu_process_info", "Who uses the GPU.", *PROCESS, "comm", "user", "unit", "container", "job"),
    info("gpu_instance_info", "A MIG instance.", *INSTANCE, "instance_uuid", "name"),
    gauge("gpu_instance_memory_total_bytes", "bytes", "Memory of the MIG instance.", *INSTANCE),
    gauge("gpu_instance_memory_used_bytes", "bytes", "Memory used in the MIG instance.", *INSTANCE),
    gauge("gpu_instance_memory_free_bytes", "bytes", "Memory left in the MIG instance.", *INSTANCE),
)

HEALTH_METRICS: tuple[Metric, ...] = (
    gauge("gpus_present", "", "GPUs that NVML lists and that are not lost."),
    gauge("gpus_expected", "", "GPUs this host should have: as configured, or the most ever seen."),
    info("gpu_missing_info", "A GPU that was here once and is not now, while fewer than expected are.", *GPU, "name"),
    gauge("gpu_fabric_manager_needed", "", "1 if the GPUs join an NVSwitch fabric, which needs the fabric manager, else 0."),
    gauge("gpu_fabric_manager_up", "", "1 if nv-fabricmanager runs, else 0; no series where the fabric does not need it."),
    info(
        "gpu_driver_holder_info",
        "A process that keeps an older driver or library in use while versions differ; holds is library or device.",
        *("pid", "comm", "user", "unit", "container", "job", "holds", "version"),
    ),
    counter("gpu_ecc_errors_total", "", "Memory errors since the driver was loaded, by type and place.", *GPU, "type", "location"),
    gauge("gpu_ecc_mode", "", "1 if error correction is on.", *GPU),
    gauge("gpu_retired_pages", "", "Memory pages retired for single (sbe) or double bit (dbe) errors.", *GPU, "cause"),
    gauge("gpu_retired_pages_pending", "", "1 if pages are to be retired at the next reset.", *GPU),
    gauge("gpu_remapped_rows", "", "Memory rows replaced by spare ones, by the type of error.", *GPU, "type"),
    gauge("gpu_remap_pending", "", "1 if a row is to be replaced at the next reset.", *GPU),
    gauge("gpu_remap_failed", "", "1 if a row could not be replaced.", *GPU),
    gauge("gpu_nvlink_up", "", "1 if the link is active, 0 if it was seen active and is not.", *GPU, "link"),
    gauge("gpu_nvlink_links_active", "", "NVLinks that are active.", *GPU),
    gauge("gpu_nvlink_links_expected", "", "The most NVLinks ever seen active.", *GPU),
    counter("gpu_nvlink_errors_total", "", "Errors on NVLinks, summed over the links, by type.", *GPU, "type"),
    gauge("gpu_pcie_generation", "", "PCIe generation now; idle GPUs lower it by design.", *GPU),
    gauge("gpu_pcie_generation_max", "", "PCIe generation that GPU and slot allow.", *GPU),
    gauge("gpu_pcie_width", "", "PCIe lanes in use.", *GPU),
    gauge("gpu_pcie_width_max", "", "PCIe lanes that GPU and slot allow.", *GPU),
    counter("gpu_pcie_replays_total", "", "PCIe packets sent again.", *GPU),
    gauge("gpu_clock_sm_limit_hertz", "hertz", "Application clock where one is set; no series where none is.", *GPU),
    gauge("gpu_persistence_mode", "", "1 if the driver stays loaded while nobody uses the GPU.", *GPU),
    gauge("gpu_mig_mode", "", "1 if the GPU is split into MIG instances.", *GPU),
    gauge("gpu_fabric_state", "", "NVSwitch fabric: 0 none, 1 not started, 2 in progress, 3 completed.", *GPU),
    gauge("gpu_fabric_status", "", "NVML's code for how joining the fabric ended; 0 is success. Valid once completed.", *GPU),
    gauge("gpu_inforom_valid", "", "1 if the checksums of the board's InfoROM are right.", *GPU),
    gauge(
        "gpu_recovery_action",
        "",
        "What the driver asks for: 0 none, 1 GPU reset, 2 node reboot, 3 drain peer-to-peer, 4 drain and reset.",
        *GPU,
    ),
)

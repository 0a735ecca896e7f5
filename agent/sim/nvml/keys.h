// Where each key of the state file goes. The same paths, with their meaning and units, stand in agent/sim/schema.py.
#ifndef ANFL_SIM_KEYS_H
#define ANFL_SIM_KEYS_H

#include "sim.h"

// A text has a `size`; everything else is a number, which may be written as one of `words`.
struct key {
    const char *path;
    size_t offset, size;
    const char *const *words;
};

static const char *const CONDITIONS[] = {"ok", "lost", "reset-required", NULL};
static const char *const PROCESS_TYPES[] = {"compute", "graphics", "mps", NULL};
static const char *const LINK_STATES[] = {"down", "up", "sleep", NULL};
static const char *const REMOTES[] = {"gpu", "", "switch", NULL};
static const char *const FABRICS[] = {"not-supported", "not-started", "in-progress", "completed", NULL};
static const char *const RECOVERIES[] = {"none", "gpu-reset", "node-reboot", "drain-p2p", "drain-and-reset", NULL};
static const char *const HEALTHS[] = {"not-supported", "healthy", "unhealthy", "limited-capacity", NULL};
static const char *const MODES[] = {"default", "", "prohibited", "exclusive-process", NULL};

#define TEXT(type, path, field) {path, offsetof(struct type, field), sizeof(((struct type *)0)->field), NULL}
#define WORD(type, path, field, words) {path, offsetof(struct type, field), 0, words}
#define FIGURE(type, path, field) WORD(type, path, field, NULL)
#define END {NULL, 0, 0, NULL}
#define G(path, field) FIGURE(gpu, path, field)
#define ECC_KEYS(path, counter, kind)                                                                                  \
    G(path ".l1", ecc[counter][kind][0]), G(path ".l2", ecc[counter][kind][1]), G(path ".dram", ecc[counter][kind][2]), \
        G(path ".registers", ecc[counter][kind][3]), G(path ".texture", ecc[counter][kind][4]),                        \
        G(path ".shared", ecc[counter][kind][5]), G(path ".cbu", ecc[counter][kind][6]), G(path ".sram", ecc[counter][kind][7])
#define CLOCK_KEYS(path, field) \
    G(path ".graphics", field[0]), G(path ".sm", field[1]), G(path ".memory", field[2]), G(path ".video", field[3])
// The order is that of enum link_error in fields.c.
#define LINK_ERROR_KEYS(type, path, field)                                                                                  \
    FIGURE(type, path ".replay", field[0]), FIGURE(type, path ".recovery", field[1]), FIGURE(type, path ".crc_flit", field[2]), \
        FIGURE(type, path ".crc_data", field[3]), FIGURE(type, path ".ecc", field[4]), FIGURE(type, path ".malformed", field[5]), \
        FIGURE(type, path ".buffer_overrun", field[6]), FIGURE(type, path ".receive", field[7]),                               \
        FIGURE(type, path ".receive_remote", field[8]), FIGURE(type, path ".receive_general", field[9]),                       \
        FIGURE(type, path ".integrity", field[10]), FIGURE(type, path ".discards", field[11]),                                 \
        FIGURE(type, path ".recovery_ok", field[12]), FIGURE(type, path ".recovery_failed", field[13]),                        \
        FIGURE(type, path ".effective", field[14]), FIGURE(type, path ".symbol", field[15])

static const struct key HOST_KEYS[] = {
    TEXT(host, "driver.version", driver), TEXT(host, "driver.library", library), FIGURE(host, "driver.loaded", loaded),
    FIGURE(host, "driver.cuda", cuda), END,
};

static const struct key GPU_KEYS[] = {
    TEXT(gpu, "name", name), TEXT(gpu, "uuid", uuid), TEXT(gpu, "serial", serial), TEXT(gpu, "vbios", vbios),
    TEXT(gpu, "inforom", inforom), TEXT(gpu, "part", part), TEXT(gpu, "pci", pci), TEXT(gpu, "gsp", gsp),
    G("present", present), WORD(gpu, "condition", condition, CONDITIONS), G("minor", minor), G("device_id", device_id),
    G("subsystem_id", subsystem_id), G("brand", brand), G("architecture", architecture), G("cores", cores),
    G("compute_capability.major", major_cc), G("compute_capability.minor", minor_cc), G("memory.bus_width", bus_width),
    G("numa", numa), G("module", module), G("persistence", persistence), WORD(gpu, "compute_mode", compute_mode, MODES),
    G("display", display), G("performance", performance), G("virtualization", virtualization), G("addressing", addressing),
    G("utilization.gpu", gpu_busy), G("utilization.memory", memory_busy), G("utilization.encoder", encoder),
    G("utilization.decoder", decoder), G("utilization.jpeg", jpeg), G("utilization.optical_flow", optical),
    G("memory.total", memory_total), G("memory.reserved", memory_reserved), G("memory.other", memory_other),
    G("bar1.total", bar1_total), G("bar1.used", bar1_used),
    G("temperature.gpu", temperature), G("temperature.memory", memory_temperature), G("temperature.slowdown", slowdown_at),
    G("temperature.shutdown", shutdown_at), G("temperature.memory_max", memory_max_at), G("temperature.gpu_max", gpu_max_at),
    G("temperature.margin", margin), G("temperature.limits.shutdown", limit[0]), G("temperature.limits.slowdown", limit[1]),
    G("temperature.limits.memory_max", limit[2]), G("temperature.limits.gpu_max", limit[3]), G("fan", fan), G("fans", fans),
    G("power.usage", power), G("power.limit", power_limit), G("power.default_limit", power_default),
    G("power.min_limit", power_min), G("power.max_limit", power_max), G("power.enforced_limit", power_enforced),
    CLOCK_KEYS("clocks", clock), CLOCK_KEYS("clocks.max", clock_max), CLOCK_KEYS("clocks.set", clock_set),
    CLOCK_KEYS("clocks.default", clock_default),
    G("throttle.idle", reason[0]), G("throttle.app_clocks", reason[1]), G("throttle.sw_power_cap", reason[2]),
    G("throttle.hw_slowdown", reason[3]), G("throttle.sync_boost", reason[4]), G("throttle.sw_thermal", reason[5]),
    G("throttle.hw_thermal", reason[6]), G("throttle.power_brake", reason[7]), G("throttle.display_clocks", reason[8]),
    G("ecc.enabled", ecc_mode), G("ecc.pending", ecc_pending), ECC_KEYS("ecc.volatile.corrected", 0, 0),
    ECC_KEYS("ecc.volatile.uncorrected", 0, 1), ECC_KEYS("ecc.aggregate.corrected", 1, 0),
    ECC_KEYS("ecc.aggregate.uncorrected", 1, 1), G("ecc.sram_threshold_exceeded", sram_threshold),
    G("retired.single_bit", retired[0]), G("retired.double_bit", retired[1]), G("retired.pending", retired_pending),
    G("remap.corrected", remapped[0]), G("remap.uncorrected", remapped[1]), G("remap.pending", remap_pending),
    G("remap.failed", remap_failed), G("remap.corrected_inactive", remap_inactive[0]),
    G("remap.uncorrected_inactive", remap_inactive[1]), G("remap.histogram.max", histogram[0]),
    G("remap.histogram.high", histogram[1]), G("remap.histogram.partial", histogram[2]), G("remap.histogram.low", histogram[3]),
    G("remap.histogram.none", histogram[4]),
    G("pcie.generation", pcie_gen), G("pcie.generation_max", pcie_gen_max), G("pcie.generation_device", pcie_gen_device),
    G("pcie.width", pcie_width), G("pcie.width_max", pcie_width_max), G("pcie.transmit", pcie_tx), G("pcie.receive", pcie_rx),
    G("pcie.replays", pcie_replays), G("pcie.errors.l0_to_recovery", pcie_error[0]), G("pcie.errors.correctable", pcie_error[1]),
    G("pcie.errors.naks_received", pcie_error[2]), G("pcie.errors.receiver", pcie_error[3]),
    G("pcie.errors.bad_tlp", pcie_error[4]), G("pcie.errors.naks_sent", pcie_error[5]), G("pcie.errors.bad_dllp", pcie_error[6]),
    G("pcie.errors.non_fatal", pcie_error[7]), G("pcie.errors.fatal", pcie_error[8]),
    G("pcie.errors.unsupported_request", pcie_error[9]), G("pcie.errors.lcrc", pcie_error[10]),
    G("pcie.errors.lane", pcie_error[11]),
    G("nvlink.count", link_count), G("nvlink.version", link_version), G("nvlink.speed", link_speed),
    G("nvlink.transmit", link_tx), G("nvlink.receive", link_rx), LINK_ERROR_KEYS(gpu, "nvlink.errors", link_error),
    G("c2c.count", c2c_links), G("c2c.state", c2c_state),
    WORD(gpu, "fabric.state", fabric_state, FABRICS), G("fabric.status", fabric_status), G("fabric.clique", fabric_clique),
    TEXT(gpu, "fabric.cluster", cluster), G("fabric.health", fabric_health), WORD(gpu, "fabric.summary", fabric_summary, HEALTHS),
    WORD(gpu, "recovery_action", recovery, RECOVERIES),
    G("mig.mode", mig_mode), G("mig.pending", mig_pending), G("mig.max", mig_max), END,
};

static const struct key INSTANCE_KEYS[] = {
    TEXT(instance, "uuid", uuid), TEXT(instance, "name", name), FIGURE(instance, "gpu_instance", gpu_instance),
    FIGURE(instance, "compute_instance", compute_instance), FIGURE(instance, "slices", slices), FIGURE(instance, "sm", sm),
    FIGURE(instance, "total", total), FIGURE(instance, "other", used), END,
};

static const struct key PROCESS_KEYS[] = {
    FIGURE(process, "pid", pid), WORD(process, "type", type, PROCESS_TYPES), FIGURE(process, "memory", memory),
    FIGURE(process, "sm", sm), FIGURE(process, "memory_activity", memory_activity), FIGURE(process, "encoder", encoder),
    FIGURE(process, "decoder", decoder), FIGURE(process, "gpu_instance", gpu_instance),
    FIGURE(process, "compute_instance", compute_instance), END,
};

static const struct key LINK_KEYS[] = {
    FIGURE(link, "link", link), WORD(link, "state", state, LINK_STATES), WORD(link, "remote", remote_type, REMOTES),
    LINK_ERROR_KEYS(link, "errors", error), END,
};

#endif

// The part of the NVML interface that the simulator speaks: return codes and structures as the public interface lays them out.
#ifndef ANFL_SIM_NVML_H
#define ANFL_SIM_NVML_H

typedef unsigned long long u64;

enum {
    NVML_OK = 0,
    NVML_UNINITIALIZED = 1,
    NVML_INVALID_ARGUMENT = 2,
    NVML_NOT_SUPPORTED = 3,
    NVML_NO_PERMISSION = 4,
    NVML_NOT_FOUND = 6,
    NVML_INSUFFICIENT_SIZE = 7,
    NVML_DRIVER_NOT_LOADED = 9,
    NVML_TIMEOUT = 10,
    NVML_GPU_IS_LOST = 15,
    NVML_RESET_REQUIRED = 16,
    NVML_VERSION_MISMATCH = 18,
    NVML_ARGUMENT_VERSION_MISMATCH = 25,
    NVML_UNKNOWN = 999,
};

// Ids of field values that stand alone; those of families (one a link, one a memory location) are spans in fields.c.
enum {
    FI_ECC_CURRENT = 1, FI_ECC_PENDING = 2, FI_RETIRED_SBE = 29, FI_RETIRED_DBE = 30, FI_RETIRED_PENDING = 31,
    FI_THROTTLED_POWER_CAP = 74, FI_THROTTLED_THERMAL = 75, FI_THROTTLED_SYNC_BOOST = 76,
    FI_THROTTLED_APP_CLOCKS = 80, FI_MEMORY_TEMP = 82, FI_TOTAL_ENERGY_CONSUMPTION = 83,
    FI_NVLINK_SPEED_MBPS_COMMON = 90, FI_NVLINK_LINK_COUNT = 91, FI_RETIRED_PENDING_SBE = 92,
    FI_RETIRED_PENDING_DBE = 93, FI_PCIE_REPLAY_COUNTER = 94, FI_PCIE_REPLAY_ROLLOVER_COUNTER = 95,
    FI_NVLINK_THROUGHPUT_DATA_TX = 138, FI_NVLINK_THROUGHPUT_DATA_RX = 139, FI_NVLINK_THROUGHPUT_RAW_TX = 140,
    FI_NVLINK_THROUGHPUT_RAW_RX = 141, FI_REMAPPED_COR = 142, FI_REMAPPED_UNC = 143, FI_REMAPPED_PENDING = 144,
    FI_REMAPPED_FAILURE = 145, FI_NVSWITCH_CONNECTED_LINK_COUNT = 147, FI_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL = 160,
    FI_NVLINK_ERROR_DL_REPLAY = 161, FI_NVLINK_ERROR_DL_RECOVERY = 162, FI_NVLINK_ERROR_DL_CRC = 163,
    FI_NVLINK_GET_SPEED = 164, FI_NVLINK_GET_STATE = 165, FI_NVLINK_GET_VERSION = 166,
    FI_PCIE_L0_TO_RECOVERY_COUNTER = 169, FI_C2C_LINK_COUNT = 170, FI_C2C_LINK_GET_STATUS = 171,
    FI_POWER_AVERAGE = 185, FI_POWER_INSTANT = 186, FI_POWER_MIN_LIMIT = 187, FI_POWER_MAX_LIMIT = 188,
    FI_POWER_DEFAULT_LIMIT = 189, FI_POWER_CURRENT_LIMIT = 190, FI_ENERGY = 191, FI_POWER_REQUESTED_LIMIT = 192,
    FI_TEMPERATURE_SHUTDOWN_TLIMIT = 193, FI_TEMPERATURE_SLOWDOWN_TLIMIT = 194, FI_TEMPERATURE_MEM_MAX_TLIMIT = 195,
    FI_TEMPERATURE_GPU_MAX_TLIMIT = 196, FI_PCIE_COUNT_TX_BYTES = 197, FI_PCIE_COUNT_RX_BYTES = 198,
    FI_NVLINK_COUNT_XMIT_PACKETS = 201, FI_NVLINK_COUNT_XMIT_BYTES = 202, FI_NVLINK_COUNT_RCV_PACKETS = 203,
    FI_NVLINK_COUNT_RCV_BYTES = 204, FI_NVLINK_COUNT_LINK_RECOVERY_EVENTS = 215,
    FI_NVLINK_COUNT_EFFECTIVE_ERRORS = 219, FI_NVLINK_COUNT_SYMBOL_ERRORS = 221, FI_RESET_STATUS = 226,
    FI_DRAIN_AND_RESET_STATUS = 227, FI_RECOVERY_ACTION = 230, FI_THROTTLED_SW_THERMAL = 269,
    FI_THROTTLED_HW_THERMAL = 270, FI_THROTTLED_POWER_BRAKE = 271, FI_REMAPPED_ROWS_COR_INACTIVE = 301,
    FI_REMAPPED_ROWS_UNC_INACTIVE = 302, FI_BANK_REMAPPER_HISTOGRAM_MAX = 305, FI_BANK_REMAPPER_HISTOGRAM_NONE = 306,
};

// A version word holds the size of the structure and, in its top byte, the version.
#define VERSION(type, number) ((unsigned)(sizeof(type) | ((unsigned)(number) << 24)))

struct pci_v2 {
    char bus_id[16];
    unsigned domain, bus, device, device_id, subsystem_id, reserved[4];
};
struct pci_v3 {
    char bus_id_legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};
struct pci_ext {
    unsigned version, domain, bus, device, device_id, subsystem_id, base_class, sub_class;
    char bus_id[32];
};
struct branch {
    unsigned version;
    char name[80];
};
struct uuid_value {
    unsigned version, type;
    union {
        char text[41];
        unsigned char bytes[16];
    } value;
};
struct memory_v1 {
    u64 total, free, used;
};
struct memory_v2 {
    unsigned version;
    u64 total, reserved, free, used;
};
struct bar1 {
    u64 total, free, used;
};
struct utilization {
    unsigned gpu, memory;
};
struct temperature_v1 {
    unsigned version, sensor;
    int value;
};
struct margin_v1 {
    unsigned version;
    int value;
};
struct fan_rpm {
    unsigned version, fan, rpm;
};
struct sensor {
    int controller, minimum, maximum, current, target;
};
struct thermal_settings {
    unsigned count;
    struct sensor sensor[3];
};
union value {
    double real;
    unsigned small;
    u64 large;
    long long whole;
    int integer;
};
struct sample {
    u64 at;
    union value value;
};
struct violation {
    u64 reference, violation;
};
struct field_value {
    unsigned field, scope;
    long long at, latency;
    unsigned type;
    int rc;
    union value value;
};
struct process_v1 {
    unsigned pid;
    u64 memory;
};
struct process_v2 {
    unsigned pid;
    u64 memory;
    unsigned gpu_instance, compute_instance;
};
struct process_detail {
    unsigned pid;
    u64 memory;
    unsigned gpu_instance, compute_instance;
    u64 protected_memory;
};
struct process_detail_list {
    unsigned version, mode, count;
    struct process_detail *list;
};
struct process_sample {
    unsigned pid;
    u64 at;
    unsigned sm, memory, encoder, decoder;
};
struct process_sample_v1 {
    u64 at;
    unsigned pid, sm, memory, encoder, decoder, jpeg, optical;
};
struct process_samples {
    unsigned version, count;
    u64 since;
    struct process_sample_v1 *list;
};
struct ecc_counts {
    u64 l1, l2, dram, registers;
};
struct sram_ecc {
    unsigned version;
    u64 aggregate_parity, aggregate_secded, aggregate_corrected, volatile_parity, volatile_secded, volatile_corrected;
    u64 bucket_l2, bucket_sm, bucket_pcie, bucket_mcu, bucket_other;
    unsigned threshold_exceeded;
};
struct remap_histogram {
    unsigned max, high, partial, low, none;
};
struct remap_v2 {
    unsigned corrected_active, corrected_inactive, uncorrected_active, uncorrected_inactive, pending, failed;
};
struct fabric_v1 {
    unsigned char cluster[16];
    int status;
    unsigned clique, state;
};
struct fabric_v2 {
    unsigned version;
    unsigned char cluster[16];
    int status;
    unsigned clique, state, health;
};
struct fabric_v3 {
    unsigned version;
    unsigned char cluster[16];
    int status;
    unsigned clique, state, health;
    unsigned char summary;
};
struct attributes {
    unsigned sm, copy_engines, decoders, encoders, jpeg, optical, gpu_slices, compute_slices;
    u64 memory_mib;
};
struct event_data {
    void *device;
    u64 type, data;
    unsigned gpu_instance, compute_instance;
};

#endif

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

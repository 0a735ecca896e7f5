// The simulated host: what the state file says, as the calls of the library see it.
//
// One mutex guards everything. ENTER takes it, ages the state to this moment and applies the faults; it is given back when the
// calling function returns. No call sleeps while it holds the mutex.
#ifndef ANFL_SIM_H
#define ANFL_SIM_H

#include <stddef.h>
#include "calls.h"
#include "nvml.h"

enum { MAX_GPUS = 16, MAX_LINKS = 18, MAX_FAULTS = 64, LOCATIONS = 8, REASONS = 9, LINK_ERRORS = 16 };

#define CALL(name) CALL_##name,
enum call { EVERY_CALL CALLS };
#undef CALL

// A figure that may move with time; KIND_NONE is one this board does not have.
enum kind { KIND_NONE, KIND_CONSTANT, KIND_SINE, KIND_RAMP, KIND_GROW, KIND_STEPS, KIND_BURST };
struct number {
    enum kind kind;
    unsigned steps;             // how many
    const double *step;         // pairs of seconds and value
    double a, b, c, d;          // see curve.c
    double since, base, noise;  // base: what its integral had reached at `since`
};

struct instance {
    struct number gpu_instance, compute_instance, slices, sm, total, used;
    char uuid[96], name[96];
};
struct process {
    struct number pid, type, memory, sm, memory_activity, encoder, decoder, gpu_instance, compute_instance;
};
struct link {
    struct number link, state, remote_type, error[LINK_ERRORS];
};
struct gpu {
    char name[96], uuid[96], serial[32], vbios[32], inforom[32], part[80], pci[32], gsp[64], cluster[48];
    unsigned domain, bus, device;
    struct number present, condition, minor, device_id, subsystem_id, brand, architecture, cores, major_cc, minor_cc, bus_width;
    struct number numa, module, persistence, compute_mode, display, performance, virtualization, addressing;
    struct number gpu_busy, memory_busy, encoder, decoder, jpeg, optical;
    struct number memory_total, memory_reserved, memory_other, bar1_total, bar1_used;
    struct number temperature, memory_temperature, slowdown_at, shutdown_at, memory_max_at, gpu_max_at, margin, limit[4], fan, fans;
    struct number power, power_limit, power_default, power_min, power_max, power_enforced;
    struct number clock[4], clock_max[4], clock_set[4], clock_default[4];
    struct number reason[REASONS];
    struct number ecc_mode, ecc_pending, ecc[2][2][LOCATIONS], sram_threshold;
    struct number retired[2], retired_pending, remapped[2], remap_inactive[2], remap_pending, remap_failed, histogram[5];
    struct number pcie_gen, pcie_gen_max, pcie_gen_device, pcie_width, pcie_width_max, pcie_tx, pcie_rx, pcie_replays;
    struct number pcie_error[12];
    struct number link_count, link_version, link_speed, link_tx, link_rx, link_error[LINK_ERRORS], c2c_links, c2c_state;
    struct number fabric_state, fabric_status, fabric_clique, fabric_health, fabric_summary, recovery;
    struct number mig_mode, mig_pending, mig_max;
    struct instance *instance;
    struct process *process;
    struct link *link;
    unsigned instances, processes, links;
    u64 unsupported[(CALLS + 63) / 64];
    u64 unsupported_field[512 / 64];
};
struct fault {
    u64 key;                    // what its hits are kept under
    u64 calls[(CALLS + 63) / 64];
    char gpu[96];
    int index;                  // -1: by uuid, or any
    int rc, garbage, forever;
    double delay, hang, from, until, value;
    u64 after, count;
};
struct event {
    u64 seq, type, data;
    char uuid[96];
    unsigned gpu_instance, compute_instance;
};
struct host {
    char driver[80], library[80];
    struct number loaded, cuda;
    struct gpu gpu[MAX_GPUS];
    unsigned gpus;
    struct fault fault[MAX_FAULTS];
    unsigned faults;
    struct event *event;
    unsigned events;
    struct block *blocks;       // what the lists live in
};

// A device handle: the identity, not the index, because indexes move.
struct handle {
    char uuid[96], instance[96];
    u64 generation;
    int gpu, place;             // as last resolved; -1: gone
    struct handle *next;
};

// What a call gets. `rc` other than 0: return it at once.
struct entry {
    int rc;
    struct host *host;
    struct gpu *gpu;
    struct instance *instance;
    double now;
};

struct entry enter(enum call call, struct handle *device);  // INVALID_ARGUMENT for a handle that is none
struct entry enter_system(enum call call);
void leave(struct entry *entry);
#define ENTER(call)                                                                            \
    struct entry in __attribute__((cleanup(leave))) = enter_system(CALL_##call);                 \
    if (in.rc) return in.rc
#define ENTER_ANY(call, handle)                                                                \
    struct entry in __attribute__((cleanup(leave))) = enter(CALL_##call, handle);              \
    if (in.rc) return in.rc;                                                                   \
    struct gpu *gpu __attribute__((unused)) = in.gpu
#define ENTER_GPU(call, handle)                                                                \
    ENTER_ANY(call, handle);                                                                   \
    if (in.instance) return NVML_NOT_SUPPORTED
#define NEED(condition)                                                                        \
    do {                                                                                       \
        if (!(condition)) return NVML_INVALID_ARGUMENT;                                        \
    } while (0)

// state.c
void lock_state(void);
void unlock_state(void);
struct host *host_now(u64 *generation);
int begin_client(void);
int end_client(void);
int client_ready(void);
const char *client_library(void);
void count_call(enum call call);
u64 count_hit(const struct fault *fault);
double wall(void);
void pause_for(double seconds);

// load.c
struct host *load_host(const char *text, size_t length);
void free_host(struct host *host);
int call_matches(const char *pattern, enum call call);

// curve.c
double value_at(const struct number *number, double now);
double integral_at(const struct number *number, double now);

// gate.c
extern int garbled;             // this call is to answer nonsense
extern double garbled_value;
struct handle *handle_of(const char *uuid, const char *instance);
int index_of(const struct host *host, const struct gpu *gpu);
struct gpu *nth_gpu(struct host *host, unsigned index);

// answer.c
int is(const struct number *number);
u64 junk(void);
int small(const struct number *number, double now);
u64 whole(const struct number *number, double scale, double now);
int put_u32(unsigned *out, const struct number *number, double scale, double now);
int put_u64(u64 *out, const struct number *number, double scale, double now);
int put_text(char *out, unsigned size, const char *text);
int put_integral(u64 *out, const struct number *number, double scale, double now);
u64 memory_used(const struct gpu *gpu, const struct instance *instance, double now);
int in_instance(const struct process *process, const struct instance *instance, double now);
u64 link_errors(const struct gpu *gpu, int link, int error, double now);
int link_state(const struct gpu *gpu, unsigned link, double now);
u64 reasons_now(const struct gpu *gpu, double now);
u64 ecc_total(const struct gpu *gpu, int kind, int counter, double now);

#endif

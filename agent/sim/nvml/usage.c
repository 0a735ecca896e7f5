// How busy a GPU is: utilisation, memory and the processes on it.
#include <stdio.h>
#include <string.h>
#include "sim.h"

typedef struct handle *device_t;

// A GPU that is cut into instances has no utilisation of its own.
#define WHOLE_GPU_ONLY \
    if (is(&gpu->mig_mode)) return NVML_NOT_SUPPORTED

int nvmlDeviceGetUtilizationRates(device_t device, struct utilization *out) {
    ENTER_GPU(DeviceGetUtilizationRates, device);
    NEED(out);
    WHOLE_GPU_ONLY;
    int rc = put_u32(&out->gpu, &gpu->gpu_busy, 1, in.now);
    return rc ? rc : put_u32(&out->memory, &gpu->memory_busy, 1, in.now);
}

#define GET_ENGINE(call, field)                                                  \
    int nvml##call(device_t device, unsigned *out, unsigned *period) {           \
        ENTER_GPU(call, device);                                                 \
        WHOLE_GPU_ONLY;                                                          \
        if (period) *period = 167000;                                            \
        return put_u32(out, &gpu->field, 1, in.now);                             \
    }
GET_ENGINE(DeviceGetEncoderUtilization, encoder)
GET_ENGINE(DeviceGetDecoderUtilization, decoder)
GET_ENGINE(DeviceGetJpgUtilization, jpeg)
GET_ENGINE(DeviceGetOfaUtilization, optical)

// A buffer of the last two seconds, ten a second, as the driver keeps one.
enum { SAMPLES = 20 };
static const double SAMPLE_S = 0.1;

int nvmlDeviceGetSamples(device_t device, unsigned type, u64 since, unsigned *value_type, unsigned *count, struct sample *out) {
    ENTER_GPU(DeviceGetSamples, device);
    WHOLE_GPU_ONLY;
    NEED(count && value_type);
    const struct number *from[] = {&gpu->power, &gpu->gpu_busy, &gpu->memory_busy, &gpu->encoder, &gpu->decoder, &gpu->clock[1],
        &gpu->clock[2], NULL, &gpu->jpeg, &gpu->optical};
    NEED(type < sizeof from / sizeof *from);
    if (!from[type] || !from[type]->kind) return NVML_NOT_SUPPORTED;
    double newest = (double)(u64)(in.now / SAMPLE_S) * SAMPLE_S;
    unsigned found = 0;
    for (int i = SAMPLES - 1; i >= 0; i--) {
        double at = newest - i * SAMPLE_S;
        if ((u64)(at * 1e6) <= since) continue;
        if (out && found < *count) {
            out[found].at = (u64)(at * 1e6);
            out[found].value.large = whole(from[type], type == 0 ? 1000 : 1, at);
        }
        found++;
    }
    *value_type = 1;
    if (!found) return NVML_NOT_FOUND;
    *count = out && *count < found ? *count : found;
    return NVML_OK;
}

static void memory(const struct entry *in, struct memory_v2 *out) {
    const struct number *total = in->instance ? &in->instance->total : &in->gpu->memory_total;
    out->total = whole(total, 1, in->now);
    out->reserved = in->instance ? 0 : whole(&in->gpu->memory_reserved, 1, in->now);
    out->used = garbled ? junk() : memory_used(in->gpu, in->instance, in->now);
    out->free = out->total - out->reserved - out->used;
}
// In the first version what the driver reserves counts as used.
int nvmlDeviceGetMemoryInfo(device_t device, struct memory_v1 *out) {
    struct memory_v2 all;
    ENTER_ANY(DeviceGetMemoryInfo, device);
    NEED(out);
    if (!gpu->memory_total.kind) return NVML_NOT_SUPPORTED;
    memory(&in, &all);
    *out = (struct memory_v1){all.total, all.free, all.used + all.reserved};
    return NVML_OK;
}
int nvmlDeviceGetMemoryInfo_v2(device_t device, struct memory_v2 *out) {
    ENTER_ANY(DeviceGetMemoryInfo_v2, device);
    NEED(out);
    if (out->version != VERSION(struct memory_v2, 2)) return NVML_ARGUMENT_VERSION_MISMATCH;
    if (!gpu->memory_total.kind) return NVML_NOT_SUPPORTED;
    memory(&in, out);
    return NVML_OK;
}
// An instance has the same share of the window as of the GPU.
int nvmlDeviceGetBAR1MemoryInfo(device_t device, struct bar1 *out) {
    ENTER_ANY(DeviceGetBAR1MemoryInfo, device);
    NEED(out);
    double share = in.instance ? value_at(&in.instance->slices, in.now) / 7 : 1;
    int rc = put_u64(&out->total, &gpu->bar1_total, share, in.now);
    out->used = whole(&gpu->bar1_used, share, in.now);
    out->free = out->total - out->used;
    return rc;
}
int nvmlDeviceGetConfComputeMemSizeInfo(device_t device, u64 *out) {
    ENTER_GPU(DeviceGetConfComputeMemSizeInfo, device);
    (void)out;
    return NVML_NOT_SUPPORTED;
}

enum { COMPUTE, GRAPHICS, MPS, EVERY };
static const unsigned NO_INSTANCE = 0xFFFFFFFF;

static int listed(const struct entry *in, const struct process *p, unsigned type) {
    return (type == EVERY || garbled || whole(&p->type, 1, in->now) == type) && in_instance(p, in->instance, in->now);
}
static unsigned instance_id(const struct number *n, double now) {
    return n->kind ? (unsigned)whole(n, 1, now) : NO_INSTANCE;
}
static struct process_v2 process(const struct process *p, double now) {
    return (struct process_v2){(unsigned)whole(&p->pid, 1, now), p->memory.kind ? whole(&p->memory, 1, now) : ~0ull,
        instance_id(&p->gpu_instance, now), instance_id(&p->compute_instance, now)};
}

// How many there are said to be.
static unsigned told(unsigned found) { return garbled ? (unsigned)junk() : found; }

// Fills at most *count entries of `size` bytes: INSUFFICIENT_SIZE with the number there is if that is too few.
static int processes(const struct entry *in, unsigned type, unsigned *count, void *out, size_t size) {
    unsigned found = 0;
    NEED(count);
    for (unsigned i = 0; i < in->gpu->processes; i++) {
        const struct process *p = &in->gpu->process[i];
        if (!listed(in, p, type)) continue;
        struct process_v2 one = process(p, in->now);
        if (out && found < *count) memcpy((char *)out + size * found, &one, size);
        found++;
    }
    int rc = found && (!out || found > *count) ? NVML_INSUFFICIENT_SIZE : NVML_OK;
    *count = told(found);
    return rc;
}
#define GET_PROCESSES(call, type, entry)                                 \
    int nvml##call(device_t device, unsigned *count, struct entry *out) { \
        ENTER_ANY(call, device);                                         \
        return processes(&in, type, count, out, sizeof *out);            \
    }
GET_PROCESSES(DeviceGetComputeRunningProcesses, COMPUTE, process_v1)
GET_PROCESSES(DeviceGetComputeRunningProcesses_v2, COMPUTE, process_v2)
GET_PROCESSES(DeviceGetComputeRunningProcesses_v3, COMPUTE, process_v2)
GET_PROCESSES(DeviceGetGraphicsRunningProcesses, GRAPHICS, process_v1)
GET_PROCESSES(DeviceGetGraphicsRunningProcesses_v2, GRAPHICS, process_v2)
GET_PROCESSES(DeviceGetGraphicsRunningProcesses_v3, GRAPHICS, process_v2)
GET_PROCESSES(DeviceGetMPSComputeRunningProcesses, MPS, process_v1)
GET_PROCESSES(DeviceGetMPSComputeRunningProcesses_v2, MPS, process_v2)
GET_PROCESSES(DeviceGetMPSComputeRunningProcesses_v3, MPS, process_v2)

int nvmlDeviceGetRunningProcessDetailList(device_t device, struct process_detail_list *out) {
    ENTER_ANY(DeviceGetRunningProcessDetailList, device);
    NEED(out && out->mode <= EVERY);
    if (out->version != VERSION(struct process_detail_list, 1)) return NVML_ARGUMENT_VERSION_MISMATCH;
    unsigned found = 0;
    for (unsigned i = 0; i < gpu->processes; i++) {
        if (!listed(&in, &gpu->process[i], out->mode)) continue;
        struct process_v2 p = process(&gpu->process[i], in.now);
        if (out->list && found < out->count)
            out->list[found] = (struct process_detail){p.pid, p.memory, p.gpu_instance, p.compute_instance, 0};
        found++;
    }
    int rc = found && (!out->list || found > out->count) ? NVML_INSUFFICIENT_SIZE : NVML_OK;
    out->count = told(found);
    return rc;
}

// One sample a process that is at work, taken at the last tenth of a second.
static unsigned samples(const struct entry *in, u64 since, struct process_sample_v1 *out, unsigned most) {
    unsigned found = 0;
    u64 at = (u64)((double)(u64)(in->now / SAMPLE_S) * SAMPLE_S * 1e6);
    if (at <= since) return 0;
    for (unsigned i = 0; i < in->gpu->processes; i++) {
        const struct process *p = &in->gpu->process[i];
        struct process_sample_v1 one = {at, (unsigned)whole(&p->pid, 1, in->now), (unsigned)whole(&p->sm, 1, in->now),
            (unsigned)whole(&p->memory_activity, 1, in->now), (unsigned)whole(&p->encoder, 1, in->now),
            (unsigned)whole(&p->decoder, 1, in->now), 0, 0};
        if (!one.sm && !one.memory && !one.encoder && !one.decoder) continue;
        if (out && found < most) out[found] = one;
        found++;
    }
    return found;
}
int nvmlDeviceGetProcessUtilization(device_t device, struct process_sample *out, unsigned *count, u64 since) {
    struct process_sample_v1 list[512];
    ENTER_GPU(DeviceGetProcessUtilization, device);
    NEED(count);
    WHOLE_GPU_ONLY;
    unsigned found = samples(&in, since, list, 512);
    if (!found) return NVML_NOT_FOUND;
    if (!out || *count < found) {
        *count = told(found);
        return NVML_INSUFFICIENT_SIZE;
    }
    for (unsigned i = 0; i < found && i < 512; i++)
        out[i] = (struct process_sample){list[i].pid, list[i].at, list[i].sm, list[i].memory, list[i].encoder, list[i].decoder};
    *count = told(found);
    return NVML_OK;
}
int nvmlDeviceGetProcessesUtilizationInfo(device_t device, struct process_samples *out) {
    ENTER_GPU(DeviceGetProcessesUtilizationInfo, device);
    NEED(out);
    WHOLE_GPU_ONLY;
    if (out->version != VERSION(struct process_samples, 1)) return NVML_ARGUMENT_VERSION_MISMATCH;
    unsigned found = samples(&in, out->since, out->list, out->count);
    int rc = !found ? NVML_NOT_FOUND : !out->list || out->count < found ? NVML_INSUFFICIENT_SIZE : NVML_OK;
    out->count = told(found);
    return rc;
}

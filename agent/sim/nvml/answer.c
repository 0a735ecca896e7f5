// From the state's figures to what a caller gets.
#include <math.h>
#include <string.h>
#include "sim.h"

static u64 clamp(double value, double most) {
    if (!(value > 0)) return 0;
    return value >= most ? (u64)most : (u64)llround(fmin(value, 9.2e18));
}

// Also what is below zero, such as a margin.
int small(const struct number *n, double now) { return (int)fmax(-2e9, fmin(value_at(n, now), 2e9)); }

int is(const struct number *n) { return n->kind != KIND_NONE && n->a != 0; }

// What a garbled call answers; the largest values of 64 bits are what real drivers leak for "not available".
u64 junk(void) {
    if (garbled_value >= 1.844674407370955e19) return ~0ull;
    return garbled_value > 9.2e18 ? (u64)garbled_value : clamp(garbled_value, 9.2e18);
}

u64 whole(const struct number *n, double scale, double now) {
    return garbled ? junk() : clamp(value_at(n, now) * scale, 9.2e18);
}

int put_u64(u64 *out, const struct number *n, double scale, double now) {
    NEED(out);
    if (n->kind == KIND_NONE) return NVML_NOT_SUPPORTED;
    *out = whole(n, scale, now);
    return NVML_OK;
}

int put_u32(unsigned *out, const struct number *n, double scale, double now) {
    u64 value;
    NEED(out);
    int rc = put_u64(&value, n, scale, now);
    if (!rc) *out = value > 0xFFFFFFFFull ? 0xFFFFFFFFu : (unsigned)value;
    return rc;
}

int put_integral(u64 *out, const struct number *n, double scale, double now) {
    NEED(out);
    if (n->kind == KIND_NONE) return NVML_NOT_SUPPORTED;
    *out = garbled ? junk() : clamp(integral_at(n, now) * scale, 9.2e18);
    return NVML_OK;
}

int put_text(char *out, unsigned size, const char *text) {
    NEED(out);
    if (!*text) return NVML_NOT_SUPPORTED;
    if (strlen(text) + 1 > size) return NVML_INSUFFICIENT_SIZE;
    strcpy(out, text);
    return NVML_OK;
}

int in_instance(const struct process *p, const struct instance *instance, double now) {
    if (!instance) return 1;
    u64 group = whole(&instance->gpu_instance, 1, now), part = whole(&instance->compute_instance, 1, now);
    return whole(&p->gpu_instance, 1, now) == group && whole(&p->compute_instance, 1, now) == part;
}

// Without what the driver reserves: the processes', and what nobody owns up to.
u64 memory_used(const struct gpu *gpu, const struct instance *instance, double now) {
    double used = value_at(instance ? &instance->used : &gpu->memory_other, now);
    for (unsigned i = 0; i < gpu->processes; i++)
        if (in_instance(&gpu->process[i], instance, now)) used += fmax(0, value_at(&gpu->process[i].memory, now));
    double most = value_at(instance ? &instance->total : &gpu->memory_total, now);
    if (!instance) most -= value_at(&gpu->memory_reserved, now);
    return clamp(fmin(used, most), 9.2e18);
}

static const struct link *link_entry(const struct gpu *gpu, unsigned link, double now) {
    for (unsigned i = 0; i < gpu->links; i++)
        if (whole(&gpu->link[i].link, 1, now) == link) return &gpu->link[i];
    return NULL;
}

// 0 down, 1 up, 2 asleep; -1: there is no such link.
int link_state(const struct gpu *gpu, unsigned link, double now) {
    if (link >= whole(&gpu->link_count, 1, now)) return -1;
    const struct link *entry = link_entry(gpu, link, now);
    return entry && entry->state.kind ? small(&entry->state, now) : 1;
}

// Of one link, or (-1) of all: the figures of single links and, counted at the first link, those of the board.
u64 link_errors(const struct gpu *gpu, int link, int error, double now) {
    double sum = link <= 0 ? value_at(&gpu->link_error[error], now) : 0;
    for (unsigned i = 0; i < gpu->links; i++)
        if (link < 0 || whole(&gpu->link[i].link, 1, now) == (u64)link) sum += value_at(&gpu->link[i].error[error], now);
    return garbled ? junk() : clamp(sum, 9.2e18);
}

// A reason that holds for a share of the time shows up in that share of every second.
u64 reasons_now(const struct gpu *gpu, double now) {
    u64 mask = 0;
    for (unsigned i = 0; i < REASONS; i++)
        if (gpu->reason[i].kind && fmod(now, 1) < value_at(&gpu->reason[i], now)) mask |= 1ull << i;
    return mask;
}

u64 ecc_total(const struct gpu *gpu, int kind, int counter, double now) {
    double sum = 0;
    for (unsigned i = 0; i < LOCATIONS; i++) sum += value_at(&gpu->ecc[counter][kind][i], now);
    return garbled ? junk() : clamp(sum, 9.2e18);
}

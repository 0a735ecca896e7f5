// What every call passes: initialised or not, faults, lost GPUs, what the board does not support.
#include <stdlib.h>
#include <string.h>
#include "sim.h"

int garbled;
double garbled_value;

static const double PCIE_THROUGHPUT_S = 0.02;  // the real call measures for 20 ms a direction
static const double HANG_LOOK_S = 0.01;

static int has(const u64 *bits, unsigned bit) { return bits[bit / 64] >> (bit % 64) & 1; }

int index_of(const struct host *host, const struct gpu *gpu) {
    int index = 0;
    for (const struct gpu *g = host->gpu; g < gpu; g++) index += is(&g->present);
    return index;
}

struct gpu *nth_gpu(struct host *host, unsigned index) {
    for (unsigned i = 0; i < host->gpus; i++)
        if (is(&host->gpu[i].present) && index-- == 0) return &host->gpu[i];
    return NULL;
}

static struct handle *handles;  // never given back: a client may keep one for its whole life

struct handle *handle_of(const char *uuid, const char *instance) {
    for (struct handle *h = handles; h; h = h->next)
        if (!strcmp(h->uuid, uuid) && !strcmp(h->instance, instance)) return h;
    struct handle *made = calloc(1, sizeof *made);
    if (!made) return NULL;
    strncpy(made->uuid, uuid, sizeof made->uuid - 1);
    strncpy(made->instance, instance, sizeof made->instance - 1);
    made->next = handles;
    handles = made;
    return made;
}

static int is_handle(const struct handle *device) {
    for (const struct handle *h = handles; h; h = h->next)
        if (h == device) return 1;
    return 0;
}

// Where the handle's GPU (and instance) stand in this state.
static void resolve(struct handle *h, const struct host *host, u64 generation) {
    if (h->generation == generation) return;
    h->generation = generation;
    h->gpu = h->place = -1;
    for (unsigned i = 0; i < host->gpus; i++)
        if (is(&host->gpu[i].present) && !strcmp(host->gpu[i].uuid, h->uuid)) h->gpu = (int)i;
    for (unsigned i = 0; h->gpu >= 0 && i < host->gpu[h->gpu].instances; i++)
        if (!strcmp(host->gpu[h->gpu].instance[i].uuid, h->instance)) h->place = (int)i;
}

static int concerns(const struct fault *f, enum call call, const struct entry *in) {
    if (!has(f->calls, call)) return 0;
    if ((f->from && in->now < f->from) || (f->until && in->now >= f->until)) return 0;
    if (f->index < 0 && !*f->gpu) return 1;
    if (!in->gpu) return 0;
    return *f->gpu ? !strcmp(f->gpu, in->gpu->uuid) : f->index == index_of(in->host, in->gpu);
}

static int due(const struct fault *f) {
    u64 hit = count_hit(f);
    return hit > f->after && (!f->count || hit <= f->after + f->count);
}

// What the faults make of this call.
struct verdict {
    int rc, garbage, forever;
    double delay, hang, value;
    u64 key;                    // of the fault that hangs
};

static struct verdict judge(enum call call, const struct entry *in) {
    struct verdict v = {.delay = call == CALL_DeviceGetPcieThroughput ? PCIE_THROUGHPUT_S : 0};
    for (unsigned i = 0; i < in->host->faults; i++) {
        const struct fault *f = &in->host->fault[i];
        if (!concerns(f, call, in) || !due(f)) continue;
        v.delay += f->delay;
        if (f->hang > 0 || f->forever) v.hang = f->hang, v.forever = f->forever, v.key = f->key;
        if (f->garbage) v.garbage = 1, v.value = f->value;
        if (f->rc && !v.rc) v.rc = f->rc;
    }
    return v;
}

static int still_there(u64 key) {
    lock_state();
    struct host *host = host_now(NULL);
    int found = 0;
    for (unsigned i = 0; host && i < host->faults; i++) {
        const struct fault *f = &host->fault[i];
        found |= f->key == key && (!f->until || wall() < f->until);
    }
    unlock_state();
    return found;
}

// A hang ends when its time is over, or when the fault is taken out of the state.
static void wait_out(const struct verdict *v) {
    double end = wall() + v->hang;
    pause_for(v->delay);
    if (!v->key) return;
    while ((v->forever || wall() < end) && still_there(v->key)) pause_for(HANG_LOOK_S);
}

static int refresh(struct entry *in, struct handle *device) {
    u64 generation = 0;
    in->gpu = NULL;
    in->instance = NULL;
    in->now = wall();
    in->host = host_now(&generation);
    if (!in->host) return NVML_DRIVER_NOT_LOADED;
    if (!device) return NVML_OK;
    resolve(device, in->host, generation);
    if (device->gpu < 0) return NVML_GPU_IS_LOST;
    in->gpu = &in->host->gpu[device->gpu];
    if (*device->instance && device->place < 0) return NVML_GPU_IS_LOST;
    if (*device->instance) in->instance = &in->gpu->instance[device->place];
    return NVML_OK;
}

static int condition(enum call call, const struct entry *in) {
    if (in->gpu && in->gpu->condition.a == 1) return NVML_GPU_IS_LOST;
    if (in->gpu && in->gpu->condition.a == 2) return NVML_RESET_REQUIRED;
    return in->gpu && has(in->gpu->unsupported, call) ? NVML_NOT_SUPPORTED : NVML_OK;
}

static struct entry pass(enum call call, struct handle *device) {
    struct entry in = {0};
    in.rc = refresh(&in, device);
    if (!client_ready() && call > CALL_InitWithFlags) in.rc = NVML_UNINITIALIZED;
    if (!in.host || in.rc == NVML_UNINITIALIZED) return in;
    count_call(call);
    // The driver was replaced under this process: what it has mapped no longer fits the module.
    if (client_ready() && strcmp(client_library(), in.host->driver) != 0) in.rc = NVML_VERSION_MISMATCH;
    if (in.rc) return in;
    struct verdict v = judge(call, &in);
    if (v.delay > 0 || v.key) {
        unlock_state();
        wait_out(&v);
        lock_state();
        in.rc = refresh(&in, device);
    }
    if (!in.rc) in.rc = v.rc ? v.rc : condition(call, &in);
    garbled = v.garbage;
    garbled_value = v.value;
    return in;
}

struct entry enter_system(enum call call) {
    lock_state();
    return pass(call, NULL);
}

struct entry enter(enum call call, struct handle *device) {
    lock_state();
    if (is_handle(device)) return pass(call, device);
    struct entry in = {.rc = client_ready() ? NVML_INVALID_ARGUMENT : NVML_UNINITIALIZED};
    return in;
}

void leave(struct entry *entry) {
    (void)entry;
    garbled = 0;
    unlock_state();
}

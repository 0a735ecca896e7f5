// Event sets: a client waits for what the state file says has happened since it began to listen.
#include <stdlib.h>
#include <string.h>
#include "sim.h"

typedef struct handle *device_t;

enum { MAX_REGISTERED = 64 };
static const double EVENT_LOOK_S = 0.05;

struct event_set {
    u64 cursor, types[MAX_REGISTERED];
    device_t device[MAX_REGISTERED];
    unsigned registered;
};

int nvmlDeviceGetSupportedEventTypes(device_t device, u64 *out) {
    ENTER_GPU(DeviceGetSupportedEventTypes, device);
    NEED(out);
    *out = 0xFF9F;
    return NVML_OK;
}

static u64 newest(const struct host *host) {
    u64 seq = 0;
    for (unsigned i = 0; i < host->events; i++)
        if (host->event[i].seq > seq) seq = host->event[i].seq;
    return seq;
}

int nvmlEventSetCreate(struct event_set **out) {
    ENTER(EventSetCreate);
    NEED(out);
    *out = calloc(1, sizeof **out);
    if (!*out) return NVML_UNKNOWN;
    (*out)->cursor = newest(in.host);
    return NVML_OK;
}
int nvmlEventSetFree(struct event_set *set) {
    ENTER(EventSetFree);
    NEED(set);
    free(set);
    return NVML_OK;
}
int nvmlDeviceRegisterEvents(device_t device, u64 types, struct event_set *set) {
    ENTER_GPU(DeviceRegisterEvents, device);
    NEED(set && types && set->registered < MAX_REGISTERED);
    set->types[set->registered] = types;
    set->device[set->registered++] = device;
    return NVML_OK;
}

static device_t wanted(const struct event_set *set, const struct event *event) {
    for (unsigned i = 0; i < set->registered; i++)
        if ((set->types[i] & event->type) && !strcmp(set->device[i]->uuid, event->uuid)) return set->device[i];
    return NULL;
}

// The oldest event past the cursor.
static int next(struct event_set *set, const struct host *host, struct event_data *out) {
    const struct event *found = NULL;
    for (unsigned i = 0; i < host->events; i++) {
        const struct event *e = &host->event[i];
        if (e->seq > set->cursor && (!found || e->seq < found->seq) && wanted(set, e)) found = e;
    }
    if (!found) return 0;
    set->cursor = found->seq;
    *out = (struct event_data){wanted(set, found), found->type, found->data, found->gpu_instance, found->compute_instance};
    return 1;
}

// The real call says so once a registered GPU has fallen off the bus, after the events that were queued.
static int any_lost(const struct event_set *set, const struct host *host) {
    for (unsigned i = 0; i < set->registered; i++) {
        int found = 0;
        for (const struct gpu *gpu = host->gpu; gpu < host->gpu + host->gpus; gpu++)
            found |= !strcmp(gpu->uuid, set->device[i]->uuid) && is(&gpu->present) && gpu->condition.a != 1;
        if (!found) return 1;
    }
    return 0;
}

static int poll_set(enum call call, struct event_set *set, struct event_data *out, int first) {
    struct entry in __attribute__((cleanup(leave))) = {0};
    if (first) {
        in = enter_system(call);
        if (in.rc) return in.rc;
    } else {
        lock_state();
        in.host = host_now(NULL);
    }
    if (!set || !out) return NVML_INVALID_ARGUMENT;
    if (!client_ready()) return NVML_UNINITIALIZED;
    if (in.host && next(set, in.host, out)) return NVML_OK;
    return in.host && any_lost(set, in.host) ? NVML_GPU_IS_LOST : NVML_TIMEOUT;
}

// It looks twenty times a second and sleeps without the mutex, so other threads go on.
static int wait_set(enum call call, struct event_set *set, struct event_data *out, unsigned timeout_ms) {
    double end = wall() + timeout_ms / 1000.0;
    int rc = poll_set(call, set, out, 1);
    while (rc == NVML_TIMEOUT && wall() < end) {
        double left = end - wall();
        pause_for(left < EVENT_LOOK_S ? left : EVENT_LOOK_S);
        rc = poll_set(call, set, out, 0);
    }
    return rc;
}
int nvmlEventSetWait_v2(struct event_set *set, struct event_data *out, unsigned timeout_ms) {
    return wait_set(CALL_EventSetWait_v2, set, out, timeout_ms);
}
int nvmlEventSetWait(struct event_set *set, struct event_data *out, unsigned timeout_ms) {
    return wait_set(CALL_EventSetWait, set, out, timeout_ms);
}

// Field values: many figures with one call, each with a return code of its own.
#include <string.h>
#include "sim.h"

typedef struct handle *device_t;

enum { UNSIGNED_INT = 1, UNSIGNED_LONG_LONG = 3, SIGNED_INT = 5 };
// As in LINK_ERROR_KEYS of keys.h.
enum link_error { REPLAY, RECOVERY, CRC_FLIT, CRC_DATA, ECC, MALFORMED, OVERRUN, RECEIVE, REMOTE, GENERAL, INTEGRITY, DISCARDS,
    RECOVERED, NOT_RECOVERED, EFFECTIVE, SYMBOL };

struct question {
    const struct gpu *gpu;
    double now;
    struct field_value *value;
};

static int plain(const struct question *q, const struct number *n, double scale) {
    u64 got;
    int rc = put_u64(&got, n, scale, q->now);
    if (rc) return rc;
    q->value->type = got >> 32 ? UNSIGNED_LONG_LONG : UNSIGNED_INT;
    q->value->value.large = got;
    return NVML_OK;
}
static int wide(const struct question *q, u64 got) {
    q->value->type = UNSIGNED_LONG_LONG;
    q->value->value.large = got;
    return NVML_OK;
}
static int grown(const struct question *q, const struct number *n, double scale) {
    u64 got = 0;
    int rc = put_integral(&got, n, scale, q->now);
    return rc ? rc : wide(q, got);
}
static int with_links(const struct question *q) {
    return whole(&q->gpu->link_count, 1, q->now) > 0;
}
static int link_error(const struct question *q, int link, enum link_error error) {
    if (!with_links(q)) return NVML_NOT_SUPPORTED;
    if (link >= 0 && link_state(q->gpu, (unsigned)link, q->now) < 0) return NVML_INVALID_ARGUMENT;
    return wide(q, link_errors(q->gpu, link, (int)error, q->now));
}
// Where the scope names the link; all ones stands for the sum over all links.
static int scoped_error(const struct question *q, enum link_error error) {
    return link_error(q, q->value->scope == 0xFFFFFFFF ? -1 : (int)(q->value->scope & 0xFFFF), error);
}

// Six links stand beside the total, the next six in a block of their own.
static const struct {
    unsigned first, total, more;
    enum link_error error;
} LANES[] = {{32, 38, 96, CRC_FLIT}, {39, 45, 102, CRC_DATA}, {46, 52, 108, REPLAY}, {53, 59, 114, RECOVERY}};

static int lane_field(const struct question *q, unsigned field, int *rc) {
    for (unsigned i = 0; i < sizeof LANES / sizeof *LANES; i++) {
        unsigned first = LANES[i].first, more = LANES[i].more;
        if (field == LANES[i].total)
            *rc = link_error(q, -1, LANES[i].error);
        else if (field >= first && field < first + 6)
            *rc = link_error(q, (int)(field - first), LANES[i].error);
        else if (field >= more && field < more + 6)
            *rc = link_error(q, (int)(field - more + 6), LANES[i].error);
        else
            continue;
        return 1;
    }
    return 0;
}

static int ecc_field(const struct question *q, unsigned field) {
    // Volatile from 7 and aggregate from 18: pairs of corrected and uncorrected for each location, then the CBU's.
    static const int LOCATION[] = {0, 1, 2, 3, 4};
    const struct gpu *gpu = q->gpu;
    if (!is(&gpu->ecc_mode)) return NVML_NOT_SUPPORTED;
    if (field < 7) return wide(q, ecc_total(gpu, field % 2 == 0, field > 4, q->now));
    unsigned aggregate = field >= 18, at = field - (aggregate ? 18 : 7);
    const struct number *n = at == 10 ? &gpu->ecc[aggregate][1][6] : &gpu->ecc[aggregate][at % 2][LOCATION[at / 2]];
    return n->kind ? wide(q, whole(n, 1, q->now)) : NVML_NOT_SUPPORTED;
}

static int nvlink_field(const struct question *q, unsigned field) {
    static const int ERRORS[] = {-1, MALFORMED, OVERRUN, RECEIVE, REMOTE, GENERAL, INTEGRITY, DISCARDS, RECOVERED, NOT_RECOVERED};
    const struct gpu *gpu = q->gpu;
    unsigned links = (unsigned)whole(&gpu->link_count, 1, q->now), link = q->value->scope;
    if (!links) return field == 91 ? plain(q, &gpu->link_count, 1) : NVML_NOT_SUPPORTED;
    switch (field) {
    case 91: return plain(q, &gpu->link_count, 1);
    case 90: case 164: return plain(q, &gpu->link_speed, 1);
    case 138: return grown(q, &gpu->link_tx, 1.0 / 1024);
    case 139: return grown(q, &gpu->link_rx, 1.0 / 1024);
    case 140: return grown(q, &gpu->link_tx, 1.1 / 1024);
    case 141: return grown(q, &gpu->link_rx, 1.1 / 1024);
    case 147: return plain(q, &gpu->link_count, 1);
    case 160: return link_error(q, -1, ECC);
    case 161: return scoped_error(q, REPLAY);
    case 162: return scoped_error(q, RECOVERY);
    case 163: return scoped_error(q, CRC_FLIT);
    case 165:
        if (link >= links) return NVML_INVALID_ARGUMENT;
        q->value->type = UNSIGNED_INT;
        q->value->value.large = (u64)link_state(gpu, link, q->now);
        return NVML_OK;
    case 166: return plain(q, &gpu->link_version, 1);
    case 201: return grown(q, &gpu->link_tx, 1.0 / 256);
    case 202: return grown(q, &gpu->link_tx, 1);
    case 203: return grown(q, &gpu->link_rx, 1.0 / 256);
    case 204: return grown(q, &gpu->link_rx, 1);
    case 215: return wide(q, link_errors(gpu, -1, RECOVERED, q->now) + link_errors(gpu, -1, NOT_RECOVERED, q->now));
    case 219: return scoped_error(q, EFFECTIVE);
    case 221: return scoped_error(q, SYMBOL);
    }
    if (field >= 84 && field <= 89) return field - 84 < links ? plain(q, &gpu->link_speed, 1) : NVML_INVALID_ARGUMENT;
    if (field >= 132 && field <= 137) return field - 126 < links ? plain(q, &gpu->link_speed, 1) : NVML_INVALID_ARGUMENT;
    if (field >= 148 && field <= 159) return link_error(q, (int)(field - 148), ECC);
    if (field >= 206 && field <= 214) return scoped_error(q, (enum link_error)ERRORS[field - 205]);
    return NVML_NOT_SUPPORTED;
}

static int device_field(const struct question *q, unsigned field) {
    const struct gpu *gpu = q->gpu;
    const struct number NONE = {0};
    switch (field) {
    case 1: return plain(q, &gpu->ecc_mode, 1);
    case 2: return plain(q, gpu->ecc_pending.kind ? &gpu->ecc_pending : &gpu->ecc_mode, 1);
    case 29: return plain(q, &gpu->retired[0], 1);
    case 30: return plain(q, &gpu->retired[1], 1);
    case 31: case 92: case 93: return plain(q, &gpu->retired_pending, 1);
    case 74: return grown(q, &gpu->reason[2], 1e9);
    case 75: return grown(q, &gpu->reason[5], 1e9);
    case 76: return grown(q, &gpu->reason[4], 1e9);
    case 80: return grown(q, &gpu->reason[1], 1e9);
    case 269: return grown(q, &gpu->reason[5], 1e9);
    case 270: return grown(q, &gpu->reason[6], 1e9);
    case 271: return grown(q, &gpu->reason[7], 1e9);
    case 82: return plain(q, &gpu->memory_temperature, 1);
    case 83: case 191: return grown(q, &gpu->power, 1000);
    case 94: return plain(q, &gpu->pcie_replays, 1);
    case 95: return plain(q, gpu->pcie_replays.kind ? &gpu->pcie_error[11] : &NONE, 1);
    case 142: return plain(q, is(&gpu->mig_mode) ? &NONE : &gpu->remapped[0], 1);
    case 143: return plain(q, is(&gpu->mig_mode) ? &NONE : &gpu->remapped[1], 1);
    case 144: return plain(q, is(&gpu->mig_mode) ? &NONE : &gpu->remap_pending, 1);
    case 145: return plain(q, is(&gpu->mig_mode) ? &NONE : &gpu->remap_failed, 1);
    case 301: return plain(q, &gpu->remap_inactive[0], 1);
    case 302: return plain(q, &gpu->remap_inactive[1], 1);
    case 169: return plain(q, &gpu->pcie_error[0], 1);
    case 170: return plain(q, &gpu->c2c_links, 1);
    case 171: return plain(q, &gpu->c2c_state, 1);
    case 185: case 186: return plain(q, &gpu->power, 1000);
    case 187: return plain(q, &gpu->power_min, 1000);
    case 188: return plain(q, &gpu->power_max, 1000);
    case 189: return plain(q, &gpu->power_default, 1000);
    case 190: return plain(q, &gpu->power_enforced, 1000);
    case 192: return plain(q, &gpu->power_limit, 1000);
    case 193: return plain(q, &gpu->shutdown_at, 1);
    case 194: return plain(q, &gpu->slowdown_at, 1);
    case 195: return plain(q, &gpu->memory_max_at, 1);
    case 196: return plain(q, &gpu->gpu_max_at, 1);
    case 197: return grown(q, &gpu->pcie_tx, 1);
    case 198: return grown(q, &gpu->pcie_rx, 1);
    case 226: return wide(q, gpu->condition.a == 2);
    case 227: return wide(q, gpu->recovery.a == 4);
    case 230: return plain(q, &gpu->recovery, 1);
    case 305: return plain(q, &gpu->histogram[0], 1);
    case 306: return plain(q, &gpu->histogram[4], 1);
    }
    if (field >= 3 && field <= 28) return ecc_field(q, field);
    if (field >= 173 && field <= 183) return plain(q, &gpu->pcie_error[field - 172], 1);
    return nvlink_field(q, field);
}

int nvmlDeviceGetFieldValues(device_t device, int count, struct field_value *values) {
    ENTER_GPU(DeviceGetFieldValues, device);
    NEED(count > 0 && values);
    for (int i = 0; i < count; i++) {
        struct question q = {gpu, in.now, &values[i]};
        unsigned field = values[i].field;
        int unsupported = field >= 512 || (gpu->unsupported_field[field / 64] >> (field % 64) & 1), rc = NVML_NOT_SUPPORTED;
        values[i].at = (long long)(in.now * 1e6);
        values[i].latency = 1;
        values[i].type = UNSIGNED_INT;
        values[i].value.large = 0;
        if (!unsupported && !lane_field(&q, field, &rc)) rc = device_field(&q, field);
        values[i].rc = rc;
    }
    return NVML_OK;
}

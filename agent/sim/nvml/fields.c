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

static int recoveries(const struct question *q) {
    int rc = scoped_error(q, RECOVERED);
    u64 good = q->value->value.large;
    if (!rc) rc = scoped_error(q, NOT_RECOVERED);
    return rc ? rc : wide(q, good + q->value->value.large);
}
// Degrees to the limit, which may be below zero.
static int distance(const struct question *q, const struct number *n) {
    if (!n->kind) return NVML_NOT_SUPPORTED;
    q->value->type = SIGNED_INT;
    q->value->value.integer = small(n, q->now);
    return NVML_OK;
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
    if (!links) return field == FI_NVLINK_LINK_COUNT ? plain(q, &gpu->link_count, 1) : NVML_NOT_SUPPORTED;
    switch (field) {
    case FI_NVLINK_LINK_COUNT: return plain(q, &gpu->link_count, 1);
    case FI_NVLINK_SPEED_MBPS_COMMON: case FI_NVLINK_GET_SPEED: return plain(q, &gpu->link_speed, 1);
    case FI_NVLINK_THROUGHPUT_DATA_TX: return grown(q, &gpu->link_tx, 1.0 / 1024);
    case FI_NVLINK_THROUGHPUT_DATA_RX: return grown(q, &gpu->link_rx, 1.0 / 1024);
    case FI_NVLINK_THROUGHPUT_RAW_TX: return grown(q, &gpu->link_tx, 1.1 / 1024);
    case FI_NVLINK_THROUGHPUT_RAW_RX: return grown(q, &gpu->link_rx, 1.1 / 1024);
    case FI_NVSWITCH_CONNECTED_LINK_COUNT: return plain(q, &gpu->link_count, 1);
    case FI_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL: return link_error(q, -1, ECC);
    case FI_NVLINK_ERROR_DL_REPLAY: return scoped_error(q, REPLAY);
    case FI_NVLINK_ERROR_DL_RECOVERY: return scoped_error(q, RECOVERY);
    case FI_NVLINK_ERROR_DL_CRC: return scoped_error(q, CRC_FLIT);
    case FI_NVLINK_GET_STATE:
        if (link >= links) return NVML_INVALID_ARGUMENT;
        q->value->type = UNSIGNED_INT;
        q->value->value.large = (u64)link_state(gpu, link, q->now);
        return NVML_OK;
    case FI_NVLINK_GET_VERSION: return plain(q, &gpu->link_version, 1);
    case FI_NVLINK_COUNT_XMIT_PACKETS: return grown(q, &gpu->link_tx, 1.0 / 256);
    case FI_NVLINK_COUNT_XMIT_BYTES: return grown(q, &gpu->link_tx, 1);
    case FI_NVLINK_COUNT_RCV_PACKETS: return grown(q, &gpu->link_rx, 1.0 / 256);
    case FI_NVLINK_COUNT_RCV_BYTES: return grown(q, &gpu->link_rx, 1);
    case FI_NVLINK_COUNT_LINK_RECOVERY_EVENTS: return recoveries(q);
    case FI_NVLINK_COUNT_EFFECTIVE_ERRORS: return scoped_error(q, EFFECTIVE);
    case FI_NVLINK_COUNT_SYMBOL_ERRORS: return scoped_error(q, SYMBOL);
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
    case FI_ECC_CURRENT: return plain(q, &gpu->ecc_mode, 1);
    case FI_ECC_PENDING: return plain(q, gpu->ecc_pending.kind ? &gpu->ecc_pending : &gpu->ecc_mode, 1);
    case FI_RETIRED_SBE: return plain(q, &gpu->retired[0], 1);
    case FI_RETIRED_DBE: return plain(q, &gpu->retired[1], 1);
    case FI_RETIRED_PENDING: case FI_RETIRED_PENDING_SBE: case FI_RETIRED_PENDING_DBE: return plain(q, &gpu->retired_pending, 1);
    case FI_THROTTLED_POWER_CAP: return grown(q, &gpu->reason[2], 1e9);
    case FI_THROTTLED_THERMAL: return grown(q, &gpu->reason[5], 1e9);
    case FI_THROTTLED_SYNC_BOOST: return grown(q, &gpu->reason[4], 1e9);
    case FI_THROTTLED_APP_CLOCKS: return grown(q, &gpu->reason[1], 1e9);
    case FI_THROTTLED_SW_THERMAL: return grown(q, &gpu->reason[5], 1e9);
    case FI_THROTTLED_HW_THERMAL: return grown(q, &gpu->reason[6], 1e9);
    case FI_THROTTLED_POWER_BRAKE: return grown(q, &gpu->reason[7], 1e9);
    case FI_MEMORY_TEMP: return plain(q, &gpu->memory_temperature, 1);
    case FI_TOTAL_ENERGY_CONSUMPTION: case FI_ENERGY: return grown(q, &gpu->power, 1000);
    case FI_PCIE_REPLAY_COUNTER: return plain(q, &gpu->pcie_replays, 1);
    case FI_PCIE_REPLAY_ROLLOVER_COUNTER: return plain(q, gpu->pcie_replays.kind ? &gpu->pcie_error[11] : &NONE, 1);
    case FI_REMAPPED_COR: return plain(q, is(&gpu->mig_mode) ? &NONE : &gpu->remapped[0], 1);
    case FI_REMAPPED_UNC: return plain(q, is(&gpu->mig_mode) ? &NONE : &gpu->remapped[1], 1);
    case FI_REMAPPED_PENDING: return plain(q, is(&gpu->mig_mode) ? &NONE : &gpu->remap_pending, 1);
    case FI_REMAPPED_FAILURE: return plain(q, is(&gpu->mig_mode) ? &NONE : &gpu->remap_failed, 1);
    case FI_REMAPPED_ROWS_COR_INACTIVE: return plain(q, &gpu->remap_inactive[0], 1);
    case FI_REMAPPED_ROWS_UNC_INACTIVE: return plain(q, &gpu->remap_inactive[1], 1);
    case FI_PCIE_L0_TO_RECOVERY_COUNTER: return plain(q, &gpu->pcie_error[0], 1);
    case FI_C2C_LINK_COUNT: return plain(q, &gpu->c2c_links, 1);
    case FI_C2C_LINK_GET_STATUS: return plain(q, &gpu->c2c_state, 1);
    case FI_POWER_AVERAGE: case FI_POWER_INSTANT: return plain(q, &gpu->power, 1000);
    case FI_POWER_MIN_LIMIT: return plain(q, &gpu->power_min, 1000);
    case FI_POWER_MAX_LIMIT: return plain(q, &gpu->power_max, 1000);
    case FI_POWER_DEFAULT_LIMIT: return plain(q, &gpu->power_default, 1000);
    case FI_POWER_CURRENT_LIMIT: return plain(q, &gpu->power_enforced, 1000);
    case FI_POWER_REQUESTED_LIMIT: return plain(q, &gpu->power_limit, 1000);
    case FI_TEMPERATURE_SHUTDOWN_TLIMIT: return distance(q, &gpu->limit[0]);
    case FI_TEMPERATURE_SLOWDOWN_TLIMIT: return distance(q, &gpu->limit[1]);
    case FI_TEMPERATURE_MEM_MAX_TLIMIT: return distance(q, &gpu->limit[2]);
    case FI_TEMPERATURE_GPU_MAX_TLIMIT: return distance(q, &gpu->limit[3]);
    case FI_PCIE_COUNT_TX_BYTES: return grown(q, &gpu->pcie_tx, 1);
    case FI_PCIE_COUNT_RX_BYTES: return grown(q, &gpu->pcie_rx, 1);
    case FI_RESET_STATUS: return wide(q, gpu->condition.a == 2);
    case FI_DRAIN_AND_RESET_STATUS: return wide(q, gpu->recovery.a == 4);
    case FI_RECOVERY_ACTION: return plain(q, &gpu->recovery, 1);
    case FI_BANK_REMAPPER_HISTOGRAM_MAX: return plain(q, &gpu->histogram[0], 1);
    case FI_BANK_REMAPPER_HISTOGRAM_NONE: return plain(q, &gpu->histogram[4], 1);
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

// Memory errors, retired pages and remapped rows; NVLink and the fabric.
#include <stdio.h>
#include <string.h>
#include "sim.h"

typedef struct handle *device_t;

int nvmlDeviceGetEccMode(device_t device, unsigned *current, unsigned *pending) {
    ENTER_GPU(DeviceGetEccMode, device);
    NEED(pending);
    int rc = put_u32(current, &gpu->ecc_mode, 1, in.now);
    if (!rc) *pending = (unsigned)whole(gpu->ecc_pending.kind ? &gpu->ecc_pending : &gpu->ecc_mode, 1, in.now);
    return rc;
}
int nvmlDeviceGetDefaultEccMode(device_t device, unsigned *out) {
    ENTER_GPU(DeviceGetDefaultEccMode, device);
    NEED(out);
    *out = 1;
    return gpu->ecc_mode.kind ? NVML_OK : NVML_NOT_SUPPORTED;
}
#define NEED_ECC                      \
    NEED(out && kind < 2 && counter < 2); \
    if (!is(&gpu->ecc_mode)) return NVML_NOT_SUPPORTED
int nvmlDeviceGetTotalEccErrors(device_t device, unsigned kind, unsigned counter, u64 *out) {
    ENTER_GPU(DeviceGetTotalEccErrors, device);
    NEED_ECC;
    *out = ecc_total(gpu, (int)kind, (int)counter, in.now);
    return NVML_OK;
}
int nvmlDeviceGetDetailedEccErrors(device_t device, unsigned kind, unsigned counter, struct ecc_counts *out) {
    ENTER_GPU(DeviceGetDetailedEccErrors, device);
    NEED_ECC;
    const struct number *of = gpu->ecc[counter][kind];
    u64 *to = &out->l1;
    for (int i = 0; i < 4; i++) to[i] = whole(&of[i], 1, in.now);
    return NVML_OK;
}
int nvmlDeviceGetMemoryErrorCounter(device_t device, unsigned kind, unsigned counter, unsigned location, u64 *out) {
    ENTER_GPU(DeviceGetMemoryErrorCounter, device);
    NEED(location < LOCATIONS);
    NEED_ECC;
    return put_u64(out, &gpu->ecc[counter][kind][location], 1, in.now);
}
int nvmlDeviceGetSramEccErrorStatus(device_t device, struct sram_ecc *out) {
    ENTER_GPU(DeviceGetSramEccErrorStatus, device);
    NEED(out);
    if (out->version != VERSION(struct sram_ecc, 1)) return NVML_ARGUMENT_VERSION_MISMATCH;
    if (!is(&gpu->ecc_mode) || !gpu->ecc[1][1][7].kind) return NVML_NOT_SUPPORTED;
    memset(out, 0, sizeof *out);
    out->version = VERSION(struct sram_ecc, 1);
    out->aggregate_secded = out->bucket_sm = whole(&gpu->ecc[1][1][7], 1, in.now);
    out->aggregate_corrected = whole(&gpu->ecc[1][0][7], 1, in.now);
    out->volatile_secded = whole(&gpu->ecc[0][1][7], 1, in.now);
    out->volatile_corrected = whole(&gpu->ecc[0][0][7], 1, in.now);
    out->threshold_exceeded = (unsigned)whole(&gpu->sram_threshold, 1, in.now);
    return NVML_OK;
}

static int retired(const struct entry *in, unsigned cause, unsigned *count, u64 *pages, u64 *times) {
    NEED(count && cause < 2);
    if (!in->gpu->retired[cause].kind) return NVML_NOT_SUPPORTED;
    unsigned room = *count, found = (unsigned)whole(&in->gpu->retired[cause], 1, in->now);
    *count = found;
    if (found && (!pages || room < found)) return NVML_INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < found; i++) {
        pages[i] = 0x10000ull * (i + 1 + 64 * cause);
        if (times) times[i] = (u64)((in->now - 86400) * 1e6);
    }
    return NVML_OK;
}
int nvmlDeviceGetRetiredPages(device_t device, unsigned cause, unsigned *count, u64 *pages) {
    ENTER_GPU(DeviceGetRetiredPages, device);
    return retired(&in, cause, count, pages, NULL);
}
int nvmlDeviceGetRetiredPages_v2(device_t device, unsigned cause, unsigned *count, u64 *pages, u64 *times) {
    ENTER_GPU(DeviceGetRetiredPages_v2, device);
    return retired(&in, cause, count, pages, times);
}
int nvmlDeviceGetRetiredPagesPendingStatus(device_t device, unsigned *out) {
    ENTER_GPU(DeviceGetRetiredPagesPendingStatus, device);
    return put_u32(out, &gpu->retired_pending, 1, in.now);
}

// Not while the GPU is cut into instances.
#define NEED_REMAP \
    if (!gpu->remapped[0].kind || is(&gpu->mig_mode)) return NVML_NOT_SUPPORTED
int nvmlDeviceGetRemappedRows(device_t device, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
    ENTER_GPU(DeviceGetRemappedRows, device);
    NEED(corrected && uncorrected && pending && failed);
    NEED_REMAP;
    *corrected = (unsigned)whole(&gpu->remapped[0], 1, in.now);
    *uncorrected = (unsigned)whole(&gpu->remapped[1], 1, in.now);
    *pending = (unsigned)whole(&gpu->remap_pending, 1, in.now);
    *failed = (unsigned)whole(&gpu->remap_failed, 1, in.now);
    return NVML_OK;
}
int nvmlDeviceGetRemappedRows_v2(device_t device, struct remap_v2 *out) {
    ENTER_GPU(DeviceGetRemappedRows_v2, device);
    NEED(out);
    NEED_REMAP;
    *out = (struct remap_v2){(unsigned)whole(&gpu->remapped[0], 1, in.now), (unsigned)whole(&gpu->remap_inactive[0], 1, in.now),
        (unsigned)whole(&gpu->remapped[1], 1, in.now), (unsigned)whole(&gpu->remap_inactive[1], 1, in.now),
        (unsigned)whole(&gpu->remap_pending, 1, in.now), (unsigned)whole(&gpu->remap_failed, 1, in.now)};
    return NVML_OK;
}
int nvmlDeviceGetRowRemapperHistogram(device_t device, struct remap_histogram *out) {
    ENTER_GPU(DeviceGetRowRemapperHistogram, device);
    NEED(out);
    NEED_REMAP;
    unsigned *to = &out->max;
    for (int i = 0; i < 5; i++) to[i] = (unsigned)whole(&gpu->histogram[i], 1, in.now);
    return NVML_OK;
}

// A link number past the board's last is an invalid argument; a board without NVLink has none at all.
static int link_ok(const struct entry *in, unsigned link) {
    if (!whole(&in->gpu->link_count, 1, in->now)) return NVML_NOT_SUPPORTED;
    return link_state(in->gpu, link, in->now) < 0 ? NVML_INVALID_ARGUMENT : NVML_OK;
}
int nvmlDeviceGetNvLinkState(device_t device, unsigned link, unsigned *out) {
    ENTER_GPU(DeviceGetNvLinkState, device);
    NEED(out);
    int rc = link_ok(&in, link);
    if (!rc) *out = link_state(gpu, link, in.now) != 0;
    return rc;
}
int nvmlDeviceGetNvLinkVersion(device_t device, unsigned link, unsigned *out) {
    ENTER_GPU(DeviceGetNvLinkVersion, device);
    int rc = link_ok(&in, link);
    return rc ? rc : put_u32(out, &gpu->link_version, 1, in.now);
}
int nvmlDeviceGetNvLinkCapability(device_t device, unsigned link, unsigned capability, unsigned *out) {
    ENTER_GPU(DeviceGetNvLinkCapability, device);
    NEED(out && capability < 6);
    int rc = link_ok(&in, link);
    if (!rc) *out = capability != 4;
    return rc;
}
int nvmlDeviceGetNvLinkErrorCounter(device_t device, unsigned link, unsigned counter, u64 *out) {
    ENTER_GPU(DeviceGetNvLinkErrorCounter, device);
    NEED(out && counter < 5);
    int rc = link_ok(&in, link);
    if (!rc) *out = link_errors(gpu, (int)link, (int)counter, in.now);
    return rc;
}
int nvmlDeviceGetNvLinkRemoteDeviceType(device_t device, unsigned link, unsigned *out) {
    ENTER_GPU(DeviceGetNvLinkRemoteDeviceType, device);
    NEED(out);
    int rc = link_ok(&in, link);
    *out = 2;
    for (unsigned i = 0; !rc && i < gpu->links; i++)
        if (whole(&gpu->link[i].link, 1, in.now) == link && gpu->link[i].remote_type.kind)
            *out = (unsigned)whole(&gpu->link[i].remote_type, 1, in.now);
    return rc;
}
static int remote(const struct entry *in, unsigned link, struct pci_v3 *out) {
    NEED(out);
    int rc = link_ok(in, link);
    if (rc) return rc;
    memset(out, 0, sizeof *out);
    out->bus = 0xC0 + link % 4;
    snprintf(out->bus_id, sizeof out->bus_id, "%08X:%02X:%02X.0", 0u, out->bus & 0xFF, 0u);
    snprintf(out->bus_id_legacy, sizeof out->bus_id_legacy, "%04X:%02X:%02X.0", 0u, out->bus & 0xFF, 0u);
    return NVML_OK;
}
int nvmlDeviceGetNvLinkRemotePciInfo(device_t device, unsigned link, struct pci_v3 *out) {
    ENTER_GPU(DeviceGetNvLinkRemotePciInfo, device);
    return remote(&in, link, out);
}
int nvmlDeviceGetNvLinkRemotePciInfo_v2(device_t device, unsigned link, struct pci_v3 *out) {
    ENTER_GPU(DeviceGetNvLinkRemotePciInfo_v2, device);
    return remote(&in, link, out);
}

static void fabric(const struct entry *in, struct fabric_v3 *out) {
    const struct gpu *gpu = in->gpu;
    memset(out, 0, sizeof *out);
    unsigned at = 0;
    for (const char *c = gpu->cluster; *c && at < 16; c++) {
        unsigned byte;
        if (*c == '-') continue;
        if (!c[1] || sscanf(c, "%2x", &byte) != 1) break;
        out->cluster[at++] = (unsigned char)byte;
        c++;
    }
    out->status = (int)whole(&gpu->fabric_status, 1, in->now);
    out->clique = (unsigned)whole(&gpu->fabric_clique, 1, in->now);
    out->state = (unsigned)whole(&gpu->fabric_state, 1, in->now);
    out->health = (unsigned)whole(&gpu->fabric_health, 1, in->now);
    out->summary = (unsigned char)whole(&gpu->fabric_summary, 1, in->now);
}
int nvmlDeviceGetGpuFabricInfo(device_t device, struct fabric_v1 *out) {
    struct fabric_v3 all;
    ENTER_GPU(DeviceGetGpuFabricInfo, device);
    NEED(out);
    if (!gpu->fabric_state.kind) return NVML_NOT_SUPPORTED;
    fabric(&in, &all);
    memcpy(out->cluster, all.cluster, sizeof out->cluster);
    out->status = all.status, out->clique = all.clique, out->state = all.state;
    return NVML_OK;
}
// The caller's version says how much of the structure there is.
int nvmlDeviceGetGpuFabricInfoV(device_t device, void *out) {
    struct fabric_v3 all;
    ENTER_GPU(DeviceGetGpuFabricInfoV, device);
    NEED(out);
    unsigned version = *(unsigned *)out;
    size_t size = version == VERSION(struct fabric_v3, 3) ? sizeof(struct fabric_v3) : sizeof(struct fabric_v2);
    if (version != VERSION(struct fabric_v2, 2) && version != VERSION(struct fabric_v3, 3)) return NVML_ARGUMENT_VERSION_MISMATCH;
    if (!gpu->fabric_state.kind) return NVML_NOT_SUPPORTED;
    fabric(&in, &all);
    all.version = version;
    memcpy(out, &all, size);
    return NVML_OK;
}

// MIG: one GPU cut into instances, each with a handle of its own.
#include <string.h>
#include "sim.h"

typedef struct handle *device_t;

int nvmlDeviceIsMigDeviceHandle(device_t device, unsigned *out) {
    ENTER_ANY(DeviceIsMigDeviceHandle, device);
    NEED(out);
    *out = in.instance != NULL;
    return NVML_OK;
}
int nvmlDeviceGetMigMode(device_t device, unsigned *current, unsigned *pending) {
    ENTER_GPU(DeviceGetMigMode, device);
    NEED(pending);
    int rc = put_u32(current, &gpu->mig_mode, 1, in.now);
    if (!rc) *pending = (unsigned)whole(gpu->mig_pending.kind ? &gpu->mig_pending : &gpu->mig_mode, 1, in.now);
    return rc;
}
int nvmlDeviceGetMaxMigDeviceCount(device_t device, unsigned *out) {
    ENTER_GPU(DeviceGetMaxMigDeviceCount, device);
    NEED(out);
    *out = (unsigned)whole(&gpu->mig_max, 1, in.now);
    return NVML_OK;
}
int nvmlDeviceGetMigDeviceHandleByIndex(device_t device, unsigned index, device_t *out) {
    ENTER_GPU(DeviceGetMigDeviceHandleByIndex, device);
    NEED(out);
    if (!is(&gpu->mig_mode)) return NVML_NOT_SUPPORTED;
    if (index >= gpu->instances) return NVML_NOT_FOUND;
    *out = handle_of(gpu->uuid, gpu->instance[index].uuid);
    return *out ? NVML_OK : NVML_UNKNOWN;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device_t device, device_t *out) {
    ENTER_ANY(DeviceGetDeviceHandleFromMigDeviceHandle, device);
    NEED(out && in.instance);
    *out = handle_of(gpu->uuid, "");
    return *out ? NVML_OK : NVML_UNKNOWN;
}
int nvmlDeviceGetGpuInstanceId(device_t device, unsigned *out) {
    ENTER_ANY(DeviceGetGpuInstanceId, device);
    return in.instance ? put_u32(out, &in.instance->gpu_instance, 1, in.now) : NVML_NOT_SUPPORTED;
}
int nvmlDeviceGetComputeInstanceId(device_t device, unsigned *out) {
    ENTER_ANY(DeviceGetComputeInstanceId, device);
    return in.instance ? put_u32(out, &in.instance->compute_instance, 1, in.now) : NVML_NOT_SUPPORTED;
}
static int attributes(const struct entry *in, struct attributes *out) {
    NEED(out);
    if (!in->instance) return NVML_NOT_SUPPORTED;
    memset(out, 0, sizeof *out);
    out->sm = (unsigned)whole(&in->instance->sm, 1, in->now);
    out->gpu_slices = out->compute_slices = (unsigned)whole(&in->instance->slices, 1, in->now);
    out->copy_engines = out->decoders = 1;
    out->memory_mib = whole(&in->instance->total, 1, in->now) >> 20;
    return NVML_OK;
}
int nvmlDeviceGetAttributes(device_t device, struct attributes *out) {
    ENTER_ANY(DeviceGetAttributes, device);
    return attributes(&in, out);
}
int nvmlDeviceGetAttributes_v2(device_t device, struct attributes *out) {
    ENTER_ANY(DeviceGetAttributes_v2, device);
    return attributes(&in, out);
}

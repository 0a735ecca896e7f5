// Who a device is, and the modes it is set to.
#include <stdio.h>
#include <string.h>
#include "sim.h"

typedef struct handle *device_t;

#define GET_TEXT(call, field)                                   \
    int nvml##call(device_t device, char *out, unsigned size) { \
        ENTER_GPU(call, device);                                \
        return put_text(out, size, gpu->field);                 \
    }
#define GET(call, field)                                 \
    int nvml##call(device_t device, unsigned *out) {     \
        ENTER_GPU(call, device);                         \
        return put_u32(out, &gpu->field, 1, in.now);     \
    }
#define GET_FIXED(call, value)                           \
    int nvml##call(device_t device, unsigned *out) {     \
        ENTER_GPU(call, device);                         \
        NEED(out);                                       \
        *out = value;                                    \
        return NVML_OK;                                  \
    }

GET_TEXT(DeviceGetSerial, serial)
GET_TEXT(DeviceGetVbiosVersion, vbios)
GET_TEXT(DeviceGetBoardPartNumber, part)
GET_TEXT(DeviceGetInforomImageVersion, inforom)
GET(DeviceGetMinorNumber, minor)
GET(DeviceGetBrand, brand)
GET(DeviceGetArchitecture, architecture)
GET(DeviceGetNumGpuCores, cores)
GET(DeviceGetMemoryBusWidth, bus_width)
GET(DeviceGetNumaNodeId, numa)
GET(DeviceGetModuleId, module)
GET(DeviceGetComputeMode, compute_mode)
GET(DeviceGetPersistenceMode, persistence)
GET(DeviceGetVirtualizationMode, virtualization)
GET(DeviceGetDisplayMode, display)
GET(DeviceGetDisplayActive, display)
GET_FIXED(DeviceGetMultiGpuBoard, 0)
GET_FIXED(DeviceGetBusType, 2)
GET_FIXED(DeviceGetPowerSource, 0)
GET_FIXED(DeviceGetAccountingMode, 0)
GET_FIXED(DeviceGetIrqNum, 100 + gpu->bus)
GET_FIXED(DeviceGetBoardId, gpu->bus << 8)
GET_FIXED(DeviceGetInforomConfigurationChecksum, 0x5EED0000u | gpu->bus)

int nvmlDeviceGetName(device_t device, char *out, unsigned size) {
    ENTER_ANY(DeviceGetName, device);
    if (garbled) return put_text(out, size, "\x1b[31mgarbled\x07 \xff\xfe");
    return put_text(out, size, in.instance ? in.instance->name : gpu->name);
}
int nvmlDeviceGetUUID(device_t device, char *out, unsigned size) {
    ENTER_ANY(DeviceGetUUID, device);
    return put_text(out, size, in.instance ? in.instance->uuid : gpu->uuid);
}
int nvmlDeviceGetIndex(device_t device, unsigned *out) {
    ENTER_ANY(DeviceGetIndex, device);
    NEED(out);
    *out = (unsigned)(in.instance ? in.instance - gpu->instance : index_of(in.host, gpu));
    return NVML_OK;
}
int nvmlDeviceGetInforomVersion(device_t device, unsigned object, char *out, unsigned size) {
    ENTER_GPU(DeviceGetInforomVersion, device);
    NEED(object < 4);
    return object == 3 ? NVML_NOT_SUPPORTED : put_text(out, size, *gpu->inforom ? "2.1" : "");
}
int nvmlDeviceValidateInforom(device_t device) {
    ENTER_GPU(DeviceValidateInforom, device);
    return NVML_OK;
}
int nvmlDeviceGetCudaComputeCapability(device_t device, int *major, int *minor) {
    ENTER_GPU(DeviceGetCudaComputeCapability, device);
    NEED(major && minor);
    *major = small(&gpu->major_cc, in.now);
    *minor = small(&gpu->minor_cc, in.now);
    return NVML_OK;
}
int nvmlDeviceGetGspFirmwareVersion(device_t device, char *out) {
    ENTER_GPU(DeviceGetGspFirmwareVersion, device);
    return put_text(out, 64, gpu->gsp);
}
int nvmlDeviceGetGspFirmwareMode(device_t device, unsigned *enabled, unsigned *by_default) {
    ENTER_GPU(DeviceGetGspFirmwareMode, device);
    NEED(enabled && by_default);
    *enabled = *by_default = *gpu->gsp != 0;
    return NVML_OK;
}
int nvmlDeviceGetAddressingMode(device_t device, struct margin_v1 *out) {
    ENTER_GPU(DeviceGetAddressingMode, device);
    NEED(out);
    if (out->version != VERSION(struct margin_v1, 1)) return NVML_ARGUMENT_VERSION_MISMATCH;
    return put_u32((unsigned *)&out->value, &gpu->addressing, 1, in.now);
}

// There is no such thing outside Windows.
int nvmlDeviceGetDriverModel(device_t device, unsigned *current, unsigned *pending) {
    ENTER_GPU(DeviceGetDriverModel, device);
    (void)current, (void)pending;
    return NVML_NOT_SUPPORTED;
}
int nvmlDeviceGetDriverModel_v2(device_t device, unsigned *current, unsigned *pending) {
    ENTER_GPU(DeviceGetDriverModel_v2, device);
    (void)current, (void)pending;
    return NVML_NOT_SUPPORTED;
}

static void bus_id(char *out, size_t size, const struct gpu *gpu, const char *form) {
    snprintf(out, size, form, gpu->domain & 0xFFFF, gpu->bus & 0xFF, gpu->device & 0x1F);
}
static void pci_v3(struct pci_v3 *out, const struct gpu *gpu, double now) {
    memset(out, 0, sizeof *out);
    bus_id(out->bus_id_legacy, sizeof out->bus_id_legacy, gpu, "%04X:%02X:%02X.0");
    bus_id(out->bus_id, sizeof out->bus_id, gpu, "%08X:%02X:%02X.0");
    out->domain = gpu->domain, out->bus = gpu->bus, out->device = gpu->device;
    out->device_id = (unsigned)whole(&gpu->device_id, 1, now);
    out->subsystem_id = (unsigned)whole(&gpu->subsystem_id, 1, now);
}
int nvmlDeviceGetPciInfo_v3(device_t device, struct pci_v3 *out) {
    ENTER_GPU(DeviceGetPciInfo_v3, device);
    NEED(out);
    pci_v3(out, gpu, in.now);
    return NVML_OK;
}
static int pci_old(const struct entry *in, struct pci_v2 *out) {
    struct pci_v3 now;
    NEED(out);
    pci_v3(&now, in->gpu, in->now);
    memset(out, 0, sizeof *out);
    memcpy(out, &now, offsetof(struct pci_v2, reserved));
    return NVML_OK;
}
int nvmlDeviceGetPciInfo_v2(device_t device, struct pci_v2 *out) {
    ENTER_GPU(DeviceGetPciInfo_v2, device);
    return pci_old(&in, out);
}
int nvmlDeviceGetPciInfo(device_t device, struct pci_v2 *out) {
    ENTER_GPU(DeviceGetPciInfo, device);
    return pci_old(&in, out);
}
int nvmlDeviceGetPciInfoExt(device_t device, struct pci_ext *out) {
    struct pci_v3 now;
    ENTER_GPU(DeviceGetPciInfoExt, device);
    NEED(out);
    if (out->version != VERSION(struct pci_ext, 1)) return NVML_ARGUMENT_VERSION_MISMATCH;
    pci_v3(&now, gpu, in.now);
    out->domain = now.domain, out->bus = now.bus, out->device = now.device;
    out->device_id = now.device_id, out->subsystem_id = now.subsystem_id;
    out->base_class = 3, out->sub_class = 2;
    memcpy(out->bus_id, now.bus_id, sizeof out->bus_id);
    return NVML_OK;
}

int nvmlDeviceGetTopologyCommonAncestor(device_t one, device_t other, unsigned *out) {
    ENTER_GPU(DeviceGetTopologyCommonAncestor, one);
    NEED(other && out);
    *out = one == other ? 0 : 40;
    return NVML_OK;
}
int nvmlDeviceOnSameBoard(device_t one, device_t other, int *out) {
    ENTER_GPU(DeviceOnSameBoard, one);
    NEED(other && out);
    *out = one == other;
    return NVML_OK;
}

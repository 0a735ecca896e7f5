// Start and end, versions, finding devices, who a device is.
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <fcntl.h>
#include <unistd.h>
#include "sim.h"

typedef struct handle *device_t;

static int init(enum call call) {
    struct entry in __attribute__((cleanup(leave))) = enter_system(call);
    if (in.rc) return in.rc;
    if (in.host->loaded.kind && !is(&in.host->loaded)) return NVML_DRIVER_NOT_LOADED;
    if (strcmp(client_library(), in.host->driver) != 0) return NVML_VERSION_MISMATCH;
    begin_client();
    return NVML_OK;
}
int nvmlInit(void) { return init(CALL_Init); }
int nvmlInit_v2(void) { return init(CALL_Init_v2); }
int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    return init(CALL_InitWithFlags);
}

// A hung driver hangs this one as well; an error does not keep a client from leaving.
int nvmlShutdown(void) {
    struct entry in __attribute__((cleanup(leave))) = enter_system(CALL_Shutdown);
    if (!client_ready()) return NVML_UNINITIALIZED;
    end_client();
    return NVML_OK;
}

const char *nvmlErrorString(int rc) {
    static const char *const SAYS[] = {"Success", "Uninitialized", "Invalid Argument", "Not Supported", "Insufficient Permissions",
        "Already Initialized", "Not Found", "Insufficient Size", "Insufficient External Power", "Driver Not Loaded", "Timeout",
        "Interrupt Request Issue", "NVML Shared Library Not Found", "Function Not Found", "Corrupted infoROM", "GPU is lost",
        "GPU requires reset", "The operating system has blocked the request", "Driver/library version mismatch",
        "In use by another client", "Insufficient Memory", "No data", "The requested vgpu operation is not available", "Insufficient Resources",
        "Frequency not supported", "Argument version mismatch", "Deprecated", "Not Ready", "GPU not found", "Invalid state"};
    return rc >= 0 && rc < (int)(sizeof SAYS / sizeof *SAYS) ? SAYS[rc] : "Unknown Error";
}

int nvmlSystemGetDriverVersion(char *out, unsigned size) {
    ENTER(SystemGetDriverVersion);
    return put_text(out, size, in.host->driver);
}
int nvmlSystemGetNVMLVersion(char *out, unsigned size) {
    char text[160];
    ENTER(SystemGetNVMLVersion);
    snprintf(text, sizeof text, "%u.%s", (unsigned)small(&in.host->cuda, in.now) / 1000, client_library());
    return put_text(out, size, text);
}
static int cuda_version(const struct entry *in, int *out) {
    unsigned value;
    int rc = out ? put_u32(&value, &in->host->cuda, 1, in->now) : NVML_INVALID_ARGUMENT;
    if (!rc) *out = (int)value;
    return rc;
}
int nvmlSystemGetCudaDriverVersion(int *out) {
    ENTER(SystemGetCudaDriverVersion);
    return cuda_version(&in, out);
}
int nvmlSystemGetCudaDriverVersion_v2(int *out) {
    ENTER(SystemGetCudaDriverVersion_v2);
    return cuda_version(&in, out);
}
int nvmlSystemGetProcessName(unsigned pid, char *out, unsigned size) {
    char path[64], text[1024];
    ENTER(SystemGetProcessName);
    NEED(out && size);
    snprintf(path, sizeof path, "/proc/%u/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) close(fd);
    if (got <= 0) return NVML_NOT_FOUND;
    text[got] = 0;
    return put_text(out, size, text);
}
int nvmlSystemGetDriverBranch(struct branch *out, unsigned size) {
    ENTER(SystemGetDriverBranch);
    NEED(out && size);
    if (out->version != VERSION(struct branch, 1)) return NVML_ARGUMENT_VERSION_MISMATCH;
    snprintf(out->name, sizeof out->name, "r%.*s", (int)strcspn(in.host->driver, "."), in.host->driver);
    return NVML_OK;
}
int nvmlSystemGetHicVersion(unsigned *count, void *out) {
    ENTER(SystemGetHicVersion);
    NEED(count);
    (void)out;
    *count = 0;
    return NVML_OK;
}
int nvmlUnitGetCount(unsigned *count) {
    ENTER(UnitGetCount);
    NEED(count);
    *count = 0;
    return NVML_OK;
}

static int device_count(const struct entry *in, unsigned *out) {
    NEED(out);
    *out = garbled ? (unsigned)junk() : (unsigned)index_of(in->host, in->host->gpu + in->host->gpus);
    return NVML_OK;
}
int nvmlDeviceGetCount(unsigned *out) {
    ENTER(DeviceGetCount);
    return device_count(&in, out);
}
int nvmlDeviceGetCount_v2(unsigned *out) {
    ENTER(DeviceGetCount_v2);
    return device_count(&in, out);
}

// A lost GPU has no new handle; one that was given out before stays and says that it is lost.
static int give(const struct gpu *gpu, const char *instance, device_t *out) {
    if (!gpu) return NVML_NOT_FOUND;
    if (gpu->condition.a == 1) return NVML_GPU_IS_LOST;
    *out = handle_of(gpu->uuid, instance);
    return *out ? NVML_OK : NVML_UNKNOWN;
}
static int by_index(const struct entry *in, unsigned index, device_t *out) {
    NEED(out);
    struct gpu *gpu = nth_gpu(in->host, index);
    return gpu ? give(gpu, "", out) : NVML_INVALID_ARGUMENT;
}
int nvmlDeviceGetHandleByIndex(unsigned index, device_t *out) {
    ENTER(DeviceGetHandleByIndex);
    return by_index(&in, index, out);
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *out) {
    ENTER(DeviceGetHandleByIndex_v2);
    return by_index(&in, index, out);
}
static int by_uuid(const struct entry *in, const char *uuid, device_t *out) {
    const struct gpu *gpu;
    for (unsigned i = 0; (gpu = nth_gpu(in->host, i)); i++) {
        if (!strcasecmp(gpu->uuid, uuid)) return give(gpu, "", out);
        for (unsigned k = 0; k < gpu->instances; k++)
            if (!strcasecmp(gpu->instance[k].uuid, uuid)) return give(gpu, gpu->instance[k].uuid, out);
    }
    return NVML_NOT_FOUND;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, device_t *out) {
    ENTER(DeviceGetHandleByUUID);
    NEED(uuid && out);
    return by_uuid(&in, uuid, out);
}
int nvmlDeviceGetHandleByUUIDV(const struct uuid_value *uuid, device_t *out) {
    char text[48] = "GPU-";
    ENTER(DeviceGetHandleByUUIDV);
    NEED(uuid && out && (uuid->type == 1 || uuid->type == 2));
    if (uuid->version != VERSION(struct uuid_value, 1)) return NVML_ARGUMENT_VERSION_MISMATCH;
    if (uuid->type == 1) return by_uuid(&in, uuid->value.text, out);
    for (unsigned i = 0; i < 16; i++)
        snprintf(text + strlen(text), 4, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid->value.bytes[i]);
    return by_uuid(&in, text, out);
}
int nvmlDeviceGetHandleBySerial(const char *serial, device_t *out) {
    struct gpu *gpu;
    ENTER(DeviceGetHandleBySerial);
    NEED(serial && out);
    for (unsigned i = 0; (gpu = nth_gpu(in.host, i)); i++)
        if (!strcmp(gpu->serial, serial)) return give(gpu, "", out);
    return NVML_NOT_FOUND;
}
static int by_pci(const struct entry *in, const char *bus_id, device_t *out) {
    struct gpu *gpu;
    unsigned domain = 0, bus, device;
    NEED(bus_id && out);
    if (sscanf(bus_id, "%x:%x:%x", &domain, &bus, &device) != 3) {
        domain = 0;
        if (sscanf(bus_id, "%x:%x", &bus, &device) != 2) return NVML_INVALID_ARGUMENT;
    }
    for (unsigned i = 0; (gpu = nth_gpu(in->host, i)); i++)
        if (gpu->domain == domain && gpu->bus == bus && gpu->device == device) return give(gpu, "", out);
    return NVML_NOT_FOUND;
}
int nvmlDeviceGetHandleByPciBusId(const char *bus_id, device_t *out) {
    ENTER(DeviceGetHandleByPciBusId);
    return by_pci(&in, bus_id, out);
}
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, device_t *out) {
    ENTER(DeviceGetHandleByPciBusId_v2);
    return by_pci(&in, bus_id, out);
}

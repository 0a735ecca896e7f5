// Heat, fans, power, clocks and what holds them back; the PCIe link.
#include <string.h>
#include "sim.h"

typedef struct handle *device_t;

#define GET(call, field, scale)                              \
    int nvml##call(device_t device, unsigned *out) {         \
        ENTER_GPU(call, device);                             \
        return put_u32(out, &gpu->field, scale, in.now);     \
    }
#define GET_BY(call, kinds, from, scale)                              \
    int nvml##call(device_t device, unsigned kind, unsigned *out) {   \
        ENTER_GPU(call, device);                                      \
        NEED(kind < (kinds));                                         \
        return put_u32(out, from, scale, in.now);                     \
    }

GET_BY(DeviceGetTemperature, 1, &gpu->temperature, 1)
int nvmlDeviceGetTemperatureV(device_t device, struct temperature_v1 *out) {
    unsigned value = 0;
    ENTER_GPU(DeviceGetTemperatureV, device);
    NEED(out && out->sensor == 0);
    if (out->version != VERSION(struct temperature_v1, 1)) return NVML_ARGUMENT_VERSION_MISMATCH;
    int rc = put_u32(&value, &gpu->temperature, 1, in.now);
    out->value = (int)value;
    return rc;
}
int nvmlDeviceGetTemperatureThreshold(device_t device, unsigned kind, unsigned *out) {
    ENTER_GPU(DeviceGetTemperatureThreshold, device);
    const struct number *of[] = {&gpu->shutdown_at, &gpu->slowdown_at, &gpu->memory_max_at, &gpu->gpu_max_at};
    NEED(kind < 8);
    return kind < 4 ? put_u32(out, of[kind], 1, in.now) : NVML_NOT_SUPPORTED;
}
int nvmlDeviceGetMarginTemperature(device_t device, struct margin_v1 *out) {
    ENTER_GPU(DeviceGetMarginTemperature, device);
    NEED(out);
    if (out->version != VERSION(struct margin_v1, 1)) return NVML_ARGUMENT_VERSION_MISMATCH;
    if (!gpu->margin.kind) return NVML_NOT_SUPPORTED;
    out->value = small(&gpu->margin, in.now);
    return NVML_OK;
}
int nvmlDeviceGetThermalSettings(device_t device, unsigned index, struct thermal_settings *out) {
    ENTER_GPU(DeviceGetThermalSettings, device);
    NEED(out && (index == 0 || index == 15));
    memset(out, 0, sizeof *out);
    out->count = 1;
    out->sensor[0] = (struct sensor){1, -256, 256, small(&gpu->temperature, in.now), 1};
    return NVML_OK;
}
GET(DeviceGetFanSpeed, fan, 1)
GET_BY(DeviceGetFanSpeed_v2, whole(&gpu->fans, 1, in.now), &gpu->fan, 1)
GET_BY(DeviceGetTargetFanSpeed, whole(&gpu->fans, 1, in.now), &gpu->fan, 1)
GET(DeviceGetNumFans, fans, 1)

// The state says watts, the interface milliwatts.
GET(DeviceGetPowerUsage, power, 1000)
GET(DeviceGetPowerManagementLimit, power_limit, 1000)
GET(DeviceGetPowerManagementDefaultLimit, power_default, 1000)
GET(DeviceGetEnforcedPowerLimit, power_enforced, 1000)
GET(DeviceGetPowerState, performance, 1)
GET(DeviceGetPerformanceState, performance, 1)
int nvmlDeviceGetPowerManagementMode(device_t device, unsigned *out) {
    ENTER_GPU(DeviceGetPowerManagementMode, device);
    NEED(out);
    *out = gpu->power_limit.kind != KIND_NONE;
    return NVML_OK;
}
int nvmlDeviceGetPowerManagementLimitConstraints(device_t device, unsigned *least, unsigned *most) {
    ENTER_GPU(DeviceGetPowerManagementLimitConstraints, device);
    int rc = put_u32(least, &gpu->power_min, 1000, in.now);
    return rc ? rc : put_u32(most, &gpu->power_max, 1000, in.now);
}
int nvmlDeviceGetTotalEnergyConsumption(device_t device, u64 *out) {
    ENTER_GPU(DeviceGetTotalEnergyConsumption, device);
    return put_integral(out, &gpu->power, 1000, in.now);
}

GET_BY(DeviceGetClockInfo, 4, &gpu->clock[kind], 1)
GET_BY(DeviceGetMaxClockInfo, 4, &gpu->clock_max[kind], 1)
GET_BY(DeviceGetMaxCustomerBoostClock, 4, &gpu->clock_max[kind], 1)
GET_BY(DeviceGetApplicationsClock, 4, &gpu->clock_set[kind], 1)
GET_BY(DeviceGetDefaultApplicationsClock, 4, &gpu->clock_default[kind], 1)
int nvmlDeviceGetClock(device_t device, unsigned kind, unsigned which, unsigned *out) {
    ENTER_GPU(DeviceGetClock, device);
    NEED(kind < 4 && which < 4);
    const struct number *of[] = {&gpu->clock[kind], &gpu->clock_set[kind], &gpu->clock_default[kind], &gpu->clock_max[kind]};
    return put_u32(out, of[which], 1, in.now);
}
static int clock_list(const struct entry *in, unsigned *count, unsigned *out, const struct number *highest) {
    NEED(count);
    unsigned room = *count;
    *count = 1;
    return !out || room < 1 ? NVML_INSUFFICIENT_SIZE : put_u32(out, highest, 1, in->now);
}
int nvmlDeviceGetSupportedMemoryClocks(device_t device, unsigned *count, unsigned *out) {
    ENTER_GPU(DeviceGetSupportedMemoryClocks, device);
    return clock_list(&in, count, out, &gpu->clock_max[2]);
}
int nvmlDeviceGetSupportedGraphicsClocks(device_t device, unsigned memory_clock, unsigned *count, unsigned *out) {
    ENTER_GPU(DeviceGetSupportedGraphicsClocks, device);
    if (memory_clock != whole(&gpu->clock_max[2], 1, in.now)) return NVML_NOT_FOUND;
    return clock_list(&in, count, out, &gpu->clock_max[0]);
}

#define GET_REASONS(call, answer)                        \
    int nvml##call(device_t device, u64 *out) {          \
        ENTER_GPU(call, device);                         \
        NEED(out);                                       \
        *out = garbled ? junk() : (answer);              \
        return NVML_OK;                                  \
    }
GET_REASONS(DeviceGetCurrentClocksEventReasons, reasons_now(gpu, in.now))
GET_REASONS(DeviceGetCurrentClocksThrottleReasons, reasons_now(gpu, in.now))
GET_REASONS(DeviceGetSupportedClocksEventReasons, 0x1FF)
GET_REASONS(DeviceGetSupportedClocksThrottleReasons, 0x1FF)

int nvmlDeviceGetViolationStatus(device_t device, unsigned policy, struct violation *out) {
    ENTER_GPU(DeviceGetViolationStatus, device);
    NEED(out && policy < 12);
    const struct number *of[12] = {&gpu->reason[2], &gpu->reason[5], &gpu->reason[4], NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        &gpu->reason[1], NULL};
    out->reference = (u64)(in.now * 1e6);
    return of[policy] ? put_integral(&out->violation, of[policy], 1e9, in.now) : NVML_NOT_SUPPORTED;
}

GET(DeviceGetCurrPcieLinkGeneration, pcie_gen, 1)
GET(DeviceGetMaxPcieLinkGeneration, pcie_gen_max, 1)
GET(DeviceGetGpuMaxPcieLinkGeneration, pcie_gen_device, 1)
GET(DeviceGetCurrPcieLinkWidth, pcie_width, 1)
GET(DeviceGetMaxPcieLinkWidth, pcie_width_max, 1)
GET(DeviceGetPcieReplayCounter, pcie_replays, 1)
GET(DeviceGetPcieLinkMaxSpeed, pcie_gen_max, 1)
int nvmlDeviceGetPcieSpeed(device_t device, unsigned *out) {
    static const unsigned MEGABITS[] = {0, 2500, 5000, 8000, 16000, 32000, 64000};
    ENTER_GPU(DeviceGetPcieSpeed, device);
    NEED(out);
    u64 generation = whole(&gpu->pcie_gen, 1, in.now);
    *out = MEGABITS[generation < 7 ? generation : 0];
    return generation ? NVML_OK : NVML_NOT_SUPPORTED;
}
// KB/s, measured over 20 ms.
GET_BY(DeviceGetPcieThroughput, 2, kind ? &gpu->pcie_rx : &gpu->pcie_tx, 1.0 / 1000)

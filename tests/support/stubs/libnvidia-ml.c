/* NVIDIA's management library, as nvml.h declares it; see told.h. */
#define NVML_NO_UNVERSIONED_FUNC_DEFS
#include <nvml.h>

#include "told.h"

#define KIND(x)                                                                                               \
  _Generic((x), unsigned int: 'u', unsigned int *: 'U', unsigned long long *: 'Q', const char *: 'c',         \
      nvmlDevice_t: 'h', nvmlDevice_t *: 'H')

nvmlReturn_t nvmlInit_v2(void) { TOLD("nvmlInit_v2", NVML_ERROR_NOT_SUPPORTED, 0, {'-', 0}); }
nvmlReturn_t nvmlShutdown(void) { TOLD("nvmlShutdown", NVML_ERROR_NOT_SUPPORTED, 0, {'-', 0}); }

#define F2(...) DEFINE2(nvmlReturn_t, NVML_ERROR_NOT_SUPPORTED, __VA_ARGS__)
#define F3(...) DEFINE3(nvmlReturn_t, NVML_ERROR_NOT_SUPPORTED, __VA_ARGS__)

F2(nvmlDeviceGetHandleByPciBusId_v2, const char *, id, nvmlDevice_t *, device)
F2(nvmlDeviceGetIndex, nvmlDevice_t, device, unsigned int *, index)
F3(nvmlDeviceGetClockInfo, nvmlDevice_t, device, nvmlClockType_t, type, unsigned int *, clock)
F3(nvmlDeviceGetMaxClockInfo, nvmlDevice_t, device, nvmlClockType_t, type, unsigned int *, clock)
F2(nvmlDeviceGetPersistenceMode, nvmlDevice_t, device, nvmlEnableState_t *, mode)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* the name of today is not in the drivers of yesterday */
F2(nvmlDeviceGetCurrentClocksThrottleReasons, nvmlDevice_t, device, unsigned long long *, reasons)
#pragma GCC diagnostic pop

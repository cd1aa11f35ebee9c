/* NVIDIA's driver, as cuda.h of its toolkit declares it; see told.h. */
#include "told.h"

#define __CUDA_API_VERSION_INTERNAL /* declare every name that the library exports, not the newest under the old names */
#include <cuda.h>

/* i u: int, unsigned and enumerations; z q: 64 bits without a sign; h: a handle; p v: any address, v of what is only read;
   c b: text that is read, written; large letters: the address of what is written. */
#define KIND(x)                                                                                              \
  _Generic((x), int: 'i', unsigned int: 'u', size_t: 'z', unsigned long long: 'q', int *: 'I',               \
      unsigned int *: 'U', size_t *: 'Z', unsigned long long *: 'Q', float *: 'F', char *: 'b',              \
      const char *: 'c', const char **: 'C', const void *: 'v', void *: 'p', void **: 'P', CUcontext: 'h',   \
      CUmodule: 'h', CUfunction: 'h', CUstream: 'h', CUevent: 'h', CUgraph: 'h', CUgraphExec: 'h',           \
      CUcontext *: 'H', CUmodule *: 'H', CUfunction *: 'H', CUstream *: 'H', CUevent *: 'H', CUgraph *: 'H', \
      CUgraphExec *: 'H')

#define F1(...) DEFINE1(CUresult, CUDA_ERROR_NO_DEVICE, __VA_ARGS__)
#define F2(...) DEFINE2(CUresult, CUDA_ERROR_NO_DEVICE, __VA_ARGS__)
#define F3(...) DEFINE3(CUresult, CUDA_ERROR_NO_DEVICE, __VA_ARGS__)
#define F4(...) DEFINE4(CUresult, CUDA_ERROR_NO_DEVICE, __VA_ARGS__)

F1(cuInit, unsigned int, flags)
F2(cuGetErrorName, CUresult, error, const char **, text)
F1(cuDriverGetVersion, int *, version)
F1(cuDeviceGetCount, int *, count)
F2(cuDeviceGet, CUdevice *, device, int, ordinal)
F3(cuDeviceGetName, char *, name, int, length, CUdevice, device)
F3(cuDeviceGetPCIBusId, char *, id, int, length, CUdevice, device)
F2(cuDeviceTotalMem_v2, size_t *, bytes, CUdevice, device)
F3(cuDeviceGetAttribute, int *, value, CUdevice_attribute, attribute, CUdevice, device)
F2(cuDevicePrimaryCtxSetFlags_v2, CUdevice, device, unsigned int, flags)
F2(cuDevicePrimaryCtxRetain, CUcontext *, context, CUdevice, device)
F1(cuDevicePrimaryCtxRelease_v2, CUdevice, device)
F1(cuCtxPushCurrent_v2, CUcontext, context)
F1(cuCtxPopCurrent_v2, CUcontext *, context)
F1(cuCtxGetCurrent, CUcontext *, context)
F2(cuCtxGetStreamPriorityRange, int *, lowest, int *, highest)
F2(cuMemGetInfo_v2, size_t *, unused, size_t *, total)
F2(cuMemAlloc_v2, CUdeviceptr *, address, size_t, bytes)
F1(cuMemFree_v2, CUdeviceptr, address)
F3(cuMemHostRegister_v2, void *, address, size_t, bytes, unsigned int, flags)
F1(cuMemHostUnregister, void *, address)
F3(cuMemHostGetDevicePointer_v2, CUdeviceptr *, address, void *, host, unsigned int, flags)
F4(cuMemcpyHtoDAsync_v2, CUdeviceptr, to, const void *, from, size_t, bytes, CUstream, stream)
F4(cuMemsetD32Async, CUdeviceptr, to, unsigned int, value, size_t, words, CUstream, stream)
F3(cuStreamCreateWithPriority, CUstream *, stream, unsigned int, flags, int, priority)
F1(cuStreamDestroy_v2, CUstream, stream)
F2(cuEventCreate, CUevent *, event, unsigned int, flags)
F2(cuEventRecord, CUevent, event, CUstream, stream)
F3(cuEventRecordWithFlags, CUevent, event, CUstream, stream, unsigned int, flags)
F1(cuEventSynchronize, CUevent, event)
F3(cuEventElapsedTime, float *, milliseconds, CUevent, begun, CUevent, ended)
F1(cuEventDestroy_v2, CUevent, event)
F3(cuModuleGetFunction, CUfunction *, function, CUmodule, module, const char *, name)
F1(cuModuleUnload, CUmodule, module)
F2(cuStreamBeginCapture_v2, CUstream, stream, CUstreamCaptureMode, mode)
F2(cuStreamEndCapture, CUstream, stream, CUgraph *, graph)
F3(cuGraphInstantiateWithFlags, CUgraphExec *, made, CUgraph, graph, unsigned long long, flags)
F2(cuGraphUpload, CUgraphExec, graph, CUstream, stream)
F2(cuGraphLaunch, CUgraphExec, graph, CUstream, stream)
F1(cuGraphDestroy, CUgraph, graph)
F1(cuGraphExecDestroy, CUgraphExec, graph)

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int count, CUjit_option *options, void **values) {
  TOLD("cuModuleLoadDataEx", CUDA_ERROR_NO_DEVICE, 5, ARGUMENT(module), ARGUMENT(image), ARGUMENT(count), ARGUMENT(options),
       ARGUMENT(values));
}

CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
                        unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared,
                        CUstream stream, void **parameters, void **extra) {
  TOLD("cuLaunchKernel", CUDA_ERROR_NO_DEVICE, 11, ARGUMENT(function), ARGUMENT(grid_x), ARGUMENT(grid_y), ARGUMENT(grid_z),
       ARGUMENT(block_x), ARGUMENT(block_y), ARGUMENT(block_z), ARGUMENT(shared), ARGUMENT(stream), ARGUMENT(parameters),
       ARGUMENT(extra));
}

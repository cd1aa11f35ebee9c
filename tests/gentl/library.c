/* The library, its one system and its one interface. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "producer.h"

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed;
struct device devices[DEVICES];
struct shared *shared;

static struct shared own;
static bool loaded;
static struct module the_system = {MAGIC, SYSTEM, NULL}, the_interface = {MAGIC, INTERFACE, NULL};
static struct device *listed[DEVICES];
static uint32_t listed_count;

struct module *module_of(void *handle, enum kind kind) {
    struct module *module = handle;
    return module && module->magic == MAGIC && module->kind == kind ? module : NULL;
}

static struct shared *open_shared(void) {
    const char *path = getenv("RTFACE_TEST_GENTL_STATE");
    if (!path || !*path) {
        memset(&own, 0, sizeof own);
        return &own;
    }
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return NULL;
    void *memory = MAP_FAILED;
    if (!ftruncate(file, sizeof own))
        memory = mmap(NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return memory == MAP_FAILED ? NULL : memory;
}

/* What no library should do: standard output belongs to the program. */
static void chat(const char *what) {
    if (!getenv("RTFACE_TEST_GENTL_CHATTY")) return;
    printf("GenTL \xb5Vision %s", what);
    fflush(stdout);
}

GC_API GCInitLib(void) {
    if (loaded) return failed(GC_ERR_RESOURCE_IN_USE, "the library is in use in this process");
    shared = open_shared();
    if (!shared) return failed(GC_ERR_IO, "RTFACE_TEST_GENTL_STATE names no file that can be used");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (int number = 0; number < DEVICES; number++) power_up(&devices[number], number);
    listed_count = 0;
    loaded = true;
    chat("opened");
    return GC_ERR_SUCCESS;
}

GC_API GCCloseLib(void) {
    if (!loaded) return failed(GC_ERR_NOT_INITIALIZED, "the library is not in use");
    for (int number = 0; number < DEVICES; number++) shut(&devices[number]);
    if (shared != &own) munmap(shared, sizeof own);
    loaded = false;
    chat("closed");
    return GC_ERR_SUCCESS;
}

static int32_t system_info(int32_t what, int32_t *type, void *out, size_t *size) {
    switch (what) {
        case TL_INFO_ID: return give_text("rtface-test-gentl", type, out, size);
        case TL_INFO_VENDOR: return give_text("rtface", type, out, size);
        case TL_INFO_MODEL: return give_text("Test producer", type, out, size);
        case TL_INFO_VERSION: return give_text("1.0", type, out, size);
        case TL_INFO_TLTYPE: return give_text("Mixed", type, out, size);
        case TL_INFO_NAME:
        case TL_INFO_PATHNAME: return give_text("testgentl.cti", type, out, size);
        case TL_INFO_DISPLAYNAME: return give_text("rtface's simulated cameras", type, out, size);
        case TL_INFO_CHAR_ENCODING: return give_i32(1, type, out, size);
        case TL_INFO_GENTL_VER_MAJOR: return give_u32(1, type, out, size);
        case TL_INFO_GENTL_VER_MINOR: return give_u32(6, type, out, size);
    }
    return failed(GC_ERR_NOT_IMPLEMENTED, "the system does not tell that");
}

GC_API GCGetInfo(int32_t what, int32_t *type, void *out, size_t *size) { return system_info(what, type, out, size); }

GC_API TLOpen(void **handle) {
    if (!loaded) return failed(GC_ERR_NOT_INITIALIZED, "GCInitLib was not called");
    *handle = &the_system;
    return GC_ERR_SUCCESS;
}

GC_API TLClose(void *handle) {
    return module_of(handle, SYSTEM) ? GC_ERR_SUCCESS : failed(GC_ERR_INVALID_HANDLE, "no system");
}

GC_API TLGetInfo(void *handle, int32_t what, int32_t *type, void *out, size_t *size) {
    if (!module_of(handle, SYSTEM)) return failed(GC_ERR_INVALID_HANDLE, "no system");
    return system_info(what, type, out, size);
}

GC_API TLGetNumInterfaces(void *handle, uint32_t *number) {
    if (!module_of(handle, SYSTEM)) return failed(GC_ERR_INVALID_HANDLE, "no system");
    *number = 1;
    return GC_ERR_SUCCESS;
}

GC_API TLGetInterfaceID(void *handle, uint32_t index, char *id, size_t *size) {
    if (!module_of(handle, SYSTEM)) return failed(GC_ERR_INVALID_HANDLE, "no system");
    if (index) return failed(GC_ERR_INVALID_INDEX, "there is one interface");
    return give_text("interface", NULL, id, size);
}

static int32_t interface_info(int32_t what, int32_t *type, void *out, size_t *size) {
    switch (what) {
        case INTERFACE_INFO_ID: return give_text("interface", type, out, size);
        case INTERFACE_INFO_DISPLAYNAME: return give_text("The only interface", type, out, size);
        case INTERFACE_INFO_TLTYPE: return give_text("Custom", type, out, size);
    }
    return failed(GC_ERR_NOT_IMPLEMENTED, "the interface does not tell that");
}

GC_API TLGetInterfaceInfo(void *handle, const char *id, int32_t what, int32_t *type, void *out, size_t *size) {
    if (!module_of(handle, SYSTEM)) return failed(GC_ERR_INVALID_HANDLE, "no system");
    if (!id || strcmp(id, "interface")) return failed(GC_ERR_INVALID_ID, "there is one interface");
    return interface_info(what, type, out, size);
}

GC_API TLOpenInterface(void *handle, const char *id, void **interface) {
    if (!module_of(handle, SYSTEM)) return failed(GC_ERR_INVALID_HANDLE, "no system");
    if (!id || strcmp(id, "interface")) return failed(GC_ERR_INVALID_ID, "there is one interface");
    *interface = &the_interface;
    return GC_ERR_SUCCESS;
}

GC_API TLUpdateInterfaceList(void *handle, uint8_t *has_changed, uint64_t timeout_ms) {
    (void)timeout_ms;
    if (!module_of(handle, SYSTEM)) return failed(GC_ERR_INVALID_HANDLE, "no system");
    if (has_changed) *has_changed = 1;
    return GC_ERR_SUCCESS;
}

GC_API IFClose(void *handle) {
    return module_of(handle, INTERFACE) ? GC_ERR_SUCCESS : failed(GC_ERR_INVALID_HANDLE, "no interface");
}

GC_API IFGetInfo(void *handle, int32_t what, int32_t *type, void *out, size_t *size) {
    if (!module_of(handle, INTERFACE)) return failed(GC_ERR_INVALID_HANDLE, "no interface");
    return interface_info(what, type, out, size);
}

GC_API IFGetParentTL(void *handle, void **parent) {
    if (!module_of(handle, INTERFACE)) return failed(GC_ERR_INVALID_HANDLE, "no interface");
    *parent = &the_system;
    return GC_ERR_SUCCESS;
}

GC_API IFUpdateDeviceList(void *handle, uint8_t *has_changed, uint64_t timeout_ms) {
    (void)timeout_ms;
    if (!module_of(handle, INTERFACE)) return failed(GC_ERR_INVALID_HANDLE, "no interface");
    const char *ms = getenv("RTFACE_TEST_GENTL_LIST_HANG_MS");
    if (ms) sleep_ms(atoll(ms));
    listed_count = 0;
    for (int number = 0; number < DEVICES; number++)
        if (present(&devices[number])) listed[listed_count++] = &devices[number];
    if (has_changed) *has_changed = 1;
    return GC_ERR_SUCCESS;
}

GC_API IFGetNumDevices(void *handle, uint32_t *number) {
    if (!module_of(handle, INTERFACE)) return failed(GC_ERR_INVALID_HANDLE, "no interface");
    *number = listed_count;
    return GC_ERR_SUCCESS;
}

GC_API IFGetDeviceID(void *handle, uint32_t index, char *id, size_t *size) {
    if (!module_of(handle, INTERFACE)) return failed(GC_ERR_INVALID_HANDLE, "no interface");
    if (index >= listed_count) return failed(GC_ERR_INVALID_INDEX, "there are not so many devices");
    return give_text(listed[index]->serial, NULL, id, size);
}

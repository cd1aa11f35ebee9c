/* Ports: a camera's registers, its driver's stream's, and the descriptions of both. */
#include <stdio.h>
#include <string.h>

#define WITH_DESCRIPTIONS
#include "producer.h"

struct port { union value *registers; int count; const char *name, *module, *xml; size_t xml_size; };

static bool port_of(void *handle, struct port *port) {
    struct module *module;
    if ((module = module_of(handle, REMOTE_DEVICE)))
        *port = (struct port){module->device->registers, R_COUNT, "Device", "Device", R_XML, sizeof R_XML - 1};
    else if ((module = module_of(handle, STREAM)))
        *port = (struct port){
            module->device->stream.registers, S_COUNT, "StreamPort", "TLDataStream", S_XML, sizeof S_XML - 1};
    else
        return false;
    return true;
}

static struct device *device_of(void *handle) { return ((struct module *)handle)->device; }

static bool is_module(void *handle) {
    struct module *module = handle;
    return module && module->magic == MAGIC;
}

static void refresh(void *handle) {
    struct device *device = device_of(handle);
    before_reading(device);
    device->stream.registers[S_StreamInputBufferCount].i = count(&device->stream, INPUT);
}

static int32_t read_port(void *handle, const struct port *port, uint64_t address, void *out, size_t size) {
    struct device *device = device_of(handle);
    const char *const texts[TEXTS] = {"rtface", "Simulated", device->serial, "1.0"};
    char text[TEXT_SIZE] = {0};
    const char *from;
    uint64_t first, room;
    if (address >= XML_AT) {
        from = port->xml, first = XML_AT, room = port->xml_size;
    } else if (address >= TEXTS_AT) {
        size_t which = (address - TEXTS_AT) / TEXT_SIZE;
        if (which >= TEXTS) return failed(GC_ERR_INVALID_ADDRESS, "nothing is there");
        snprintf(text, sizeof text, "%s", texts[which]);
        from = text, first = TEXTS_AT + which * TEXT_SIZE, room = TEXT_SIZE;
    } else {
        if (address < REGISTERS_AT) return failed(GC_ERR_INVALID_ADDRESS, "nothing is there");
        refresh(handle);
        from = (const char *)port->registers, first = REGISTERS_AT, room = (uint64_t)port->count * 8;
    }
    if (address - first + size > room) return failed(GC_ERR_INVALID_ADDRESS, "nothing is there");
    memcpy(out, from + (address - first), size);
    return GC_ERR_SUCCESS;
}

static int32_t write_port(void *handle, const struct port *port, uint64_t address, const void *in, size_t size) {
    uint64_t offset = address - REGISTERS_AT;
    if (address < REGISTERS_AT || offset % 8 || size != 8 || offset / 8 >= (uint64_t)port->count)
        return failed(GC_ERR_INVALID_ADDRESS, "no register of 8 bytes is there");
    memcpy(&port->registers[offset / 8], in, 8);
    if (module_of(handle, REMOTE_DEVICE)) after_writing(device_of(handle), (int)(offset / 8));
    pthread_cond_broadcast(&changed);
    return GC_ERR_SUCCESS;
}

static int32_t access_port(void *handle, struct port *port) {
    if (!is_module(handle)) return failed(GC_ERR_INVALID_HANDLE, "no module");
    if (!port_of(handle, port)) return failed(GC_ERR_NOT_IMPLEMENTED, "the module has no registers");
    if (device_of(handle)->dead) return failed(GC_ERR_IO, "the device is gone");
    return GC_ERR_SUCCESS;
}

GC_API GCReadPort(void *handle, uint64_t address, void *out, size_t *size) {
    struct port port;
    int32_t code = access_port(handle, &port);
    if (code) return code;
    pthread_mutex_lock(&lock);
    code = read_port(handle, &port, address, out, *size);
    pthread_mutex_unlock(&lock);
    return code;
}

GC_API GCWritePort(void *handle, uint64_t address, const void *in, size_t *size) {
    struct port port;
    int32_t code = access_port(handle, &port);
    if (code) return code;
    pthread_mutex_lock(&lock);
    code = write_port(handle, &port, address, in, *size);
    pthread_mutex_unlock(&lock);
    return code;
}

GC_API GCReadPortStacked(void *handle, struct port_entry *entries, size_t *number) {
    for (size_t i = 0; i < *number; i++) {
        size_t size = entries[i].size;
        int32_t code = GCReadPort(handle, entries[i].address, entries[i].memory, &size);
        if (code) return *number = i, code;
    }
    return GC_ERR_SUCCESS;
}

GC_API GCWritePortStacked(void *handle, struct port_entry *entries, size_t *number) {
    for (size_t i = 0; i < *number; i++) {
        size_t size = entries[i].size;
        int32_t code = GCWritePort(handle, entries[i].address, entries[i].memory, &size);
        if (code) return *number = i, code;
    }
    return GC_ERR_SUCCESS;
}

GC_API GCGetPortInfo(void *handle, int32_t what, int32_t *type, void *out, size_t *size) {
    struct port port = {NULL, 0, "none", "none", NULL, 0};
    if (!is_module(handle)) return failed(GC_ERR_INVALID_HANDLE, "no module");
    bool has = port_of(handle, &port);
    switch (what) {
        case PORT_INFO_ID: return give_text(has ? device_of(handle)->serial : "module", type, out, size);
        case PORT_INFO_VENDOR: return give_text("rtface", type, out, size);
        case PORT_INFO_MODEL: return give_text("Simulated", type, out, size);
        case PORT_INFO_TLTYPE: return give_text(has ? device_of(handle)->type : "Custom", type, out, size);
        case PORT_INFO_MODULE: return give_text(port.module, type, out, size);
        case PORT_INFO_LITTLE_ENDIAN:
        case PORT_INFO_ACCESS_READ:
        case PORT_INFO_ACCESS_WRITE: return give_bool(true, type, out, size);
        case PORT_INFO_BIG_ENDIAN:
        case PORT_INFO_ACCESS_NA:
        case PORT_INFO_ACCESS_NI: return give_bool(false, type, out, size);
        case PORT_INFO_VERSION: return give_text("1.0", type, out, size);
        case PORT_INFO_PORTNAME: return give_text(port.name, type, out, size);
    }
    return failed(GC_ERR_NOT_IMPLEMENTED, "the port does not tell that");
}

GC_API GCGetNumPortURLs(void *handle, uint32_t *number) {
    struct port port;
    if (!is_module(handle)) return failed(GC_ERR_INVALID_HANDLE, "no module");
    if (!port_of(handle, &port)) return failed(GC_ERR_NOT_AVAILABLE, "the module has no description");
    *number = 1;
    return GC_ERR_SUCCESS;
}

GC_API GCGetPortURLInfo(void *handle, uint32_t index, int32_t what, int32_t *type, void *out, size_t *size) {
    struct port port;
    char url[128], file[64];
    if (!is_module(handle)) return failed(GC_ERR_INVALID_HANDLE, "no module");
    if (!port_of(handle, &port)) return failed(GC_ERR_NOT_AVAILABLE, "the module has no description");
    if (index) return failed(GC_ERR_INVALID_INDEX, "there is one description");
    snprintf(file, sizeof file, "rtface_test_%s.xml", port.name);
    snprintf(url, sizeof url, "local:%s;%x;%zx", file, XML_AT, port.xml_size);
    switch (what) {
        case URL_INFO_URL: return give_text(url, type, out, size);
        case URL_INFO_SCHEMA_VER_MAJOR:
        case URL_INFO_SCHEMA_VER_MINOR:
        case URL_INFO_FILE_VER_MAJOR: return give_i32(1, type, out, size);
        case URL_INFO_FILE_VER_MINOR:
        case URL_INFO_FILE_VER_SUBMINOR: return give_i32(0, type, out, size);
        case URL_INFO_FILE_REGISTER_ADDRESS: return give_u64(XML_AT, type, out, size);
        case URL_INFO_FILE_SIZE: return give_u64(port.xml_size, type, out, size);
        case URL_INFO_SCHEME: return give_i32(0, type, out, size);
        case URL_INFO_FILENAME: return give_text(file, type, out, size);
    }
    return failed(GC_ERR_NOT_AVAILABLE, "the description does not tell that");
}

GC_API GCGetPortURL(void *handle, char *url, size_t *size) {
    return GCGetPortURLInfo(handle, 0, URL_INFO_URL, NULL, url, size);
}

#include "crc.h"

#include <util/crc16.h>

uint16_t crc16(const void *data, uint8_t length)
{
    const uint8_t *byte = data;
    uint16_t crc = 0xFFFF;
    while (length--)
        crc = _crc_xmodem_update(crc, *byte++);
    return crc;
}

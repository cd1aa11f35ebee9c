/* CRC-16, polynomial 0x1021, initial value 0xFFFF, most significant bit first. */
#ifndef CRC_H
#define CRC_H

#include <stdint.h>

uint16_t crc16(const void *data, uint8_t length);

#endif

/* The picture: a number of 16 bits for each sensor pixel, frame and colour, and the formats that carry it. */
#include <string.h>

#include "producer.h"

enum { LONGEST_LINE = 16384 };

static uint16_t light(int64_t x, int64_t y, int64_t number, int colour) {
    return (uint16_t)(x * 2521 + y * 4093 + number * 911 + colour * 20011);
}

int bits_per_pixel(int64_t format) { return (int)(format >> 16 & 0xff); }

size_t line_bytes(const struct device *device, int64_t width) {
    return (size_t)(width * bits_per_pixel(INT(device, PixelFormat)) / 8 + INT(device, FaultPaddingX));
}

static void put_16(uint8_t *out, int at, uint16_t value) {
    out[2 * at] = (uint8_t)value;
    out[2 * at + 1] = (uint8_t)(value >> 8);
}

/* Pixels of a few bits one behind the other, lowest bits first. */
static void put_bits(uint8_t *out, int at, int bits, uint16_t value) {
    for (int bit = 0; bit < bits; bit++) {
        int place = at * bits + bit;
        if (value >> bit & 1) out[place / 8] |= (uint8_t)(1 << place % 8);
    }
}

/* GigE Vision's own packing: two pixels in three bytes, the middle one with the low bits of both. */
static void put_12packed(uint8_t *out, int at, uint16_t value) {
    uint8_t *three = out + at / 2 * 3;
    three[at % 2 ? 2 : 0] = (uint8_t)(value >> 4);
    three[1] |= (uint8_t)((value & 15) << (at % 2 ? 4 : 0));
}

/* Colour of a pixel of a mosaic: 0 red, 1 green, 2 blue. */
static int mosaic(int64_t format, int64_t column, int64_t row) {
    static const int first[4][4] = {{1, 0, 2, 1}, {0, 1, 1, 2}, {1, 2, 0, 1}, {2, 1, 1, 0}};
    return first[format - R_PixelFormat_BayerGR8][row % 2 * 2 + column % 2];
}

static void put(uint8_t *line, int64_t format, int column, int64_t row, int64_t x, int64_t y, int64_t number) {
    uint16_t gray = light(x, y, number, 0);
    switch (format) {
        case R_PixelFormat_Mono8: line[column] = (uint8_t)(gray >> 8); break;
        case R_PixelFormat_Mono10: put_16(line, column, gray >> 6); break;
        case R_PixelFormat_Mono12: put_16(line, column, gray >> 4); break;
        case R_PixelFormat_Mono14: put_16(line, column, gray >> 2); break;
        case R_PixelFormat_Mono16: put_16(line, column, gray); break;
        case R_PixelFormat_Mono10p: put_bits(line, column, 10, gray >> 6); break;
        case R_PixelFormat_Mono12p: put_bits(line, column, 12, gray >> 4); break;
        case R_PixelFormat_Mono12Packed: put_12packed(line, column, gray >> 4); break;
        case R_PixelFormat_RGB8:
        case R_PixelFormat_BGR8:
            for (int colour = 0; colour < 3; colour++) {
                int place = format == R_PixelFormat_RGB8 ? colour : 2 - colour;
                line[3 * column + place] = (uint8_t)(light(x, y, number, colour) >> 8);
            }
            break;
        default: line[column] = (uint8_t)(light(x, y, number, mosaic(format, column, row)) >> 8);
    }
}

void draw(const struct device *device, const struct frame *frame, uint8_t *out, size_t room) {
    size_t bytes = (size_t)frame->line_bytes;
    for (int64_t row = 0; row < frame->height && room; row++) {
        uint8_t line[LONGEST_LINE] = {0};
        int64_t y = (frame->top + row) * INT(device, BinningVertical);
        for (int column = 0; column < frame->width; column++)
            put(line, frame->format, column, row, (frame->left + column) * INT(device, BinningHorizontal), y,
                frame->number);
        memset(line + bytes - INT(device, FaultPaddingX), 0xaa, (size_t)INT(device, FaultPaddingX));
        size_t some = bytes < room ? bytes : room;
        memcpy(out, line, some);
        out += some;
        room -= some;
    }
}

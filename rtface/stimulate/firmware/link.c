#include "link.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <string.h>

#include "clock.h"
#include "crc.h"
#include "light.h"
#include "protocol.h"

#ifndef BAUD
#define BAUD 1000000UL
#endif
_Static_assert(F_CPU % (16 * BAUD) == 0, "the baud rate must divide the clock");

#define HEADER 9
#define OLD_HEADER 3
#define CRC_BYTES 3

/* Rings of 256 bytes: their indices wrap by themselves. */
static volatile uint8_t in[256], in_head, in_tail;
static volatile uint8_t out[256], out_head, out_tail;
static volatile bool line_broke;

static uint8_t piece[MAX_FRAME], piece_size;
static bool piece_broken;
static uint32_t empty_ms;
static uint16_t unsent;

void link_start(void)
{
    UBRR0 = F_CPU / (16 * BAUD) - 1;
    UCSR0A = 0;
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
    UCSR0B = _BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0);
}

static inline __attribute__((always_inline)) void take_one(void)
{
    uint8_t errors = UCSR0A & (_BV(FE0) | _BV(DOR0));
    uint8_t byte = UDR0;
    uint8_t next = in_head + 1;
    if (errors || next == in_tail) {
        light_line_error();
        line_broke = true;
        if (next == in_tail)
            return;
    }
    in[in_head] = byte;
    in_head = next;
}

ISR(USART_RX_vect) { take_one(); }

void link_take(void)
{
    while (UCSR0A & _BV(RXC0))
        take_one();
}

ISR(USART_UDRE_vect)
{
    if (out_tail != out_head)
        UDR0 = out[out_tail++];
    if (out_tail == out_head)
        UCSR0B &= ~_BV(UDRIE0);
}

bool link_waiting(void) { return in_head != in_tail; }

uint16_t link_unsent(void) { return unsent; }

/* Undo COBS in place; false if it leads out of the frame. */
static bool unstuff(uint8_t *bytes, uint8_t size)
{
    for (uint8_t at = 0; at < size;) {
        uint8_t run = bytes[at];
        if (run == 0 || run > size - at)
            return false;
        bytes[at] = 0;
        at += run;
    }
    return true;
}

static enum received decode(struct frame *frame)
{
    if (piece_size < CRC_BYTES + 1 + OLD_HEADER)
        return RECEIVED_BAD_FRAME;
    uint8_t size = piece_size - CRC_BYTES;
    const uint8_t *check = piece + size;
    uint16_t crc = crc16(piece, size);
    if (check[0] != (0x80 | crc >> 14) || check[1] != (0x80 | (crc >> 7 & 0x7F)) ||
        check[2] != (0x80 | (crc & 0x7F)) || !unstuff(piece, size))
        return RECEIVED_BAD_FRAME;
    frame->type = piece[1];
    memcpy(&frame->seq, piece + 2, sizeof frame->seq);
    if (size == 1 + OLD_HEADER && frame->type == MSG_HELLO)
        return RECEIVED_OLD_HELLO;
    if (size < 1 + HEADER)
        return RECEIVED_BAD_FRAME;
    memcpy(&frame->nonce, piece + 6, sizeof frame->nonce);
    frame->size = size - 1 - HEADER;
    frame->payload = piece + 1 + HEADER;
    return RECEIVED_FRAME;
}

uint8_t link_age_ms(void)
{
    uint32_t age = clock_ms() - empty_ms;
    return age < UINT8_MAX ? age : UINT8_MAX;
}

enum received link_receive(struct frame *frame)
{
    if (in_tail == in_head)
        empty_ms = clock_ms();
    for (uint8_t left = MAX_FRAME; left > 0 && in_tail != in_head; left--) {
        uint8_t byte = in[in_tail];
        in_tail++;
        if (line_broke) {
            line_broke = false;
            piece_broken = true;
        }
        if (byte != 0) {
            if (piece_size < MAX_FRAME - 1)
                piece[piece_size++] = byte;
            else
                piece_broken = true;
            continue;
        }
        bool broken = piece_broken, empty = piece_size == 0;
        enum received result = broken ? RECEIVED_BAD_FRAME : decode(frame);
        piece_size = 0;
        piece_broken = false;
        if (broken || !empty)
            return result;
    }
    return RECEIVED_NOTHING;
}

static void send(const uint8_t *header, uint8_t header_size, const void *payload, uint8_t size)
{
    uint8_t frame[MAX_FRAME];
    uint8_t stuffed = 1 + header_size + size, total = stuffed + CRC_BYTES + 1;
    uint8_t room = out_tail - out_head - 1;
    if (total > room) {
        unsent++;
        return;
    }

    memcpy(frame + 1, header, header_size);
    memcpy(frame + 1 + header_size, payload, size);
    uint8_t run = 1;
    for (uint8_t at = stuffed; at-- > 0; run++)
        if (at == 0 || frame[at] == 0) {
            frame[at] = run;
            run = 0;
        }
    uint16_t crc = crc16(frame, stuffed);
    frame[stuffed] = 0x80 | crc >> 14;
    frame[stuffed + 1] = 0x80 | (crc >> 7 & 0x7F);
    frame[stuffed + 2] = 0x80 | (crc & 0x7F);
    frame[stuffed + 3] = 0;

    uint8_t head = out_head;
    for (uint8_t at = 0; at < total; at++)
        out[head++] = frame[at];
    out_head = head;
    UCSR0B |= _BV(UDRIE0);
}

void link_send(uint8_t type, uint32_t seq, uint32_t nonce, const void *payload, uint8_t size)
{
    struct __attribute__((packed)) {
        uint8_t type;
        uint32_t seq, nonce;
    } header = {type, seq, nonce};
    _Static_assert(sizeof header == HEADER, "layout");
    send((const uint8_t *)&header, HEADER, payload, size);
}

void link_send_old(uint8_t type, uint16_t seq, const void *payload, uint8_t size)
{
    struct __attribute__((packed)) {
        uint8_t type;
        uint16_t seq;
    } header = {type, seq};
    _Static_assert(sizeof header == OLD_HEADER, "layout");
    send((const uint8_t *)&header, OLD_HEADER, payload, size);
}

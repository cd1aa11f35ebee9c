#include "nonce.h"

#include <avr/eeprom.h>
#include <avr/io.h>
#include <avr/wdt.h>
#include <stdbool.h>
#include <stddef.h>

#include "crc.h"
#include "journal.h"

#define KEY_AT ((void *)400)
#define CONVERSATIONS 255

extern uint8_t __heap_start;

struct key {
    uint32_t first, second;
    uint16_t crc;
};

static struct key key;
static uint32_t drawn_from;
static uint8_t drawn;

static uint16_t crc_of(const struct key *of) { return crc16(of, offsetof(struct key, crc)); }

static uint32_t stir(uint32_t pool, uint8_t byte) { return (pool ^ byte) * 16777619UL; }

/* What memory happens to hold, then the noise of the chip's thermometer against its other clock. */
static void draw(uint32_t pool[2])
{
    const uint8_t *end = (const uint8_t *)SP - 16;
    for (const uint8_t *at = &__heap_start; at < end; at++)
        pool[(uintptr_t)at & 1] = stir(pool[(uintptr_t)at & 1], *at);
    ADMUX = _BV(REFS1) | _BV(REFS0) | 8;
    for (uint8_t sample = 0; sample < 64; sample++) {
        ADCSRA = _BV(ADEN) | _BV(ADSC) | _BV(ADPS0);
        for (uint8_t patience = 255; patience && ADCSRA & _BV(ADSC); patience--)
            ;
        pool[sample & 1] = stir(pool[sample & 1], ADC ^ TCNT1L);
    }
    ADCSRA = 0;
}

void nonce_start(void)
{
    eeprom_read_block(&key, KEY_AT, sizeof key);
    if (key.crc != crc_of(&key)) {
        uint32_t pool[2] = {2166136261UL, 2166136261UL};
        draw(pool);
        key.first = pool[0];
        key.second = pool[1];
        key.crc = crc_of(&key);
        for (uint8_t at = 0; at < sizeof key; at++) {
            wdt_reset();
            eeprom_update_byte((uint8_t *)KEY_AT + at, ((const uint8_t *)&key)[at]);
        }
    }
}

/* Each step can be undone, so different counts give different nonces. */
static uint32_t scramble(uint32_t count)
{
    count = (count ^ key.first) * 0x9E3779B1UL;
    count ^= count >> 15;
    count *= 0x85EBCA77UL;
    count = (count ^ key.second) * 0xC2B2AE3DUL;
    return count ^ count >> 16;
}

uint32_t nonce_next(void)
{
    if (drawn_from != journal_number() && (drawn == 0 || drawn >= CONVERSATIONS)) {
        drawn_from = journal_number();
        drawn = 0;
    }
    while (drawn < CONVERSATIONS) {
        uint32_t nonce = scramble(drawn_from << 8 | drawn++);
        if (nonce != 0)
            return nonce;
    }
    journal_write(journal_pulses(), journal_dose_us());
    return 0;
}

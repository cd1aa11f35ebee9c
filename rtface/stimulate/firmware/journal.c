#include "journal.h"

#include <avr/eeprom.h>
#include <avr/wdt.h>
#include <stddef.h>
#include <string.h>

#include "crc.h"

#define FIRST_SLOT 512
#define SLOTS 31

struct record {
    uint32_t number, pulses, dose_us;
    uint16_t floor, crc;
};
_Static_assert(sizeof(struct record) == 16, "layout");

static struct record newest, wanted;
static enum journal_state found;
static uint8_t slot = SLOTS - 1, cell;
static bool writing;
static uint16_t floor_counter;

static uint8_t *address(uint8_t of) { return (uint8_t *)(FIRST_SLOT + of * sizeof(struct record)); }

static uint16_t crc_of(const struct record *record) { return crc16(record, offsetof(struct record, crc)); }

static bool read_slot(uint8_t of, struct record *into, bool *blank)
{
    *blank = true;
    eeprom_read_block(into, address(of), sizeof *into);
    for (uint8_t at = 0; at < sizeof *into; at++)
        if (((const uint8_t *)into)[at] != 0xFF)
            *blank = false;
    return into->crc == crc_of(into);
}

void journal_load(void)
{
    struct record record;
    bool blank, any = false, all_blank = true;

    for (uint8_t at = 0; at < SLOTS; at++) {
        bool valid = read_slot(at, &record, &blank);
        all_blank = all_blank && blank;
        if (valid && (!any || record.number > newest.number)) {
            any = true;
            newest = record;
            slot = at;
        }
    }
    if (any)
        found = read_slot((slot + 1) % SLOTS, &record, &blank) || blank ? JOURNAL_KNOWN : JOURNAL_TORN;
    else
        found = all_blank ? JOURNAL_BLANK : JOURNAL_DAMAGED;
    floor_counter = newest.floor;
}

enum journal_state journal_state(void) { return found; }

static void next(uint32_t pulses, uint32_t dose_us, uint8_t step)
{
    wanted = (struct record){
        .number = newest.number + step, .pulses = pulses, .dose_us = dose_us, .floor = floor_counter};
    wanted.crc = crc_of(&wanted);
    slot = (slot + 1) % SLOTS;
    cell = 0;
    writing = true;
}

void journal_write(uint32_t pulses, uint32_t dose_us)
{
    if (!writing)
        next(pulses, dose_us, 1);
}

bool journal_busy(void) { return writing; }

void journal_poll(void)
{
    struct record back;
    bool blank;

    if (!writing || !eeprom_is_ready())
        return;
    if (cell < sizeof wanted) {
        eeprom_update_byte(address(slot) + cell, ((const uint8_t *)&wanted)[cell]);
        cell++;
        return;
    }
    if (!read_slot(slot, &back, &blank) || memcmp(&back, &wanted, sizeof back)) {
        slot = (slot + 1) % SLOTS;
        cell = 0;
        return;
    }
    newest = wanted;
    writing = false;
}

/* Two steps on: the number of a record that was written and has rotted is not given again. */
void journal_begin(uint32_t pulses, uint32_t dose_us)
{
    next(pulses, dose_us, 2);
    while (writing) {
        wdt_reset();
        journal_poll();
    }
}

uint32_t journal_pulses(void) { return newest.pulses; }

uint32_t journal_dose_us(void) { return newest.dose_us; }

uint16_t journal_floor(void) { return floor_counter; }

void journal_raise_floor(uint16_t counter)
{
    if (counter > floor_counter)
        floor_counter = counter;
}

bool journal_has_floor(uint16_t counter) { return newest.floor >= counter; }

uint32_t journal_number(void) { return newest.number; }

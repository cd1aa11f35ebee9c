#include "clock.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <stdbool.h>
#include <util/atomic.h>

static volatile uint32_t overflows;
static volatile uint32_t milliseconds;

void clock_start(void)
{
    TCCR1A = 0;
    TCCR1B = _BV(CS11);
    TIMSK1 = _BV(TOIE1);

    TCCR0A = _BV(WGM01);
    OCR0A = F_CPU / 64 / 1000 - 1;
    TCCR0B = _BV(CS01) | _BV(CS00);
    TIMSK0 = _BV(OCIE0A);
}

ISR(TIMER1_OVF_vect) { overflows++; }

/* An overflow that has not been served yet counts, unless the counter was read before it. */
static bool laps_on(uint16_t counter) { return (TIFR1 & _BV(TOV1)) && counter < 0x8000; }

static uint32_t overflows_at(uint16_t counter) { return overflows + laps_on(counter); }

/* Read in each interrupt that matters, so without a shift, and of the overflows the lower half only. */
uint32_t clock_ticks_of_locked(uint16_t counter)
{
    union {
        struct {
            uint16_t counter, laps;
        };
        uint32_t ticks;
    } at = {{counter, *(volatile uint16_t *)&overflows}};
    if (laps_on(counter))
        at.laps++;
    return at.ticks;
}

uint32_t clock_ticks_locked(void) { return clock_ticks_of_locked(TCNT1); }

uint32_t clock_ticks(void)
{
    uint32_t now;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { now = clock_ticks_locked(); }
    return now;
}

static uint64_t long_ticks(void)
{
    uint16_t counter;
    uint32_t laps;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        counter = TCNT1;
        laps = overflows_at(counter);
    }
    return (uint64_t)laps << 16 | counter;
}

uint64_t clock_us(void) { return long_ticks() / TICKS_PER_US; }

uint64_t clock_us_of(uint32_t tick)
{
    uint64_t now = long_ticks();
    return (now - ((uint32_t)now - tick)) / TICKS_PER_US;
}

void clock_count_ms(void) { milliseconds++; }

uint32_t clock_ms(void)
{
    uint32_t now;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { now = milliseconds; }
    return now;
}

/* Time: timer 1 counts ticks of half a microsecond, timer 0 milliseconds; neither depends on the other. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define TICKS_PER_US 2UL

void clock_start(void);

/* Ticks since reset, wrapping after 35 minutes. For callers with interrupts off. */
uint32_t clock_ticks_locked(void);

/* The same for a value of TCNT1 that was read since interrupts went off. */
uint32_t clock_ticks_of_locked(uint16_t counter);
/* For all others. */
uint32_t clock_ticks(void);

uint64_t clock_us(void);

/* The time of a tick of the last 35 minutes. */
uint64_t clock_us_of(uint32_t tick);

/* Milliseconds since reset. */
uint32_t clock_ms(void);
void clock_count_ms(void);

/* True once `tick` has come; `tick` must lie within 17 minutes of now. */
static inline bool reached(uint32_t now, uint32_t tick) { return (int32_t)(now - tick) >= 0; }

#endif

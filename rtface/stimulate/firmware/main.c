/* The gate: everything that is done by turns. What may not wait is done by the interrupts of light.c. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <avr/wdt.h>

#include "clock.h"
#include "commands.h"
#include "light.h"
#include "limits.h"
#include "link.h"
#include "pulses.h"
#include "session.h"

/* Runs before memory is set up: the light is driven low, and the watchdog is on, whatever comes after. */
__attribute__((naked, used, section(".init3"))) static void first_of_all(void)
{
    PORTD = 0;
    DDRD = TTL_BIT | AMPLITUDE_BIT;
    GPIOR0 = MCUSR;
    MCUSR = 0;
    wdt_enable(WDTO_15MS);
}

/* An interrupt that nobody asked for: dark, then the watchdog's reset. */
ISR(BADISR_vect)
{
    PORTD = 0;
    TCCR2A = 0;
    for (;;)
        ;
}

static void start(void)
{
    uint8_t reset_cause = GPIOR0;

    clock_start();
    limits_load();
    session_start(reset_cause & _BV(PORF));
    light_rules(limits.deadman_ms, limits.arm_switch);
    light_start(session.latched_state);
    link_start();
    set_sleep_mode(SLEEP_MODE_IDLE);
    sei();
    commands_start(reset_cause);
}

static void report_change(void)
{
    if (!light_take_change())
        return;
    session_latch(light_state());
    pulses_report(KIND_STATE, light_reason(), 0, clock_us());
}

static void sleep_until_something_happens(void)
{
    cli();
    if (!link_waiting() && !light_attention()) {
        sleep_enable();
        sei();
        sleep_cpu();
        sleep_disable();
    }
    sei();
}

int main(void)
{
    start();
    for (;;) {
        if (light_take_tick())
            wdt_reset();
        pulses_poll();
        report_change();
        session_poll();
        if (limits_store()) {
            session_new_window();
            light_rules(limits.deadman_ms, limits.arm_switch);
            pulses_report(KIND_LIMITS_STORED, REASON_NONE, limits.counter, clock_us());
        }
        commands_poll();
        sleep_until_something_happens();
    }
}

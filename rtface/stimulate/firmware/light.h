/*
 * The light: its two pins, the state of the gate, and everything that ends a pulse.
 * The light is on in STATE_FIRING and in no other state.
 *
 * D7 (PD7) TTL: high = light. Needs an external pull-down: at reset the pin floats.
 * D3 (PD3) amplitude: PWM of 31.4 kHz, duty amplitude / 255; low whenever the TTL is low.
 * D4 (PD4) arm switch: closed to ground = on.
 * D5 (PD5) button: closed to ground = pressed.
 * D6 (PD6) photodiode: see photodiode.h.
 * D2 (PD2) emergency stop: closed to ground = run, open = stop.
 * D13 (PB5) the board's LED: steady = armed, blinking fast = stopped or fault, slowly = a hand is needed.
 */
#ifndef LIGHT_H
#define LIGHT_H

#include <avr/io.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

#define TTL_BIT _BV(PORTD7)
#define AMPLITUDE_BIT _BV(PORTD3)
#define SWITCH_BIT _BV(PIND4)
#define STOP_BIT _BV(PIND2)
#define BUTTON_BIT _BV(PIND5)
#define LED_BIT _BV(PORTB5)

enum gate_event {
    GATE_ARM,
    GATE_PULSE,
    GATE_ON_TIME_OVER,
    GATE_TRAIN_OVER,
    GATE_CANCEL,
    GATE_DISARM,
    GATE_STOP,
    GATE_CLEAR,
    GATE_FAIL,
    GATE_ACKNOWLEDGE,
    GATE_EVENT_COUNT,
};

struct pulse_end {
    uint32_t on_tick, off_tick;
    uint8_t reason;
};

/* What the next pulse is to be. */
struct light_order {
    uint32_t on_us;
    uint8_t amplitude;
    bool last;
};

/*
 * Begin disarmed, or stopped or failed if that was so before a reset that was no power-on. False if it was none and
 * what was so is not known any more.
 */
bool light_start(bool powered_on);

/* Apply an event; false if the state does not care for it. */
bool light_event(enum gate_event event, enum reason reason);

/* Switch the light on as ordered, at `tick` or at once if it has come; false if the state does not allow it. */
bool light_fire(const struct light_order *order, uint32_t tick);

/* True once the light that was ordered last has gone on. */
bool light_begun(void);

/* The amplitude first and last: it is never up without the TTL. */
static inline __attribute__((always_inline)) void light_dark(void)
{
    TCCR2A = 0;
    PORTD &= ~TTL_BIT;
}

/* From the receiver's interrupt: dark at once; the state follows at the next millisecond. Short, as it is inlined. */
extern volatile bool light_line_broke;
static inline __attribute__((always_inline)) void light_line_error(void)
{
    light_dark();
    light_line_broke = true;
}

enum state light_state(void);
enum reason light_reason(void);
uint8_t light_inputs(void);

/* True once for each pulse that has ended. */
bool light_take_end(struct pulse_end *end);

/* True once after the gate came to DISARMED, STOPPED or FAULT. */
bool light_take_change(void);

/* True while there is something to take. For callers with interrupts off. */
bool light_attention(void);

/* When the pulse under way, or the last one, began. */
uint32_t light_on_tick(void);

void light_rules(const struct limits *limits);

/* How long the button has been held with the arm switch in this position; it must have been up before. */
uint16_t light_held_ms(bool arm_switch_on);

/* The button counts again only when it has been up. */
void light_forget_hand(void);

/* Show that a hand at the device is waited for. */
void light_await_hand(bool waiting);

/* A sign of life that came so long ago. */
void light_heartbeat(uint8_t age_ms);

/* True if a millisecond has passed since the last call: the sign of life that the watchdog waits for. */
bool light_take_tick(void);

#endif

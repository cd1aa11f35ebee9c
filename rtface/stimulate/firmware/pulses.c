#include "pulses.h"

#include "clock.h"
#include "commands.h"
#include "light.h"
#include "limits.h"
#include "link.h"
#include "session.h"

/* How long before its time a pulse of a train is admitted: more than the main loop ever takes. */
#define LEAD_TICKS (2000 * TICKS_PER_US)

static struct pulse train;
static uint16_t left, had;
static uint32_t planned, due;
static bool running;

/* ORDERED: charged, and not seen to begin yet. BEGUN: its end was not seen yet. */
static enum { NO_PULSE, ORDERED, BEGUN } stage;

void pulses_report(enum kind kind, enum reason reason, uint32_t value, uint64_t time_us)
{
    static uint32_t seq;
    struct event event = {
        .kind = kind,
        .reason = reason,
        .state = light_state(),
        .pulse = session.pulses,
        .value = value,
        .time_us = time_us,
    };
    link_send(MSG_EVENT, seq++, commands_conversation(), &event, sizeof event);
}

static void report_beginning(void)
{
    if (stage != ORDERED || !light_begun())
        return;
    stage = BEGUN;
    pulses_report(KIND_PULSE_BEGAN, REASON_NONE, train.on_us, clock_us_of(light_on_tick()));
}

static void settle(void)
{
    struct pulse_end end;
    if (!light_take_end(&end))
        return;
    report_beginning();
    stage = NO_PULSE;
    uint32_t on_us = (end.off_tick - end.on_tick + TICKS_PER_US - 1) / TICKS_PER_US;
    session_settle(on_us, end.off_tick);
    had++;
    pulses_report(KIND_PULSE_ENDED, end.reason, on_us, clock_us_of(end.off_tick));

    uint32_t next = planned + train.period_us * TICKS_PER_US;
    uint32_t soonest = end.off_tick + 1 + limits.min_off_us * TICKS_PER_US; /* the edge is within the tick */
    due = reached(next, soonest) ? next : soonest;
}

static enum reason begin_one(uint32_t tick)
{
    enum reason refusal = session_refusal(train.on_us, train.amplitude, tick);
    if (refusal != REASON_NONE)
        return refusal;
    struct light_order order = {.on_us = train.on_us, .amplitude = train.amplitude, .last = left == 1};
    session_charge(train.on_us, train.amplitude);
    if (!light_fire(&order, tick)) {
        session_give_back();
        return REASON_WRONG_STATE;
    }
    left--;
    planned = tick;
    stage = ORDERED;
    return REASON_NONE;
}

enum reason pulses_begin(const struct pulse *wanted, uint32_t *number)
{
    settle();
    if (light_state() != STATE_ARMED || running)
        return REASON_WRONG_STATE;
    if (wanted->on_us < ABSOLUTE_MIN_ON_US || wanted->amplitude == 0 || wanted->count == 0)
        return REASON_BAD_VALUE;
    if (wanted->on_us > limits.max_on_us)
        return REASON_TOO_LONG;
    if (wanted->count == 1 ? wanted->period_us != 0
                           : wanted->period_us > ABSOLUTE_MAX_OFF_US ||
                                 wanted->period_us < wanted->on_us + limits.min_off_us)
        return REASON_BAD_VALUE;
    train = *wanted;
    left = wanted->count;
    had = 0;
    enum reason refusal = begin_one(clock_ticks());
    running = refusal == REASON_NONE;
    if (running)
        planned = light_on_tick();
    *number = session.pulses;
    return refusal;
}

void pulses_poll(void)
{
    report_beginning();
    settle();
    if (!running)
        return;
    if (light_state() == STATE_GAP && stage == NO_PULSE && reached(clock_ticks() + LEAD_TICKS, due)) {
        enum reason refusal = begin_one(due);
        if (refusal != REASON_NONE)
            light_event(GATE_CANCEL, refusal);
    }
    enum state state = light_state();
    if (state != STATE_FIRING && state != STATE_GAP) {
        report_beginning();
        settle();
        if (stage == ORDERED)
            session_give_back();
        stage = NO_PULSE;
        running = false;
        if (train.count > 1)
            pulses_report(KIND_TRAIN_ENDED, light_reason(), had, clock_us());
    }
}

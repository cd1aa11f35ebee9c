#include "commands.h"

#include <avr/pgmspace.h>
#include <string.h>

#include "clock.h"
#include "light.h"
#include "limits.h"
#include "link.h"
#include "nonce.h"
#include "photodiode.h"
#include "pulses.h"
#include "session.h"

#define FIRMWARE 0x0201
#ifndef BUILD
#define BUILD 0
#endif

enum duty {
    IN_ORDER, /* only in the conversation that the newest hello began, and once for each sequence number */
    ALWAYS,   /* makes the animal safer: carried out whenever it comes */
    QUESTION, /* answered by a message of its own */
};

static uint8_t cause_of_reset;
static uint32_t token __attribute__((section(".noinit")));
static bool token_valid, greeted;
static uint32_t newest_seq, conversation;
static uint16_t bad_frames;

/* The answer to the last command, in case it has to be given again. */
static struct {
    bool given;
    uint8_t type;
    uint32_t seq;
    struct ack answer;
} last;

static bool take_token(uint32_t given)
{
    bool right = token_valid && given == token;
    token_valid = false;
    return right;
}

static enum reason arm(uint32_t given)
{
    if (light_state() != STATE_DISARMED)
        return REASON_WRONG_STATE;
    if (!take_token(given))
        return REASON_BAD_TOKEN;
    if (limits_storing())
        return REASON_STORING;
    uint32_t counter = limits.counter;
    enum limits_source source = limits_load();
    if (limits.counter != counter)
        session_new_limits();
    if (source == LIMITS_SOURCE_LOST) {
        light_event(GATE_FAIL, REASON_LIMITS_LOST);
        return REASON_LIMITS_LOST;
    }
    if (source == LIMITS_SOURCE_NONE)
        return REASON_NO_LIMITS;
    light_rules(&limits);
    if (!(light_inputs() & INPUT_ARM_SWITCH_ON))
        return REASON_ARM_SWITCH;
    light_heartbeat(link_age_ms());
    return light_event(GATE_ARM, REASON_NONE) ? REASON_NONE : REASON_WRONG_STATE;
}

static enum reason clear(uint32_t given)
{
    if (light_state() != STATE_STOPPED)
        return REASON_WRONG_STATE;
    if (!take_token(given))
        return REASON_BAD_TOKEN;
    if (light_inputs() & INPUT_STOP_OPEN)
        return REASON_STOP_PIN;
    return light_event(GATE_CLEAR, REASON_NONE) ? REASON_NONE : REASON_WRONG_STATE;
}

/* While dark; also in the faults that new limits end: none can be read, or they name a photodiode that is broken. */
static bool limits_may_change(void)
{
    enum state state = light_state();
    enum reason reason = light_reason();
    return state == STATE_DISARMED ||
           (state == STATE_FAULT && (limits_where() == LIMITS_SOURCE_LOST || reason == REASON_LIGHT_UNCOMMANDED ||
                                     reason == REASON_LIGHT_MISSING));
}

static enum reason propose(const struct limits *wanted, uint32_t *value)
{
    uint16_t crc = 0;
    if (!limits_may_change())
        return REASON_WRONG_STATE;
    light_forget_hand();
    enum reason refusal = limits_propose(wanted, &crc);
    *value = crc;
    return refusal;
}

static enum reason commit(const struct commit_limits *wanted)
{
    bool hand = light_held_ms(true) >= ABSOLUTE_HAND_MS;
    return limits_may_change() ? limits_commit(wanted, hand) : REASON_WRONG_STATE;
}

static enum reason carry_out(const struct frame *frame, uint32_t *value)
{
    switch (frame->type) {
    case MSG_ARM:
        return arm(((const struct arm *)frame->payload)->token);
    case MSG_DISARM:
        light_event(GATE_DISARM, REASON_DISARMED_BY_HOST);
        return REASON_NONE;
    case MSG_STOP:
        light_event(GATE_STOP, REASON_STOPPED_BY_HOST);
        return REASON_NONE;
    case MSG_CLEAR:
        return clear(((const struct clear *)frame->payload)->token);
    case MSG_PULSE:
        return pulses_begin(frame->payload, value);
    case MSG_CANCEL:
        light_event(GATE_CANCEL, REASON_CANCELLED);
        return REASON_NONE;
    case MSG_PROPOSE_LIMITS:
        return propose(frame->payload, value);
    case MSG_COMMIT_LIMITS:
        return commit(frame->payload);
    }
    return REASON_BAD_VALUE;
}

/* To whoever asked, in their own conversation. */
static void send_answer(const struct frame *frame, struct ack *answer)
{
    link_send(answer->reason == REASON_NONE ? MSG_ACK : MSG_NAK, frame->seq, frame->nonce, answer, sizeof *answer);
}

static void refuse(const struct frame *frame, enum reason reason)
{
    struct ack answer = {
        .command = frame->type, .reason = reason, .state = light_state(), .time_us = clock_us()};
    send_answer(frame, &answer);
}

static uint8_t inputs(void) { return light_inputs() | (photodiode_lit() ? INPUT_LIGHT_SEEN : 0); }

static void send_welcome(uint32_t seq)
{
    token = token * 1664525UL + 1013904223UL + clock_ticks();
    token_valid = true;
    struct welcome welcome = {
        .protocol = PROTOCOL,
        .firmware = FIRMWARE,
        .build = BUILD,
        .reset_cause = cause_of_reset,
        .resets = session.resets,
        .state = light_state(),
        .inputs = inputs(),
        .limits_source = limits_where(),
        .device_id = limits.device_id,
        .token = token,
        .time_us = clock_us(),
    };
    link_send(MSG_WELCOME, seq, conversation, &welcome, sizeof welcome);
}

static void send_status(uint32_t seq)
{
    session_poll();
    struct status status = {
        .state = light_state(),
        .reason = light_reason(),
        .inputs = inputs(),
        .pulses = session.pulses,
        .dose_us = session.dose_us,
        .window_us = session.window_us,
        .bad_frames = bad_frames,
        .unsent = link_unsent(),
        .time_us = clock_us(),
    };
    link_send(MSG_STATUS, seq, conversation, &status, sizeof status);
}

static void answer_question(const struct frame *frame)
{
    switch (frame->type) {
    case MSG_HEARTBEAT:
        light_heartbeat(link_age_ms());
        send_status(frame->seq);
        break;
    case MSG_GET_STATUS:
        send_status(frame->seq);
        break;
    case MSG_GET_LIMITS:
        link_send(MSG_LIMITS, frame->seq, conversation, &limits, sizeof limits);
        break;
    }
}

/* While no nonce can be had there is no conversation, and no answer: the host greets again. */
static void greet(uint32_t seq)
{
    light_event(GATE_DISARM, REASON_NEW_HELLO);
    limits_forget_proposal();
    conversation = nonce_next();
    greeted = conversation != 0;
    if (!greeted)
        return;
    newest_seq = seq;
    last.given = false;
    send_welcome(seq);
}

static void dispatch(const struct frame *frame, enum duty duty)
{
    bool ours = greeted && frame->nonce == conversation;
    bool newer = ours && frame->seq > newest_seq;
    bool again = ours && last.given && last.seq == frame->seq && last.type == frame->type;

    if (duty != ALWAYS) {
        if (!greeted) {
            refuse(frame, REASON_NO_HELLO);
            return;
        }
        if (!ours) {
            refuse(frame, REASON_FOREIGN);
            return;
        }
        if (again) {
            last.answer.repeated = 1;
            send_answer(frame, &last.answer);
            return;
        }
        if (!newer) {
            refuse(frame, REASON_STALE);
            return;
        }
    }
    if (newer)
        newest_seq = frame->seq;
    if (duty == QUESTION) {
        answer_question(frame);
        return;
    }

    struct ack answer = {.command = frame->type, .repeated = again};
    answer.reason = carry_out(frame, &answer.value);
    answer.state = light_state();
    answer.time_us = clock_us();
    send_answer(frame, &answer);
    if (newer) {
        last.given = true;
        last.type = frame->type;
        last.seq = frame->seq;
        last.answer = answer;
    }
}

static bool known(const struct frame *frame, enum duty *duty)
{
    static const PROGMEM struct {
        uint8_t type, size, duty;
    } commands[] = {
        {MSG_HEARTBEAT, 0, QUESTION},
        {MSG_ARM, sizeof(struct arm), IN_ORDER},
        {MSG_DISARM, 0, ALWAYS},
        {MSG_STOP, 0, ALWAYS},
        {MSG_CLEAR, sizeof(struct clear), IN_ORDER},
        {MSG_PULSE, sizeof(struct pulse), IN_ORDER},
        {MSG_CANCEL, 0, ALWAYS},
        {MSG_GET_STATUS, 0, QUESTION},
        {MSG_GET_LIMITS, 0, QUESTION},
        {MSG_PROPOSE_LIMITS, sizeof(struct propose_limits), IN_ORDER},
        {MSG_COMMIT_LIMITS, sizeof(struct commit_limits), IN_ORDER},
    };
    for (uint8_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (pgm_read_byte(&commands[i].type) == frame->type) {
            *duty = pgm_read_byte(&commands[i].duty);
            return frame->size == pgm_read_byte(&commands[i].size);
        }
    return false;
}

static void take_bad_frame(void)
{
    light_event(GATE_DISARM, REASON_BAD_FRAME);
    bad_frames++;
    pulses_report(KIND_BAD_FRAME, REASON_BAD_FRAME, bad_frames, clock_us());
}

/* A host of the protocol before this one reads so much: that the gate has another. */
static void turn_away(uint16_t seq)
{
    struct welcome welcome = {.protocol = PROTOCOL, .firmware = FIRMWARE, .build = BUILD, .time_us = clock_us()};
    take_bad_frame();
    link_send_old(MSG_WELCOME, seq, &welcome, sizeof welcome);
}

uint32_t commands_conversation(void) { return greeted ? conversation : 0; }

void commands_start(uint8_t reset_cause)
{
    cause_of_reset = reset_cause;
    pulses_report(KIND_BOOT, REASON_NONE, reset_cause, clock_us());
}

void commands_poll(void)
{
    struct frame frame;
    enum duty duty;
    switch (link_receive(&frame)) {
    case RECEIVED_NOTHING:
        break;
    case RECEIVED_BAD_FRAME:
        take_bad_frame();
        break;
    case RECEIVED_OLD_HELLO:
        turn_away(frame.seq);
        break;
    case RECEIVED_FRAME:
        if (frame.type == MSG_HELLO && frame.size == 0)
            greet(frame.seq);
        else if (known(&frame, &duty))
            dispatch(&frame, duty);
        else
            take_bad_frame();
        break;
    }
}

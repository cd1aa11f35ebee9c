/* Keypoints of a running rtface, and its commands, in C99 and C++: one header over libzmq (4.x). No JSON or MessagePack needed.
 *
 * Needs a bridge of kind osc in the rig's file:  publish: {bridges: [{kind: osc}]}  or, without a rig:  rtface demo --bridges
 *
 *     rtface client;
 *     rtface_point point;
 *     if (rtface_open(&client, NULL, NULL)) { puts(client.error); return 1; }
 *     while (rtface_next(&client, &point, 1000) > 0)
 *         printf("%s %lld %g %g\n", point.name, (long long)point.frame_id, point.x, point.y);
 *     rtface_mark(&client, "Ada", "food");
 *     rtface_close(&client);
 *
 * Compile with -lzmq. One client belongs to one thread. All functions are static: include it where it is used.
 */
#ifndef RTFACE_H
#define RTFACE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#define RTFACE_POINTS "tcp://127.0.0.1:5574"
#define RTFACE_CONTROL "tcp://127.0.0.1:5571"
#define RTFACE_TOPIC "osc.1.point/"
#define RTFACE_PREFIX "/rtface/point/"
#define RTFACE_TAGS ",hffff"
#define RTFACE_NAME 128
#define RTFACE_TEXT 512
#define RTFACE_BODY 65536
#define RTFACE_ANSWER_MS 5000

#if defined(__GNUC__)
#define RTFACE_FUNCTION __attribute__((unused)) static
#else
#define RTFACE_FUNCTION static
#endif

/* One keypoint of one frame. All of a frame come one after another, with the same frame_id, in the skeleton's order. */
typedef struct {
    char name[RTFACE_NAME]; /* of letters, digits and _: nose_tip for nose(tip) */
    int64_t frame_id;       /* the camera's number; a jump is a loss */
    float x, y;             /* pixels of the camera frame; NaN for one that was never trained */
    float score;            /* 0 to 1 */
    float age_ms;           /* from exposure until it was sent */
} rtface_point;

typedef struct {
    void *context, *points, *commands;
    char control[RTFACE_TEXT];
    char code[64];           /* of the last refusal, as in docs/wire.md; address_error where nobody answered */
    char error[RTFACE_TEXT]; /* why the last call failed */
    int64_t last_id;
} rtface;

RTFACE_FUNCTION int rtface_fail(rtface *client, const char *code, const char *why) {
    snprintf(client->code, sizeof client->code, "%s", code);
    snprintf(client->error, sizeof client->error, "%s", why);
    return -1;
}

/* Close; may be called any number of times. */
RTFACE_FUNCTION void rtface_close(rtface *client) {
    if (client->points) zmq_close(client->points);
    if (client->commands) zmq_close(client->commands);
    if (client->context) zmq_ctx_term(client->context);
    client->points = client->commands = client->context = NULL;
}

RTFACE_FUNCTION void *rtface_connected(rtface *client, int kind, const char *address) {
    int none = 0, answer = RTFACE_ANSWER_MS;
    void *found = zmq_socket(client->context, kind);
    if (!found) return NULL;
    zmq_setsockopt(found, ZMQ_LINGER, &none, sizeof none);
    if (kind == ZMQ_SUB) zmq_setsockopt(found, ZMQ_SUBSCRIBE, RTFACE_TOPIC, strlen(RTFACE_TOPIC));
    if (kind == ZMQ_REQ) zmq_setsockopt(found, ZMQ_RCVTIMEO, &answer, sizeof answer);
    if (zmq_connect(found, address)) {
        zmq_close(found);
        return NULL;
    }
    return found;
}

/* Connect; NULL is the usual address. 0, or -1 with client->error. */
RTFACE_FUNCTION int rtface_open(rtface *client, const char *points, const char *control) {
    memset(client, 0, sizeof *client);
    snprintf(client->control, sizeof client->control, "%s", control ? control : RTFACE_CONTROL);
    client->context = zmq_ctx_new();
    if (client->context) client->points = rtface_connected(client, ZMQ_SUB, points ? points : RTFACE_POINTS);
    if (client->points) return 0;
    rtface_fail(client, "address_error", zmq_strerror(zmq_errno()));
    rtface_close(client);
    return -1;
}

RTFACE_FUNCTION uint64_t rtface_big_endian(const unsigned char *at, int bytes) {
    uint64_t value = 0;
    for (int k = 0; k < bytes; k++) value = value << 8 | at[k];
    return value;
}

RTFACE_FUNCTION float rtface_float(const unsigned char *at) {
    uint32_t bits = (uint32_t)rtface_big_endian(at, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Read an OSC message of a keypoint; 0, or -1 where it is none. */
RTFACE_FUNCTION int rtface_parse(const unsigned char *body, size_t size, rtface_point *point) {
    const size_t prefix = strlen(RTFACE_PREFIX), numbers = 8 + 4 * 4;
    const unsigned char *end = (const unsigned char *)memchr(body, 0, size);
    if (!end || (size_t)(end - body) <= prefix || memcmp(body, RTFACE_PREFIX, prefix)) return -1;
    size_t length = (size_t)(end - body), at = length + 4 - length % 4;
    if (length - prefix >= RTFACE_NAME || size != at + 8 + numbers || memcmp(body + at, RTFACE_TAGS "\0", 8)) return -1;
    memcpy(point->name, body + prefix, length - prefix + 1);
    at += 8;
    point->frame_id = (int64_t)rtface_big_endian(body + at, 8);
    point->x = rtface_float(body + at + 8);
    point->y = rtface_float(body + at + 12);
    point->score = rtface_float(body + at + 16);
    point->age_ms = rtface_float(body + at + 20);
    return 0;
}

/* Wait for the next keypoint: 1, 0 when none came in time, -1 with client->error. */
RTFACE_FUNCTION int rtface_next(rtface *client, rtface_point *point, int timeout_ms) {
    unsigned char topic[64], body[1024];
    int size, more = 0;
    size_t more_size = sizeof more;
    zmq_setsockopt(client->points, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    if (zmq_recv(client->points, topic, sizeof topic, 0) < 0)
        return zmq_errno() == EAGAIN ? 0 : rtface_fail(client, "address_error", zmq_strerror(zmq_errno()));
    zmq_getsockopt(client->points, ZMQ_RCVMORE, &more, &more_size);
    if (!more) return rtface_fail(client, "wire_error", "a message of one part");
    size = zmq_recv(client->points, body, sizeof body, 0);
    if (size < 0 || (size_t)size > sizeof body || rtface_parse(body, (size_t)size, point))
        return rtface_fail(client, "wire_error", "a message that is no keypoint");
    return 1;
}

/* Write a text as JSON has it, quotes included; -1 where there is no room. */
RTFACE_FUNCTION int rtface_quoted(char *to, size_t room, const char *text) {
    size_t at = 0;
    if (room < 3) return -1;
    to[at++] = '"';
    for (; *text; text++) {
        unsigned char each = (unsigned char)*text;
        if (at + 8 > room) return -1;
        if (each < 0x20)
            at += (size_t)snprintf(to + at, room - at, "\\u%04x", each);
        else {
            if (each == '"' || each == '\\') to[at++] = '\\';
            to[at++] = (char)each;
        }
    }
    to[at++] = '"';
    to[at] = 0;
    return 0;
}

/* Copy the text of a key of a reply, as JSON has it; empty where it is not there. */
RTFACE_FUNCTION void rtface_text_of(const char *reply, const char *key, char *to, size_t room) {
    char quoted[80];
    size_t at = 0;
    const char *found;
    snprintf(quoted, sizeof quoted, "\"%s\":\"", key);
    found = strstr(reply, quoted);
    if (found)
        for (found += strlen(quoted); *found && *found != '"' && at + 1 < room; found++) {
            if (*found == '\\' && found[1]) found++;
            to[at++] = *found;
        }
    to[at] = 0;
}

/* Send any command of docs/wire.md, its arguments as a JSON object. 0, or -1 with client->code and client->error; the reply, up
 * to `room` bytes of it, is in `reply` unless that is NULL. */
RTFACE_FUNCTION int rtface_request(rtface *client, const char *op, const char *args, char *reply, size_t room) {
    char body[RTFACE_BODY], answer[RTFACE_BODY];
    char ok[64], code[64], why[RTFACE_TEXT];
    int size;
    if (!client->commands) client->commands = rtface_connected(client, ZMQ_REQ, client->control);
    if (!client->commands) return rtface_fail(client, "address_error", zmq_strerror(zmq_errno()));
    size = snprintf(body, sizeof body, "{\"v\":1,\"id\":%lld,\"op\":\"%s\",\"args\":%s}", (long long)++client->last_id, op, args);
    if (size < 0 || (size_t)size >= sizeof body) return rtface_fail(client, "wire_error", "the command is too long");
    size = zmq_send(client->commands, body, (size_t)size, 0);
    if (size >= 0) size = zmq_recv(client->commands, answer, sizeof answer - 1, 0);
    if (size < 0) {
        zmq_close(client->commands);
        client->commands = NULL;
        return rtface_fail(client, "address_error", "no answer; is rtface running there?");
    }
    answer[(size_t)size < sizeof answer ? (size_t)size : sizeof answer - 1] = 0;
    if (reply && room) snprintf(reply, room, "%s", answer);
    snprintf(ok, sizeof ok, "{\"v\":1,\"id\":%lld,\"ok\":true,", (long long)client->last_id);
    if (!strncmp(answer, ok, strlen(ok))) return 0;
    rtface_text_of(answer, "code", code, sizeof code);
    rtface_text_of(answer, "message", why, sizeof why);
    return rtface_fail(client, code[0] ? code : "wire_error", why[0] ? why : "the reply is none of rtface's");
}

/* Put a remark into the session's record, and out as an event. */
RTFACE_FUNCTION int rtface_mark(rtface *client, const char *who, const char *text) {
    char name[RTFACE_TEXT], remark[8192], args[9216];
    if (rtface_quoted(name, sizeof name, who) || rtface_quoted(remark, sizeof remark, text))
        return rtface_fail(client, "wire_error", "a text is too long");
    snprintf(args, sizeof args, "{\"who\":%s,\"text\":%s,\"details\":{}}", name, remark);
    return rtface_request(client, "mark", args, NULL, 0);
}

RTFACE_FUNCTION int rtface_by(rtface *client, const char *op, const char *who, const char *why) {
    char name[RTFACE_TEXT], reason[8192], args[9216];
    if (rtface_quoted(name, sizeof name, who) || rtface_quoted(reason, sizeof reason, why ? why : ""))
        return rtface_fail(client, "wire_error", "a text is too long");
    if (why)
        snprintf(args, sizeof args, "{\"who\":%s,\"why\":%s}", name, reason);
    else
        snprintf(args, sizeof args, "{\"who\":%s}", name);
    return rtface_request(client, op, args, NULL, 0);
}

/* Allow light; client->error says what the self-test found against it. */
RTFACE_FUNCTION int rtface_arm(rtface *client, const char *who) { return rtface_by(client, "arm", who, NULL); }

/* Light off, and no more of it until somebody arms. */
RTFACE_FUNCTION int rtface_disarm(rtface *client, const char *who, const char *why) {
    return rtface_by(client, "disarm", who, why ? why : "");
}

/* Light off, latched until it is cleared. */
RTFACE_FUNCTION int rtface_emergency_stop(rtface *client, const char *who) {
    return rtface_by(client, "emergency_stop", who, NULL);
}

#endif

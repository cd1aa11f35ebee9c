/* The serial line: bytes to frames and back. See rtface/stimulate/gate/framing.py for the form of a frame. */
#ifndef LINK_H
#define LINK_H

#include <stdbool.h>
#include <stdint.h>

struct frame {
    uint8_t type;
    uint32_t seq, nonce;
    uint8_t size;
    const void *payload;
};

/* RECEIVED_OLD_HELLO: the greeting of a host of the protocol before this one. */
enum received { RECEIVED_NOTHING, RECEIVED_FRAME, RECEIVED_BAD_FRAME, RECEIVED_OLD_HELLO };

void link_start(void);

/*
 * Take what has come, with interrupts off. The receiver holds two bytes, and a third until the fourth begins: whatever
 * keeps interrupts off for longer than 12 us calls this on its way, or bytes are lost.
 */
void link_take(void);

/* Take a bounded number of bytes, up to the end of the next piece; the payload is valid until the next call. */
enum received link_receive(struct frame *frame);

/* At most how long ago the piece that was taken last can have come: since then no queue was empty. */
uint8_t link_age_ms(void);

/* True while received bytes wait. For callers with interrupts off. */
bool link_waiting(void);

/* Queue a frame, whole or not at all; never waits. */
void link_send(uint8_t type, uint32_t seq, uint32_t nonce, const void *payload, uint8_t size);

/* The same in the form of the protocol before this one. */
void link_send_old(uint8_t type, uint16_t seq, const void *payload, uint8_t size);

/* Frames that were not sent because the queue was full. */
uint16_t link_unsent(void);

#endif

/* The serial line: 1 Mbaud, 8N1, with a byte's time between bytes; scripted, or behind a pseudo-terminal. */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stdint.h>

void wire_start(void);

/* A byte for the chip; with UART_INPUT_FE set, one whose stop bit is missing. */
void wire_enqueue(uint16_t value);

/* A reset drops what has not come in yet. */
void wire_drop(void);

/* The cable; without one nothing passes, and the port is not there. */
void wire_plug(bool in);

/* Make `path` a link to a pseudo-terminal. */
void wire_open(const char *path);
void wire_close(void);
int wire_descriptor(void);

/* Whether opening the port resets the chip. */
void wire_resets_on_open(bool resets);

/* Take what the host has written. */
void wire_take_bytes(void);

#endif

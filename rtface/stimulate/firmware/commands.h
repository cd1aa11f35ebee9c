/* Commands of the host and their answers. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include <stdint.h>

void commands_start(uint8_t reset_cause);

/* Take the next frame, if there is one, and carry it out. */
void commands_poll(void);

/* The nonce of what is under way; 0 before a greeting. */
uint32_t commands_conversation(void);

#endif

/*
 * The chip's receiver as its data sheet has it, in place of simavr's: two bytes are buffered, a third waits in the shift
 * register and is lost if the next one begins before there is room; RXC stays set, and its interrupt pending, until all
 * is read. simavr hands bytes over by a clock of its own instead, which is a tenth too slow and never catches up.
 */
#ifndef RECEIVER_H
#define RECEIVER_H

#include <stdbool.h>
#include <stdint.h>

void receiver_start(void);

/* A byte is complete: UART_INPUT_FE beside it if its stop bit is missing. */
void receiver_take(uint16_t value);

/* The next byte begins. True if the one in the shift register is lost by it. */
bool receiver_overruns(void);

/* Before each instruction. */
void receiver_run(void);

#endif

/*
 * Nonces: one for each conversation, in each of its frames. No two are alike, as each is the scrambled count of all
 * conversations, which the journal keeps; and none can be told from those before without the board's own key, which it
 * drew once from chance. A guard against bytes of before and of others, not against somebody who sets out to forge.
 */
#ifndef NONCE_H
#define NONCE_H

#include <stdint.h>

/* Read the key, or draw one. Before the memory that nobody has set is used. */
void nonce_start(void);

/* A new one; 0 while none can be had, as the journal is being written. */
uint32_t nonce_next(void);

#endif

/* SPDX-License-Identifier: MIT */
/* Where a thread is that a signal has interrupted, and what return addresses look like. */
#ifndef WEFTI_PLACE_H
#define WEFTI_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

static inline void wefti_place_of(const ucontext_t *context, uintptr_t *pc, uintptr_t *sp)
{
    *pc = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    *sp = (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
}

enum { WEFTI_CALL_LONGEST = 7 };

/* Whether the instruction that ends here is a call; `before` are the octets up to here. */
static inline bool wefti_place_after_call(const unsigned char before[WEFTI_CALL_LONGEST])
{
    static const unsigned lengths[] = {2, 3, 4, 6, 7}; /* of a call through a register or memory: FF /2 */
    const unsigned char *end = before + WEFTI_CALL_LONGEST;
    if (end[-5] == 0xe8)
        return true;
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
        if (end[-(int)lengths[i]] == 0xff && (end[1 - (int)lengths[i]] & 0x38) == 0x10)
            return true;
    return false;
}

#endif

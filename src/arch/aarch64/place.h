/* SPDX-License-Identifier: MIT */
/* Where a thread is that a signal has interrupted, and what return addresses look like. */
#ifndef WEFTI_PLACE_H
#define WEFTI_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

static inline void wefti_place_of(const ucontext_t *context, uintptr_t *pc, uintptr_t *sp)
{
    *pc = (uintptr_t)context->uc_mcontext.pc;
    *sp = (uintptr_t)context->uc_mcontext.sp;
}

enum { WEFTI_CALL_LONGEST = 4 };

/* Whether the instruction that ends here is a call (bl, blr); `before` are the octets up to here. */
static inline bool wefti_place_after_call(const unsigned char before[WEFTI_CALL_LONGEST])
{
    uint32_t instruction;
    memcpy(&instruction, before, sizeof(instruction));
    return (instruction & 0xfc000000) == 0x94000000 || (instruction & 0xfffffc1f) == 0xd63f0000;
}

#endif

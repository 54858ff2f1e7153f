/* SPDX-License-Identifier: MIT */
/*
 * Where the arena of a family of processes may lie: so many places, one after the other. Between where ThreadSanitizer wants its own memory
 * and the lowest address at which a position-independent program is loaded; free under AddressSanitizer and Valgrind too.
 */
#ifndef WEFTI_ADDRESS_H
#define WEFTI_ADDRESS_H

#define WEFTI_ARENA_FIRST UINT64_C(0x550000000000)
#define WEFTI_ARENA_STEP UINT64_C(0x1000000000)
#define WEFTI_ARENA_PLACES 5

#endif

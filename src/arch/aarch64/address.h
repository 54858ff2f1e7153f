/* SPDX-License-Identifier: MIT */
/*
 * Where the arena of a family of processes may lie: so many places, one after the other. With addresses of 48 bits, above
 * AddressSanitizer's shadow and below where programs are loaded.
 */
#ifndef WEFTI_ADDRESS_H
#define WEFTI_ADDRESS_H

#define WEFTI_ARENA_FIRST UINT64_C(0x300000000000)
#define WEFTI_ARENA_STEP UINT64_C(0x1000000000)
#define WEFTI_ARENA_PLACES 5

#endif

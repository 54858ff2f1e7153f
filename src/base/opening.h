/* SPDX-License-Identifier: MIT */
/*
 * What is done when the library is loaded. In a program that is linked with the static library, all constructors are the program's, in an
 * order that its linker chooses: a priority puts those of the library before every one that has none, floor by floor, so that the program's
 * own, and the constructors of its C++ objects, find Weft ready, and its exit handlers come before Weft's.
 */
#ifndef WEFTI_OPENING_H
#define WEFTI_OPENING_H

/* 101 is the first number that is not the compiler's own. */
#define WEFTI_OPENING_SHARED __attribute__((constructor(1000)))
#define WEFTI_OPENING_WAIT __attribute__((constructor(1001)))
#define WEFTI_OPENING_SYNC __attribute__((constructor(1002)))
#define WEFTI_OPENING_TASK __attribute__((constructor(1003)))
#define WEFTI_OPENING_POOL __attribute__((constructor(1004)))

#endif

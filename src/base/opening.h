/* SPDX-License-Identifier: MIT */
/*
 * What is done when the library is loaded. In a program that is linked with the static library, all constructors are the program's, in an
 * order that its linker chooses: a priority puts those of the library before every one that has none, floor by floor, so that the program's
 * own, and the constructors of its C++ objects, find Weft ready, and its exit handlers come before Weft's. And what is done at a fork.
 */
#ifndef WEFTI_OPENING_H
#define WEFTI_OPENING_H

/* 101 is the first number that is not the compiler's own. */
#define WEFTI_OPENING_SHARED __attribute__((constructor(1000)))
#define WEFTI_OPENING_WAIT __attribute__((constructor(1001)))
#define WEFTI_OPENING_SYNC __attribute__((constructor(1002)))
#define WEFTI_OPENING_TASK __attribute__((constructor(1003)))
#define WEFTI_OPENING_POOL __attribute__((constructor(1004)))

/*
 * What runs at a fork lies together: a child needs a page or two of the library for it, not one of each floor, and each that it needs is a
 * page fault, and fifteen pages around it to be taken down when it ends.
 */
#define WEFTI_FORKED __attribute__((cold))

#endif

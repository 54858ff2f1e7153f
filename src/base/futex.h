/* SPDX-License-Identifier: MIT */
/* The kernel's futex. */
#ifndef WEFTI_FUTEX_H
#define WEFTI_FUTEX_H

#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <weft/base.h>

static inline int wefti_futex_wait_as(const uint32_t *word, uint32_t expected, weft_time deadline, int flag)
{
    struct timespec until = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
    int saved = errno;
    long result = syscall(
        SYS_futex, word, FUTEX_WAIT_BITSET | flag, expected, deadline == WEFT_FOREVER ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    int error = result < 0 ? errno : 0;
    errno = saved;
    return error;
}

/*
 * Sleeps while *word == expected, until woken or the deadline. 0, or an errno number: EAGAIN (it differs), EINTR, ETIMEDOUT. Keeps errno.
 */
static inline int wefti_futex_wait(const uint32_t *word, uint32_t expected, weft_time deadline)
{
    return wefti_futex_wait_as(word, expected, deadline, FUTEX_PRIVATE_FLAG);
}

/* The same for a word that other processes wake. */
static inline int wefti_futex_wait_shared(const uint32_t *word, uint32_t expected, weft_time deadline)
{
    return wefti_futex_wait_as(word, expected, deadline, 0);
}

/* Wakes up to `count` threads that sleep on the word. The memory may be gone: only its address is used. Keeps errno. */
static inline void wefti_futex_wake(const uint32_t *word, uint32_t count)
{
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
    errno = saved;
}

/*
 * Sleeps until one of the words is woken or differs, or the deadline: which it was, or minus an errno number: EAGAIN (one differs), EINTR,
 * ETIMEDOUT. Keeps errno.
 */
static inline long wefti_futex_wait_any(const struct futex_waitv *words, unsigned count, weft_time deadline)
{
    struct timespec until = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
    int saved = errno;
    long result = syscall(SYS_futex_waitv, words, count, 0, deadline == WEFT_FOREVER ? NULL : &until, CLOCK_MONOTONIC);
    if (result < 0)
        result = -errno;
    errno = saved;
    return result;
}

/* wefti_futex_wake for a word on which other processes, or waiters that are not private, may sleep. How many it woke. */
static inline uint32_t wefti_futex_wake_shared(const uint32_t *word, uint32_t count)
{
    int saved = errno;
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, count > INT32_MAX ? INT32_MAX : count, NULL, NULL, 0);
    errno = saved;
    return woken > 0 ? (uint32_t)woken : 0;
}

#endif

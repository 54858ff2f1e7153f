/* SPDX-License-Identifier: MIT */
/*
 * Placement: which processors a task's thread may use, how nice it is, what the kernel calls it.
 *
 * A list of processors is what taskset --cpu-list and the kernel's own files have: "0-3,8,10-20:2". It is read when the task is made, so
 * that a mistake in it is told to who made it; the thread places itself before it does anything else (thread.c), so that what the kernel
 * refuses is told to who starts it.
 */

#include "task/placement.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include "base/memory.h"

enum {
    PROCESSORS_MOST = 1 << 20, /* the kernel's own bound is a hundredth of it; ours only keeps a slip of the pen from taking all memory */
    NICE_LEAST = -20,
    NICE_MOST = 19,
};

struct span {
    size_t first, last, step;
};

/* Digits at *text, which moves behind them. */
static bool number_read(const char **text, size_t *number)
{
    const char *at = *text;
    size_t read = 0;
    while (*at >= '0' && *at <= '9' && read < PROCESSORS_MOST)
        read = read * 10 + (size_t)(*at++ - '0');
    if (at == *text || read >= PROCESSORS_MOST)
        return false;
    *text = at;
    *number = read;
    return true;
}

/* "3", "0-3" or "0-31:2", at the end or before a comma, which is passed. */
static bool span_read(const char **text, struct span *span)
{
    span->step = 1;
    if (!number_read(text, &span->first))
        return false;
    span->last = span->first;
    if (**text == '-') {
        (*text)++;
        if (!number_read(text, &span->last) || span->last < span->first)
            return false;
        if (**text == ':') {
            (*text)++;
            if (!number_read(text, &span->step) || span->step == 0)
                return false;
        }
    }
    if (**text == ',')
        return *++*text != 0;
    return **text == 0;
}

/* The number after the highest in the list; 0 when it is no list. */
static size_t list_bound(const char *list)
{
    struct span span;
    size_t bound = 0;
    if (!*list)
        return 0;
    while (*list) {
        if (!span_read(&list, &span))
            return 0;
        bound = span.last + 1 > bound ? span.last + 1 : bound;
    }
    return bound;
}

bool wefti_placement_make(struct wefti_placement *placement, const char *cpus, int nice)
{
    *placement = (struct wefti_placement){.nice = nice};
    size_t bound = cpus ? list_bound(cpus) : 0;
    if ((cpus && bound == 0) || nice < NICE_LEAST - NICE_MOST || nice > NICE_MOST - NICE_LEAST) {
        errno = EINVAL;
        return false;
    }
    if (!cpus)
        return true;
    placement->size = CPU_ALLOC_SIZE(bound);
    if (!(placement->set = wefti_alloc(placement->size)))
        return false;
    struct span span;
    while (*cpus && span_read(&cpus, &span))
        for (size_t at = span.first; at <= span.last; at += span.step)
            CPU_SET_S(at, placement->size, placement->set);
    return true;
}

void wefti_placement_clear(struct wefti_placement *placement)
{
    wefti_release(placement->set);
    placement->set = NULL;
}

bool wefti_placement_any(const struct wefti_placement *placement)
{
    return placement->set || placement->nice != 0;
}

int wefti_placement_niceness(void)
{
    return getpriority(PRIO_PROCESS, 0); /* on Linux that of the calling thread, which is always there */
}

int wefti_placement_take(const struct wefti_placement *placement)
{
    if (placement->set && sched_setaffinity(0, placement->size, placement->set) != 0)
        return errno;
    if (placement->nice == 0)
        return 0;
    int nice = wefti_placement_niceness() + placement->nice;
    nice = nice < NICE_LEAST ? NICE_LEAST : nice > NICE_MOST ? NICE_MOST : nice;
    return setpriority(PRIO_PROCESS, 0, nice) == 0 ? 0 : errno;
}

void wefti_placement_name(const char *name, char cut[16])
{
    size_t length = strnlen(name, 16);
    if (length > 15) {
        length = 15;
        while (length > 12 && ((unsigned char)name[length] & 0xC0) == 0x80) /* what follows the cut belongs to what is before it */
            length--;
        if (((unsigned char)name[length] & 0xC0) == 0x80)
            length = 15; /* no UTF-8 */
    }
    memcpy(cut, name, length);
    cut[length] = 0;
}

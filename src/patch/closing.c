/* SPDX-License-Identifier: MIT */
/*
 * Who waits for which descriptor, so that close(), dup2() and their like can end it. The kernel would say nothing to them, and the
 * descriptor's number may be another's a moment later.
 *
 * Each wait has a record for each of its descriptors, on its stack (or in its block), in a list that the number hashes to, under a latch.
 * close() goes twice through the list: before the descriptor is closed it marks the records that are there, afterwards it tells those that
 * have the mark that it was closed. A record that comes in between waits for what was closed then, or for what the number means next:
 * nobody knows, so it is told to try again. One that comes later finds out by itself. Who is told leaves its event under the same latch,
 * which is then touched no more: so the event may lie on a stack.
 *
 * fork: the child forgets them all.
 */

#include "patch/patch.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/latch.h"
#include <weft/event.h>
#include <weft/io.h>
#include <weft/select.h>

enum { LISTS = 64, FEW = 3 };

struct record {
    struct record *next, *previous;
    weft_event *told; /* of its wait */
    int fd;
    bool marked, closed; /* under the latch */
};

static struct record_list {
    struct wefti_latch latch;
    struct record *first;
} record_lists[LISTS];
/* How many there are: who closes looks at that first, and again afterwards. A record is counted (a full barrier) before its wait asks the
 * kernel for the descriptor; it is closed before the second look (another): so one of the two finds out about the other. */
static uint32_t records_count;

static struct record_list *record_list_enter(int fd)
{
    struct record_list *list = &record_lists[(unsigned)fd % LISTS];
    wefti_patch_enter();
    wefti_latch_close(&list->latch);
    return list;
}

static void record_list_leave(struct record_list *list)
{
    wefti_latch_open(&list->latch);
    wefti_patch_leave();
}

static void record_add(struct record *record)
{
    __atomic_fetch_add(&records_count, 1, __ATOMIC_SEQ_CST);
    struct record_list *list = record_list_enter(record->fd);
    record->previous = NULL;
    record->next = list->first;
    if (list->first)
        list->first->previous = record;
    list->first = record;
    record_list_leave(list);
}

static void record_remove(struct record *record)
{
    struct record_list *list = record_list_enter(record->fd);
    *(record->previous ? &record->previous->next : &list->first) = record->next;
    if (record->next)
        record->next->previous = record->previous;
    record_list_leave(list);
    __atomic_fetch_sub(&records_count, 1, __ATOMIC_RELAXED);
}

/* Calls the function for the records of these descriptors, each list under its latch. */
static void records_each(int first, int last, void (*function)(struct record *record))
{
    int lists = last - first < LISTS - 1 ? last - first + 1 : LISTS;
    for (int i = 0; i < lists; i++) {
        struct record_list *list = record_list_enter(first + i);
        for (struct record *record = list->first; record; record = record->next)
            if (record->fd >= first && record->fd <= last)
                function(record);
        record_list_leave(list);
    }
}

static void record_mark(struct record *record)
{
    record->marked = true;
}

static void record_tell(struct record *record)
{
    record->closed |= record->marked;
    weft_event_set(record->told);
}

/* As select has it, where no coroutine can wait: the thread does. */
static int wait_blocked(const struct pollfd *fds, size_t count, weft_time deadline)
{
    struct timespec left = {0};
    weft_time now = weft_clock();
    if (deadline != WEFT_FOREVER && deadline > now)
        left = (struct timespec){.tv_sec = (deadline - now) / 1000000000, .tv_nsec = (deadline - now) % 1000000000};
    struct pollfd *copy = (struct pollfd *)(uintptr_t)fds; /* what it writes there the next look does, too */
    int ready = wefti_real()->ppoll(copy, count, deadline == WEFT_FOREVER ? NULL : &left, NULL);
    if (ready == 0)
        errno = ETIMEDOUT;
    return ready > 0 ? 0 : -1;
}

/* `cases` has room for one more than there are descriptors. */
static int wait_select(const struct pollfd *fds, size_t count, weft_time deadline, weft_case *cases, struct record *records)
{
    weft_event told = {0};
    cases[0] = weft_case_event(&told);
    for (size_t i = 0; i < count; i++) {
        cases[i + 1] = fds[i].fd < 0 ? (weft_case){0} : weft_case_descriptor(fds[i].fd, fds[i].events, NULL);
        records[i] = (struct record){.fd = fds[i].fd, .told = &told};
        if (fds[i].fd >= 0)
            record_add(&records[i]);
    }
    int done = weft_select(cases, count + 1, deadline);
    int error = errno;
    bool closed = false;
    for (size_t i = 0; i < count; i++)
        if (fds[i].fd >= 0) {
            record_remove(&records[i]);
            closed |= records[i].closed;
        }
    errno = done == 0 ? (closed ? EBADF : 0) : done > 0 ? cases[done].error : error;
    return done >= 0 && errno == 0 ? 0 : -1;
}

int wefti_patch_wait(const struct pollfd *fds, size_t count, weft_time deadline)
{
    weft_case few_cases[FEW + 1], *cases = few_cases;
    struct record few_records[FEW], *records = few_records;
    int error = errno;
    if (deadline <= WEFT_NOW) {
        errno = ETIMEDOUT;
        return -1;
    }
    char *block = count > FEW ? malloc((count + 1) * sizeof(*cases) + count * sizeof(*records)) : NULL;
    if (block) {
        cases = (weft_case *)(void *)block;
        records = (struct record *)(void *)(cases + count + 1);
    }
    int waited = count > FEW && !block ? -1 : wait_select(fds, count, deadline, cases, records);
    bool blocked = waited != 0 && (errno == ENOMEM || errno == EMFILE);
    if (blocked)
        waited = wait_blocked(fds, count, deadline);
    error = waited == 0 ? error : errno;
    free(block);
    errno = error;
    return waited;
}

/* What goes before descriptors are closed: Weft forgets what it knows of them, and those who wait for them are marked. True: whoever waits
 * is to be told afterwards, by closing_tell. */
static bool closing_begin(int first, int last)
{
    if (!__atomic_load_n(&wefti_patch_on, __ATOMIC_ACQUIRE) || first < 0 || last < first || !wefti_patch_here())
        return false;
    weft_closing(first, last);
    if (wefti_patch_inside)
        return false;
    if (__atomic_load_n(&records_count, __ATOMIC_RELAXED) > 0)
        records_each(first, last, record_mark);
    return true;
}

static void closing_tell(int first, int last)
{
    int error = errno;
    if (__atomic_fetch_add(&records_count, 0, __ATOMIC_SEQ_CST) > 0)
        records_each(first, last, record_tell);
    errno = error;
}

WEFT_API int close(int fd)
{
    bool tells = closing_begin(fd, fd);
    int closed = wefti_real()->close(fd);
    if (tells)
        closing_tell(fd, fd);
    return closed;
}

/* Where the call fails nothing was closed: who was marked is told nothing, and the mark does no harm until the descriptor is closed
 * indeed. */
WEFT_API int dup2(int from, int to)
{
    bool tells = from != to && closing_begin(to, to);
    int made = wefti_real()->dup2(from, to);
    if (tells && made >= 0)
        closing_tell(to, to);
    return made;
}

WEFT_API int dup3(int from, int to, int flags)
{
    bool tells = from != to && closing_begin(to, to);
    int made = wefti_real()->dup3(from, to, flags);
    if (tells && made >= 0)
        closing_tell(to, to);
    return made;
}

WEFT_API int close_range(unsigned first, unsigned last, int flags)
{
    int low = first < INT_MAX ? (int)first : INT_MAX, high = last < INT_MAX ? (int)last : INT_MAX;
    bool tells = flags == 0 && closing_begin(low, high);
    int closed = wefti_real()->close_range(first, last, flags);
    if (tells && closed == 0)
        closing_tell(low, high);
    return closed;
}

WEFT_API void closefrom(int first)
{
    bool tells = closing_begin(first < 0 ? 0 : first, INT_MAX);
    wefti_real()->closefrom(first);
    if (tells)
        closing_tell(first < 0 ? 0 : first, INT_MAX);
}

static void closing_forked(void)
{
    records_count = 0;
    for (size_t i = 0; i < LISTS; i++)
        record_lists[i] = (struct record_list){0};
}

__attribute__((constructor(1001))) static void closing_open(void)
{
    pthread_atfork(NULL, NULL, closing_forked);
}

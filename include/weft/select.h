/* SPDX-License-Identifier: MIT */
/*
 * Select: waits for the first of several things, of whatever kinds: a value put into or taken from a queue, an event, the end of a task
 * or a future, a descriptor, a moment.
 *
 *     weft_value job;
 *     weft_case cases[] = {weft_case_get(jobs, &job), weft_case_event(&stop), weft_case_time(weft_in(5))};
 *     switch (weft_select(cases, 3, WEFT_FOREVER)) {
 *     case 0: ... cases[0].error == 0: `job` is yours; EPIPE: the queue is closed and empty
 *     case 1: ... the event is set
 *     case 2: ... five seconds have passed
 *     }
 *
 * Exactly one case is done. What the headers of queues, events, tasks and futures offer as weft_case_... stands there; descriptors and
 * time here.
 */
#ifndef WEFT_SELECT_H
#define WEFT_SELECT_H

#include <weft/base.h>

struct weft_waitable;

/*
 * One thing that select may do; made by weft_case_... All-zero is one that is never ready: cases[2] = (weft_case){0} takes a case out,
 * and the others keep their numbers. It can be used again and again, by one weft_select at a time; what it points to has to be there as
 * long.
 */
typedef struct weft_case {
    const struct weft_waitable *waitable; /* the library's, as all but `error` */
    void *object;
    void *operation;
    int64_t number;
    int error; /* of the case that weft_select has returned: 0, it is done; else the errno number why it never can be */
    uint32_t reserved;
    uint64_t scratch[16]; /* while a select waits */
} weft_case;

WEFT_BEGIN

/*
 * Waits until one of the cases can be done, does that one and no other, and returns its index; its `error` is 0. A case that never can be
 * done (a closed queue: EPIPE; see where each is made) ends the select too: then `error` says why, and nothing was done. The errors of
 * other cases are left as they were. Fair: of several that are ready, each call begins to look at another; over many calls all have the
 * same chance. From any kind of task. Allocates nothing, but with more than 16 descriptors. -1 with EAGAIN (WEFT_NOW), ETIMEDOUT,
 * ECANCELED, EINVAL (no cases, or one of NULL or of a negative descriptor; more than 32 in shared memory), with descriptors ENOMEM and
 * EMFILE. A select over descriptors and what lies in shared memory starts a thread, one for all that do so, which ends a moment after the
 * last.
 */
WEFT_API int weft_select(weft_case *cases, size_t count, weft_time deadline);

/*
 * Ready when poll(2) reports one of `events` (POLLIN ...), a hangup or an error of `fd`; what it reported is written to *seen (NULL is
 * allowed). Error: EBADF (not open).
 */
WEFT_API weft_case weft_case_descriptor(int fd, short events, short *seen);
/* Ready when that moment has come: weft_case_time(weft_in(0.5)). WEFT_FOREVER never is. */
WEFT_API weft_case weft_case_time(weft_time moment);

WEFT_END

#endif

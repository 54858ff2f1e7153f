/* SPDX-License-Identifier: MIT */
/*
 * Waitables: what can be waited for beside others. A noun (queue, event, future, task ...) offers one table; select stands on the tables and on
 * `wait`, and knows no noun.
 */
#ifndef WEFTI_WAITABLE_H
#define WEFTI_WAITABLE_H

#include "wait/wait.h"

struct wefti_waitable {
    /*
     * Does the operation if it can be done now: 1 done, 0 not yet, -1 with errno: it never can. Never waits. `operation` is the noun's own (where
     * the value of a get goes, the value of a put ...).
     */
    int (*ready)(void *object, void *operation);
    /*
     * Makes the caller a waiter, and fills in the word and the value at which it does not change (or the descriptor) that end the wait. From here
     * on whoever makes the operation possible changes the word and wakes it. Select asks `ready` once more after this.
     */
    void (*enqueue)(void *object, void *operation, struct wefti_item *item);
    /*
     * The caller waits no more. `woken`: a wake for this object ended the wait, and another case was done instead: the wake is to be passed on
     * to the next waiter.
     */
    void (*dequeue)(void *object, void *operation, bool woken);
};

struct wefti_case {
    const struct wefti_waitable *waitable;
    void *object;
    void *operation;
};

/*
 * Waits until the operation of one of the cases is done: its index. Fair: of several that are ready each call begins to look at another. -1
 * with the errno of an operation that never can be done (*failed says whose, if failed is not NULL), EAGAIN, ETIMEDOUT, ECANCELED, ENOMEM
 * (more than 16 cases), EINVAL (none).
 */
int wefti_select(const struct wefti_case *cases, unsigned count, unsigned *failed, weft_time deadline);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Something that is done once, however many tasks come for it. All-zero is ready. (A child that is forked while another task than the one
 * that forks runs the function never sees it done.)
 *
 * In shared memory it is done once for all processes of the family. When the task that runs the function dies in it, the next to come runs
 * it again, and is not told: the function must be able to begin over whatever it left. It must mean the same in all processes.
 */
#ifndef WEFT_ONCE_H
#define WEFT_ONCE_H

#include <weft/base.h>

typedef struct weft_once {
    uint32_t word; /* the library's, both */
    uint32_t reserved;
} weft_once;

WEFT_BEGIN

/*
 * Calls function(data) unless it has been called with success; who comes meanwhile waits for it. When it fails (not 0, errno), its caller
 * gets that, and the next to come tries again. 0; -1 with the function's errno, EDEADLK (called from inside the function), EAGAIN,
 * ETIMEDOUT, ECANCELED; in shared memory also ENOMEM, and ESTALE (this process is no member: it was forked by the host).
 */
WEFT_API int weft_once_call(weft_once *once, int (*function)(void *data), void *data, weft_time deadline);
/* Whether it has been done. Any task; cannot fail. */
WEFT_API bool weft_once_done(const weft_once *once);

WEFT_END

#endif

/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>

#include "pool/core.h"

char *wefti_core_backtrace(int core, pid_t thread)
{
    (void)core, (void)thread;
    errno = ENOTSUP;
    return NULL;
}

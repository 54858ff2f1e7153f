/* SPDX-License-Identifier: MIT */
/* Memory that may not be there, by process_vm_readv: where a load would end the process, that fails. Keeps nothing, and is safe in every
 * process. */

#include "base/peek.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

bool wefti_peek(pid_t pid, const void *address, void *to, size_t size)
{
    struct iovec here = {.iov_base = to, .iov_len = size}, there = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
    ssize_t got = process_vm_readv(pid, &here, 1, &there, 1, 0);
    if (got >= 0 && (size_t)got < size)
        errno = EFAULT;
    return got >= 0 && (size_t)got == size;
}

/* Page by page: what lies behind the end of the string need not be there. */
bool wefti_peek_string(pid_t pid, const char *address, char *to, size_t size)
{
    enum { PAGE = 4096 };
    size_t length = 0;
    while (length + 1 < size) {
        size_t step = PAGE - ((uintptr_t)address + length) % PAGE;
        if (step > size - 1 - length)
            step = size - 1 - length;
        if (!wefti_peek(pid, address + length, to + length, step))
            break;
        const char *end = memchr(to + length, 0, step);
        if (end)
            return true;
        length += step;
    }
    to[length] = 0;
    return length + 1 == size;
}

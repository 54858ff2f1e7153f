/* SPDX-License-Identifier: MIT */
/* See descriptors.h. */
#include "descriptors.h"

#include <sys/resource.h>

void descriptors_allow(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

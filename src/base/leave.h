/* SPDX-License-Identifier: MIT */
/* How a process of the library's own making ends. */
#ifndef WEFTI_LEAVE_H
#define WEFTI_LEAVE_H

#include <unistd.h>

#ifdef WEFTI_COVERAGE
void __gcov_dump(void); /* the compiler's: what it counted would be lost with a process that does not exit */
#endif

/* Before an end that is not by wefti_leave. Only a build that counts does something here. */
static inline void wefti_leave_soon(void)
{
#ifdef WEFTI_COVERAGE
    __gcov_dump();
#endif
}

/* As _exit: no handlers are called. */
_Noreturn static inline void wefti_leave(int status)
{
    wefti_leave_soon();
    _exit(status);
}

#endif

/* SPDX-License-Identifier: MIT */
/* A system call without the C library: no errno, no thread-local storage, no cancellation point. */
#ifndef WEFTI_SYSCALL_H
#define WEFTI_SYSCALL_H

#include <stdint.h>
#include <sys/syscall.h>

/* What the kernel returned: minus the error number on failure. */
static inline long wefti_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

/*
 * clone(2) onto another stack, whose upper end is a multiple of 16: the child calls function(data) there, and its process ends with what
 * that returns. `child` is where CLONE_CHILD_CLEARTID writes, `pidfd` where CLONE_PIDFD does.
 */
__attribute__((noinline, unused)) static long wefti_clone_onto(
    void *stack, unsigned long flags, int *pidfd, uint32_t *child, int (*function)(void *), void *data)
{
    void **top = (void **)stack - 2;
    register long x8 __asm__("x8") = SYS_clone;
    register long x0 __asm__("x0") = (long)flags;
    register long x1 __asm__("x1") = (long)top;
    register long x2 __asm__("x2") = (long)pidfd;
    register long x3 __asm__("x3") = 0;
    register long x4 __asm__("x4") = (long)child;
    top[0] = data;
    top[1] = (void *)(uintptr_t)function;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "ldp x0, x9, [sp], #16\n\t"
                     "blr x9\n\t"
                     "mov x8, %[leave]\n\t"
                     "svc 0\n\t"
                     "brk 0\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), [leave] "i"(SYS_exit_group)
                     : "x9", "x30", "memory");
    return x0;
}

#endif

/* SPDX-License-Identifier: MIT */
/* A system call without the C library: no errno, no thread-local storage, no cancellation point. */
#ifndef WEFTI_SYSCALL_H
#define WEFTI_SYSCALL_H

#include <stdint.h>
#include <sys/syscall.h>

/* What the kernel returned: minus the error number on failure. */
static inline long wefti_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}

/*
 * clone(2) onto another stack, whose upper end is a multiple of 16: the child calls function(data) there, and its process ends with what
 * that returns. `child` is where CLONE_CHILD_CLEARTID writes, `pidfd` where CLONE_PIDFD does.
 */
__attribute__((noinline, unused)) static long wefti_clone_onto(
    void *stack, unsigned long flags, int *pidfd, uint32_t *child, int (*function)(void *), void *data)
{
    void **top = (void **)stack - 2;
    register long r10 __asm__("r10") = (long)child;
    register long r8 __asm__("r8") = 0;
    long result;
    top[0] = data;
    top[1] = (void *)(uintptr_t)function;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "pop %%rdi\n\t"
                     "pop %%rax\n\t"
                     "call *%%rax\n\t"
                     "mov %%eax, %%edi\n\t"
                     "mov %[leave], %%eax\n\t"
                     "syscall\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(result)
                     : "a"(SYS_clone), "D"(flags), "S"(top), "d"(pidfd), "r"(r10), "r"(r8), [leave] "i"(SYS_exit_group)
                     : "rcx", "r11", "memory");
    return result;
}

#endif

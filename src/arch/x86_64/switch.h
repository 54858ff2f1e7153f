/* SPDX-License-Identifier: MIT */
/*
 * The switch from one stack to another. Saves what the System V ABI has a called function keep: rbx, rbp, r12 to r15, rsp, and the control
 * words of SSE and x87 (rounding, which exceptions trap). The second is loaded only where it differs, which is cheaper; of the first that
 * is not true. All else the compiler takes to be lost.
 *
 * It is no function. The processor predicts where a return goes by a stack of the calls that it has seen. With a call for each switch and a
 * jump back that stack would have one call too many after each of them, and every return of those who called would be predicted wrong; with
 * a return back, that one would be wrong whenever the two did not switch at the same place. Like this a switch is one jump, predicted by
 * where it is, and the stack of calls stays as deep as that of those who switch, who mostly come by the same calls.
 *
 * It writes below the stack pointer, where a function that calls no other may keep variables: who uses it is a function that calls others.
 *
 * Under a shadow stack (CET) the returns after a switch would trap. switch.S does not say that it is made for that (no .note.gnu.property),
 * so the linker marks neither the library nor the program that links it statically, and glibc leaves shadow stacks off, or refuses to load
 * where they are asked for strictly.
 */
#ifndef WEFTI_ARCH_SWITCH_H
#define WEFTI_ARCH_SWITCH_H

#include <stdint.h>

/* Goes on where the frame at the stack pointer was left. ecx: the x87 control word of now. */
#define WEFTI_FRAME_ENTER     \
    "ldmxcsr (%%rsp)\n\t"     \
    "cmpw 4(%%rsp), %%cx\n\t" \
    "je 2f\n\t"               \
    "fldcw 4(%%rsp)\n"        \
    "2:\n\t"                  \
    "addq $8, %%rsp\n\t"      \
    "popq %%r15\n\t"          \
    "popq %%r14\n\t"          \
    "popq %%r13\n\t"          \
    "popq %%r12\n\t"          \
    "popq %%rbx\n\t"          \
    "popq %%rbp\n\t"          \
    "popq %%rcx\n\t"          \
    "jmpq *%%rcx\n"

static inline __attribute__((always_inline)) void *wefti_switch(void **from, void *to, void *message)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "pushq %%rbp\n\t"
                     "pushq %%rbx\n\t"
                     "pushq %%r12\n\t"
                     "pushq %%r13\n\t"
                     "pushq %%r14\n\t"
                     "pushq %%r15\n\t"
                     "subq $8, %%rsp\n\t"
                     "stmxcsr (%%rsp)\n\t"
                     "fnstcw 4(%%rsp)\n\t"
                     "movzwl 4(%%rsp), %%ecx\n\t"
                     "movq %%rsp, (%%rdi)\n\t"
                     "movq %%rsi, %%rsp\n\t" /* from here on it is the other's frame, of the same shape */
                     WEFTI_FRAME_ENTER "1:"
                     : "+D"(from), "+S"(to), "+d"(message)
                     :
                     : "rax", "rcx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                     "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    return message;
}

/* The same by one who does not come back: nothing is saved, which is half the time. */
static inline __attribute__((always_inline, noreturn)) void wefti_jump(void *to, void *message)
{
    uint16_t control;
    __asm__ volatile("fnstcw %0" : "=m"(control));
    __asm__ volatile("movq %%rsi, %%rsp\n\t" WEFTI_FRAME_ENTER : : "S"(to), "d"(message), "c"((uint32_t)control) : "memory");
    __builtin_unreachable();
}

#endif

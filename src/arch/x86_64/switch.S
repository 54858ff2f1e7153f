/* SPDX-License-Identifier: MIT */
/*
 * The switch from one stack to another: void *wefti_switch(void **from, void *to, void *message). Saves what the System V ABI has a called function keep: rbx, rbp,
 * r12 to r15, rsp, and the control words of SSE and x87 (rounding, which exceptions trap). The second is loaded only where it
 * differs, which is cheaper; of the first that is not true. All else the caller has saved already, as for any call.
 *
 * The way back is a return and not a jump: the processor predicts where returns go by a stack of the calls, and those who switch have mostly come here by the same calls.
 * A jump would leave one call more on that stack than there are frames, and each return above this one would be predicted wrong.
 *
 * Under a shadow stack (CET) the returns after a switch would trap. This object does not say that it is made for that (no .note.gnu.property), so the linker
 * marks neither the library nor the program that links it statically, and glibc leaves shadow stacks off, or refuses to load where they are asked for strictly.
 */
    .text

    .globl wefti_switch
    .hidden wefti_switch
    .type wefti_switch, @function
    .balign 64
wefti_switch:
    .cfi_startproc
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movzwl 4(%rsp), %ecx
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    ldmxcsr (%rsp) /* from here on it is the other's frame, of the same shape */
    cmpw 4(%rsp), %cx
    jne 1f
2:  addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    .cfi_remember_state
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    movq %rdx, %rax
    retq
    .cfi_restore_state
1:  fldcw 4(%rsp)
    jmp 2b
    .cfi_endproc
    .size wefti_switch, . - wefti_switch

/* Where a fresh stack begins: calls the function in rbx with the message. Debuggers and unwinders find the end of the stack here. */
    .globl wefti_switch_begin
    .hidden wefti_switch_begin
    .type wefti_switch_begin, @function
    .balign 16
wefti_switch_begin:
    .cfi_startproc
    .cfi_undefined rip
    movq %rax, %rdi
    xorl %ebp, %ebp
    callq *%rbx
    ud2
    .cfi_endproc
    .size wefti_switch_begin, . - wefti_switch_begin

    .section .note.GNU-stack, "", @progbits

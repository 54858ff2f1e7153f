/* SPDX-License-Identifier: MIT */
/*
 * Where a fresh stack begins (switch.h): goes to the function in rbx with the message that is in rdx. It is a jump, with a return address that was never called: so the processor, which predicts
 * returns by the calls that it has seen, counts none for it, as whoever ends on this stack does not return either. Debuggers and unwinders find the end of the stack at that address.
 */
    .text

    .globl wefti_switch_begin
    .hidden wefti_switch_begin
    .type wefti_switch_begin, @function
    .balign 16
wefti_switch_begin:
    .cfi_startproc
    .cfi_undefined rip
    movq %rdx, %rdi
    xorl %ebp, %ebp
    leaq 1f(%rip), %rcx
    pushq %rcx
    .cfi_adjust_cfa_offset 8
    jmpq *%rbx
    .cfi_adjust_cfa_offset -8
    ud2
1:  ud2
    .cfi_endproc
    .size wefti_switch_begin, . - wefti_switch_begin

    .section .note.GNU-stack, "", @progbits

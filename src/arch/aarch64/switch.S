/* SPDX-License-Identifier: MIT */
/*
 * The switch from one stack to another: void *wefti_switch(void **from, void *to, void *message). Saves what the procedure call standard has a called function keep:
 * x19 to x30, sp, the lower halves of v8 to v15, and the control bits of FPCR, which are loaded only where they differ: reading costs little, writing much.
 *
 * Branch targets and return addresses are not protected here (BTI, PAC): the object does not say that it is, so the linker does not mark what it links. Functions
 * that sign their own return addresses go on to do so.
 */
    .text

    .globl wefti_switch
    .hidden wefti_switch
    .type wefti_switch, %function
    .balign 64
wefti_switch:
    .cfi_startproc
    sub sp, sp, #176
    .cfi_adjust_cfa_offset 176
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x20, 8
    .cfi_rel_offset x21, 16
    .cfi_rel_offset x22, 24
    .cfi_rel_offset x23, 32
    .cfi_rel_offset x24, 40
    .cfi_rel_offset x25, 48
    .cfi_rel_offset x26, 56
    .cfi_rel_offset x27, 64
    .cfi_rel_offset x28, 72
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mrs x9, fpcr
    str x9, [sp, #160]
    mov x10, sp
    str x10, [x0]
    mov sp, x1 /* from here on it is the other's frame, of the same shape */
    ldr x10, [sp, #160]
    cmp x9, x10
    b.eq 1f
    msr fpcr, x10
1:  ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    add sp, sp, #176
    .cfi_adjust_cfa_offset -176
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    .cfi_restore x29
    .cfi_restore x30
    mov x0, x2
    ret
    .cfi_endproc
    .size wefti_switch, . - wefti_switch

/* Where a fresh stack begins: calls the function in x19 with the message. Debuggers and unwinders find the end of the stack here. */
    .globl wefti_switch_begin
    .hidden wefti_switch_begin
    .type wefti_switch_begin, %function
    .balign 16
wefti_switch_begin:
    .cfi_startproc
    .cfi_undefined x30
    mov x29, xzr
    mov x30, xzr
    blr x19
    brk #0
    .cfi_endproc
    .size wefti_switch_begin, . - wefti_switch_begin

    .section .note.GNU-stack, "", %progbits

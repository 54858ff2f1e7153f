/* SPDX-License-Identifier: MIT */
/* Stacks for coroutines, in slabs; see stack.c. */
#ifndef WEFTI_STACK_H
#define WEFTI_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wefti_slab;
struct wefti_stack_class;

/* Lies in the stack's topmost octets, with which what it belongs to goes on below. */
struct wefti_stack {
    struct wefti_stack *next;     /* among the free ones */
    struct wefti_slab *slab;      /* constant, as what follows */
    struct wefti_stack_class *of; /* where it goes when it is free */
    char *bottom;                 /* the lowest octet that can be used; the guard lies below */
};

/* The room for a control block that goes with a stack, including this struct. */
enum { WEFTI_STACK_DEFAULT = 64 * 1024, WEFTI_STACK_LEAST = 16 * 1024 };
#define WEFTI_STACK_MOST ((size_t)1 << 32)

#ifdef WEFTI_SMALL
enum { WEFTI_STACKS_WARM = 2 };
#else
enum { WEFTI_STACKS_WARM = 1024 };
#endif

enum { WEFTI_STACK_CLASSES = 20, WEFTI_STACK_CLASS_DEFAULT = 2 }; /* sizes that are powers of two, from the least on */

/* The stacks of one size. */
struct wefti_stack_class {
    struct wefti_stack *warm; /* free, their memory kept; the last that was freed is the first */
    size_t warm_count;
    struct wefti_stack_cold {
        struct wefti_slab *slab;
        uint32_t number;
    } * cold; /* free, their memory given back */
    size_t cold_count, cold_room;
    struct wefti_slab *slabs;
};

/* The stacks of one hub, used by its thread alone. All-zero is empty. */
struct wefti_stacks {
    struct wefti_stack_class classes[WEFTI_STACK_CLASSES];
};

static inline struct wefti_stack *wefti_stack_take_warm(struct wefti_stack_class *class)
{
    struct wefti_stack *stack = class->warm;
    if (!stack)
        return NULL;
    class->warm = stack->next;
    class->warm_count--;
    return stack;
}

/* The same as the next, where that is not a matter of a few steps. */
struct wefti_stack *wefti_stack_take_other(struct wefti_stacks *stacks, size_t size);

/*
 * A stack of `size` octets of address space (0: the default; made a power of two, guard included). NULL with EINVAL (larger than
 * WEFTI_STACK_MOST), ENOMEM. What lies below the struct is of any content.
 */
static inline struct wefti_stack *wefti_stack_take(struct wefti_stacks *stacks, size_t size)
{
    struct wefti_stack *stack = size == 0 ? wefti_stack_take_warm(&stacks->classes[WEFTI_STACK_CLASS_DEFAULT]) : NULL;
    return stack ? stack : wefti_stack_take_other(stacks, size);
}

/* The same as the next, giving back its memory. */
void wefti_stack_give_cold(struct wefti_stack *stack);

/* Gives it back; keeps errno. */
static inline void wefti_stack_give(struct wefti_stack *stack)
{
    struct wefti_stack_class *class = stack->of;
    if (__builtin_expect(class->warm_count >= WEFTI_STACKS_WARM, 0)) {
        wefti_stack_give_cold(stack);
        return;
    }
    stack->next = class->warm;
    class->warm = stack;
    class->warm_count++;
}

/* Of all that were made of these, the memory: none is in use. */
void wefti_stacks_end(struct wefti_stacks *stacks);
/* Octets between the guard and the end. */
size_t wefti_stack_size(const struct wefti_stack *stack);
/* How many of them, from the top to the lowest page that is in memory. In signal handlers, too. */
size_t wefti_stack_touched(const struct wefti_stack *stack);
/* Whether the address lies in the guard. */
bool wefti_stack_guards(const struct wefti_stack *stack, const void *address);

_Static_assert(WEFTI_STACK_LEAST << WEFTI_STACK_CLASS_DEFAULT == WEFTI_STACK_DEFAULT, "the class of the default size");

/* Whether guards are marks in the page tables, that cost no mapping of their own. */
bool wefti_guards_light(void);
/* Whether an access to the page at this address faults: asked of the kernel. */
bool wefti_page_faults(const void *page);

#endif

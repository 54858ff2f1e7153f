/* SPDX-License-Identifier: MIT */
/*
 * What AddressSanitizer, ThreadSanitizer and Valgrind are told of stacks and of switches between them. In a build without them, nothing.
 *
 * Around a switch: wefti_told_leave in the flow that leaves, wefti_told_arrive in that which goes on.
 */
#ifndef WEFTI_TOLD_H
#define WEFTI_TOLD_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define WEFTI_TOLD_ADDRESS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFTI_TOLD_ADDRESS 1
#endif
#endif

#if __has_include(<valgrind/valgrind.h>) && __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#else
#define VALGRIND_MAKE_MEM_DEFINED(start, size) (void)(start), (void)(size)
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_STACK_REGISTER(start, end) 0U
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#endif

#ifdef WEFTI_TOLD_ADDRESS
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef WEFTI_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Of one flow of control: what the tools know it by. */
struct wefti_told {
#ifdef WEFTI_TOLD_ADDRESS
    void *fake;
    const void *bottom;
    size_t size;
#endif
#ifdef WEFTI_TSAN
    void *fiber;
#endif
    char nothing[1];
};

/* Whether a tool watches that nothing is used after it was freed: then what is freed goes to where it came from. */
static inline bool wefti_told_of_memory(void)
{
#ifdef WEFTI_TOLD_ADDRESS
    return true;
#endif
    return RUNNING_ON_VALGRIND != 0;
}

/* The kernel has written there, in no system call that they know of. */
static inline void wefti_told_written(const void *octets, size_t size)
{
    if (RUNNING_ON_VALGRIND)
        (void)VALGRIND_MAKE_MEM_DEFINED(octets, size);
}

/* Memory that stacks were made of. */
static inline void wefti_told_slab_end(void *base, size_t size)
{
#ifdef WEFTI_TOLD_ADDRESS
    __asan_unpoison_memory_region(base, size); /* what comes to lie there next has nothing to do with it */
#endif
    (void)base, (void)size;
}

/* The stack of a flow that is about to begin. */
static inline void wefti_told_begin(struct wefti_told *told, void *bottom, void *top)
{
#ifdef WEFTI_TOLD_ADDRESS
    told->fake = NULL;
    told->bottom = bottom;
    told->size = (size_t)((char *)top - (char *)bottom);
    __asan_unpoison_memory_region(bottom, told->size); /* frames that never returned lay there */
    __lsan_register_root_region(bottom, told->size);   /* pointers are looked for here too, but not in the guard */
#endif
#ifdef WEFTI_TSAN
    told->fiber = __tsan_create_fiber(0);
#endif
    (void)told, (void)bottom, (void)top;
}

/* The flow that runs, on the stack that the thread came with. */
static inline void wefti_told_home(struct wefti_told *told)
{
#ifdef WEFTI_TSAN
    told->fiber = __tsan_get_current_fiber();
#endif
    (void)told;
}

/* `ends`: the flow that leaves will not come back. */
static inline void wefti_told_leave(struct wefti_told *from, struct wefti_told *to, bool ends)
{
#ifdef WEFTI_TOLD_ADDRESS
    __sanitizer_start_switch_fiber(ends ? NULL : &from->fake, to->bottom, to->size);
#endif
#ifdef WEFTI_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    (void)from, (void)to, (void)ends;
}

/* `from` is where it was left: its bounds are learned where they were not known. */
static inline void wefti_told_arrive(struct wefti_told *to, struct wefti_told *from)
{
#ifdef WEFTI_TOLD_ADDRESS
    __sanitizer_finish_switch_fiber(to->fake, &from->bottom, &from->size);
#endif
    (void)to, (void)from;
}

/* The flow has left for good. */
static inline void wefti_told_end(struct wefti_told *told)
{
#ifdef WEFTI_TOLD_ADDRESS
    __lsan_unregister_root_region(told->bottom, told->size);
#endif
#ifdef WEFTI_TSAN
    __tsan_destroy_fiber(told->fiber);
#endif
    (void)told;
}

#endif

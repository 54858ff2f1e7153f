/* SPDX-License-Identifier: MIT */
/* Functions that the tests of pools and futures run as tasks. */
#ifndef POOL_TASKS_H
#define POOL_TASKS_H

#include <weft.h>

/* A gate that a task waits at: `reached` counts who has come, `open` lets them on. */
struct gate {
    weft_event open;
    uint32_t reached;
};

static inline weft_value nothing(weft_value unused)
{
    (void)unused;
    return weft_none;
}

static inline weft_value twice(weft_value number)
{
    return weft_int(2 * weft_as_int(number));
}

/* Waits at the gate; ECANCELED when it is cancelled there. */
static inline weft_value wait_at(weft_value pointer)
{
    struct gate *gate = weft_as_ptr(pointer);
    __atomic_add_fetch(&gate->reached, 1, __ATOMIC_RELEASE);
    return weft_event_wait(&gate->open, WEFT_FOREVER) == 0 ? weft_none : weft_error(errno, "not let through");
}

static inline uint32_t gate_reached(struct gate *gate)
{
    return __atomic_load_n(&gate->reached, __ATOMIC_ACQUIRE);
}

static inline weft_value not_there(weft_value text)
{
    return weft_error(ENOENT, "%s", weft_as_str(text));
}

/* Counts itself in the integer that the argument points to. */
static inline weft_value count_up(weft_value pointer)
{
    __atomic_add_fetch((int *)weft_as_ptr(pointer), 1, __ATOMIC_RELAXED);
    return weft_none;
}

/* Occupies a worker of the pool until the gate opens. */
static inline void occupy_at(weft_pool *pool, struct gate *gate)
{
    uint32_t before = gate_reached(gate);
    ck_assert_int_eq(weft_pool_start(pool, wait_at, weft_ptr(gate)), 0);
    fixture_until(gate_reached(gate) > before);
}

static inline struct weft_pool_counts counts_of(weft_pool *pool)
{
    struct weft_pool_counts counts;
    weft_pool_count(pool, &counts);
    return counts;
}

/* A list of the integers from 0 on. */
static inline weft_value integers(int64_t count)
{
    weft_value list = weft_list();
    for (int64_t i = 0; i < count; i++)
        ck_assert_int_eq(weft_list_append(list, weft_int(i)), 0);
    return list;
}

/* Frees the future after waiting for its result, which is the integer that is returned. */
static inline int64_t integer_of(weft_future *future)
{
    weft_value value = weft_none;
    ck_assert_ptr_nonnull(future);
    ck_assert_int_eq(weft_future_result(future, &value, WEFT_FOREVER), 0);
    weft_future_free(future);
    int64_t number = weft_as_int(value);
    weft_drop(value);
    return number;
}

#endif

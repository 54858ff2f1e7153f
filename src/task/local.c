/* SPDX-License-Identifier: MIT */
/* Task-local storage: an array in each context, indexed by the key, which a weft_local gets at its first use and never gives back. */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "task/task.h"

struct slot {
    void *pointer;
    void (*destroy)(void *pointer);
};

enum { DESTROY_ROUNDS = 4 }; /* as POSIX has for thread-specific data: destructors may set pointers again */

static uint32_t local_keys;

static uint32_t local_key(weft_local *local)
{
    uint32_t key = __atomic_load_n(&local->key, __ATOMIC_RELAXED);
    if (key != 0)
        return key;
    uint32_t fresh = __atomic_add_fetch(&local_keys, 1, __ATOMIC_RELAXED);
    if (__atomic_compare_exchange_n(&local->key, &key, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return fresh;
    return key; /* another was first; a number is wasted */
}

void *weft_local_get(weft_local *local)
{
    struct wefti_context *context = wefti_context_current();
    uint32_t key = __atomic_load_n(&local->key, __ATOMIC_RELAXED);
    return key != 0 && key <= context->locals_count ? ((struct slot *)context->locals)[key - 1].pointer : NULL;
}

static bool locals_grow(struct wefti_context *context, uint32_t count)
{
    count = (count + 7) / 8 * 8;
    struct slot *slots = wefti_realloc(context->locals, count * sizeof(*slots));
    if (!slots)
        return false;
    memset(slots + context->locals_count, 0, (count - context->locals_count) * sizeof(*slots));
    context->locals = slots;
    context->locals_count = count;
    return true;
}

int weft_local_set(weft_local *local, void *pointer)
{
    struct wefti_context *context = wefti_context_current();
    uint32_t key = local_key(local);
    if (key > context->locals_count && !locals_grow(context, key))
        return -1;
    ((struct slot *)context->locals)[key - 1] = (struct slot){.pointer = pointer, .destroy = local->destroy};
    return 0;
}

/* Calls each destructor once; false when there was none to call. */
static bool locals_round(struct wefti_context *context)
{
    bool any = false;
    for (uint32_t i = 0; i < context->locals_count; i++) {
        struct slot *slot = &((struct slot *)context->locals)[i];
        void *pointer = slot->pointer;
        slot->pointer = NULL;
        if (!pointer || !slot->destroy)
            continue;
        slot->destroy(pointer); /* may move the slots */
        any = true;
    }
    return any;
}

void wefti_locals_destroy(struct wefti_context *context)
{
    for (int i = 0; i < DESTROY_ROUNDS && locals_round(context); i++)
        continue;
    wefti_release(context->locals);
    context->locals = NULL;
    context->locals_count = 0;
}

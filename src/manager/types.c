/* SPDX-License-Identifier: MIT */
/* The types of Python's SyncManager, and what all types have in common. */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "manager/manager.h"

static const struct wefti_managed_type *const standard[] = {&wefti_type_queue, &wefti_type_joinable_queue, &wefti_type_lifo_queue,
    &wefti_type_priority_queue, &wefti_type_event, &wefti_type_lock, &wefti_type_rlock, &wefti_type_semaphore,
    &wefti_type_bounded_semaphore, &wefti_type_condition, &wefti_type_barrier, &wefti_type_dict, &wefti_type_list, &wefti_type_namespace,
    &wefti_type_value, &wefti_type_array, &wefti_type_set};

const struct wefti_managed_type *wefti_standard_type(size_t index)
{
    return index < sizeof(standard) / sizeof(*standard) ? standard[index] : NULL;
}

const struct wefti_managed_type *wefti_standard_named(const char *name)
{
    for (size_t i = 0; i < sizeof(standard) / sizeof(*standard); i++)
        if (strcmp(standard[i]->name, name) == 0)
            return standard[i];
    return NULL;
}

/* The rows are in the order of their names. */
const struct wefti_method *wefti_method_find(const struct wefti_managed_type *type, const char *name)
{
    size_t low = 0, high = type->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name, type->methods[middle].name);
        if (order == 0)
            return &type->methods[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static const char *exposed_name(const struct wefti_managed *object, size_t at)
{
    if (object->offer && object->offer->user)
        return object->offer->user->methods ? object->offer->user->methods[at].name : NULL;
    return at < object->type->count ? object->type->methods[at].name : NULL;
}

weft_value wefti_exposed(const struct wefti_managed *object)
{
    size_t count = 0, made = 0;
    while (exposed_name(object, count))
        count++;
    weft_value *names = wefti_alloc((count + 1) * sizeof(*names)), tuple = weft_error(ENOMEM, NULL);
    bool good = names != NULL;
    for (; good && made < count; made++) {
        names[made] = weft_str(exposed_name(object, made));
        good = !weft_is_error(names[made]);
    }
    if (good)
        tuple = weft_tuple(names, count);
    for (size_t i = 0; weft_is_error(tuple) && i < made; i++)
        weft_drop(names[i]);
    wefti_release(names);
    return tuple;
}

/* multiprocessing.managers.Token of a typeid, the manager's address, an ident. */
static weft_value token_of(struct wefti_call *call, const struct wefti_managed *object)
{
    char ident[WEFTI_IDENT];
    wefti_ident_text(object->ident, ident);
    weft_value parts[] = {weft_str(object->type->name), weft_keep(call->manager->address), weft_str(ident)};
    weft_value state = weft_tuple(parts, 3), none = weft_tuple(NULL, 0);
    if (weft_is_error(parts[0]) || weft_is_error(parts[2]) || weft_is_error(state) || weft_is_error(none)) {
        if (weft_is_error(state))
            for (size_t i = 0; i < 3; i++)
                weft_drop(parts[i]);
        weft_drop(state);
        weft_drop(none);
        return weft_error(ENOMEM, NULL);
    }
    weft_value token = weft_object("multiprocessing.managers.Token", none, state);
    if (weft_is_error(token)) {
        weft_drop(state);
        weft_drop(none);
    }
    return token;
}

/* The client refers to the object from now on; if the reply does not reach him he does not. */
static void proxy_undo(struct wefti_call *call, weft_value result)
{
    weft_value ident = weft_list_at(weft_object_state(weft_list_at(result, 1)), 2);
    struct wefti_managed *object = wefti_managed_named(call->manager, ident);
    if (object) {
        object->references--;
        wefti_managed_settle(call->manager, object);
    }
    weft_drop(result);
}

weft_value wefti_reply_proxy(struct wefti_call *call, const struct wefti_managed_type *type, void *state)
{
    struct wefti_managed *object = wefti_managed_new(call->manager, type, NULL);
    if (!object) {
        struct wefti_managed dead = {.type = type, .state = state};
        type->destroy(&dead);
        return wefti_raise_memory(call);
    }
    object->state = state;
    object->users = 0;
    weft_value parts[] = {wefti_exposed(object), token_of(call, object)}, pair = weft_tuple(parts, 2);
    if (weft_is_error(parts[0]) || weft_is_error(parts[1]) || weft_is_error(pair)) {
        weft_drop(weft_is_error(pair) ? parts[0] : pair);
        wefti_managed_settle(call->manager, object);
        return wefti_raise_memory(call);
    }
    object->references = 1;
    call->kind = "#PROXY";
    call->undo = proxy_undo;
    return pair;
}

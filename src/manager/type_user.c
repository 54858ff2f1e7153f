/* SPDX-License-Identifier: MIT */
/* What the program wrote: objects with a table of methods, and functions whose results clients get proxies of. */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "manager/manager.h"

static const struct weft_manager_method *user_method(const struct wefti_managed *object, const char *name)
{
    const struct weft_manager_method *method = object->offer && object->offer->user ? object->offer->user->methods : NULL;
    while (method && method->name && strcmp(method->name, name) != 0)
        method++;
    return method && method->name ? method : NULL;
}

bool wefti_user_has(const struct wefti_managed *object, const char *name)
{
    return user_method(object, name) != NULL;
}

/* An error value is raised as what its type says. */
static weft_value result_of(struct wefti_call *call, weft_value result)
{
    if (weft_is_error(result))
        call->kind = "#ERROR";
    return result;
}

weft_value wefti_user_call(struct wefti_call *call, const char *name)
{
    return result_of(call, user_method(call->object, name)->function(call->object->state, call->arguments, call->keywords));
}

/* Without the lock: the program's function may wait. */
static weft_value user_construct(struct wefti_call *call)
{
    const struct wefti_offer_entry *offer = call->object->offer;
    weft_value error = weft_none;
    wefti_manager_leave(call->manager);
    call->object->state = offer->user->construct(call->arguments, call->keywords, offer->data, &error);
    wefti_manager_enter(call->manager);
    if (call->object->state)
        return weft_none;
    return weft_is_error(error) ? result_of(call, error) : wefti_raise_text(call, "RuntimeError", "the object could not be made");
}

static void user_destroy(struct wefti_managed *object)
{
    const struct weft_manager_type *type = object->offer ? object->offer->user : NULL;
    if (object->state && type && type->destroy && type->construct && object != object->offer->object)
        type->destroy(object->state);
}

const struct wefti_managed_type wefti_type_user = {"object", NULL, 0, user_construct, .raw = true, .destroy = user_destroy};

/* Results of functions that are neither list nor dict: by value. */

static weft_value result_construct(struct wefti_call *call)
{
    const struct wefti_offer_entry *offer = call->object->offer;
    wefti_manager_leave(call->manager);
    weft_value result = offer->function(offer->data, call->arguments, call->keywords);
    wefti_manager_enter(call->manager);
    if (weft_is_error(result))
        return result_of(call, result);
    const struct wefti_managed_type *type = result.kind == WEFT_LIST   ? &wefti_type_list
                                            : result.kind == WEFT_DICT ? &wefti_type_dict
                                                                       : NULL;
    weft_value copy = type ? weft_copy(result) : result, *state = wefti_alloc(sizeof(*state));
    if (type)
        weft_drop(result);
    if (!state || weft_is_error(copy)) {
        wefti_release(state);
        weft_drop(copy);
        return wefti_raise_memory(call);
    }
    *state = copy;
    call->object->state = state;
    call->object->type = type ? type : call->object->type;
    return weft_none;
}

static void result_destroy(struct wefti_managed *object)
{
    weft_value *state = object->state;
    if (state)
        weft_drop(*state);
    wefti_release(state);
}

static weft_value result_value(struct wefti_managed *object)
{
    return weft_keep(*(weft_value *)object->state);
}

const struct wefti_managed_type wefti_type_value_of_call = {
    "object", NULL, 0, result_construct, .raw = true, .destroy = result_destroy, .value = result_value, .repr = result_value};

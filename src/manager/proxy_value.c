/* SPDX-License-Identifier: MIT */
/*
 * Proxies as values, which can lie in arguments and in objects of a manager, and proxies of such values. As Python pickles them:
 * RebuildProxy(class, Token(typeid, address, ident), 'pickle', keywords), where the class is one of multiprocessing.managers by the name of
 * the type, or AutoProxy, with the names of the methods among the keywords.
 *
 * A Python server takes a proxy for one of its own objects if the address is just as it writes its own; else it becomes a client of that
 * address. So what goes out has the address that was dialled, as getsockname would have it there, unless `known_as` says another. Weft's
 * looks at the number only. One that came in goes out again as it came.
 *
 * A value holds no reference over there: the object is there for as long as whatever the value lies in, or somebody's proxy, holds it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "manager/remote.h"
#include <weft/task.h>

#define MANAGERS "multiprocessing.managers."

/* Takes both. */
static weft_value object_of_parts(const char *name, weft_value arguments, weft_value state)
{
    weft_value object = weft_is_error(arguments) || weft_is_error(state) ? weft_error(ENOMEM, NULL) : weft_object(name, arguments, state);
    if (weft_is_error(object)) {
        weft_drop(arguments);
        weft_drop(state);
    }
    return object;
}

weft_value wefti_address_value(const char *text)
{
    const char *colon = strrchr(text, ':');
    if (strncmp(text, "unix:", 5) == 0)
        return weft_str(text + 5);
    if (strncmp(text, "abstract:", 9) == 0) {
        char name[128] = "";
        size_t length = strlen(text + 9);
        length = length < sizeof(name) - 1 ? length : sizeof(name) - 1;
        memcpy(name + 1, text + 9, length);
        return weft_bytes(name, length + 1);
    }
    if (!colon)
        return weft_error(EINVAL, NULL);
    size_t length = (size_t)(colon - text);
    bool local = length == 9 && strncmp(text, "localhost", 9) == 0;
    weft_value parts[] = {local        ? weft_str("127.0.0.1")
                          : length > 0 ? weft_str_n(text, length)
                                       : weft_str("0.0.0.0"),
        weft_int(strtol(colon + 1, NULL, 10))};
    return wefti_tuple_whole(parts, 2);
}

/* Which class of Python's the proxies of a type are, in Python's registry. */
static const char *class_of(const char *type)
{
    static const char *const classes[][2] = {{"Array", MANAGERS "ArrayProxy"}, {"Barrier", MANAGERS "BarrierProxy"},
        {"BoundedSemaphore", MANAGERS "AcquirerProxy"}, {"Condition", MANAGERS "ConditionProxy"}, {"Event", MANAGERS "EventProxy"},
        {"Iterator", MANAGERS "IteratorProxy"}, {"Lock", MANAGERS "AcquirerProxy"}, {"Namespace", MANAGERS "NamespaceProxy"},
        {"RLock", MANAGERS "AcquirerProxy"}, {"Semaphore", MANAGERS "AcquirerProxy"}, {"Value", MANAGERS "ValueProxy"},
        {"dict", MANAGERS "DictProxy"}, {"list", MANAGERS "ListProxy"}, {"set", MANAGERS "SetProxy"}};
    for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
        if (strcmp(classes[i][0], type) == 0)
            return classes[i][1];
    return MANAGERS "AutoProxy";
}

/* {} or {'exposed': names}. */
static weft_value keywords_of(const weft_proxy *proxy, bool automatic)
{
    weft_value keywords = weft_dict(), names = automatic ? weft_tuple(NULL, 0) : weft_none;
    if (automatic && proxy->exposed.kind == WEFT_TUPLE) {
        weft_drop(names);
        names = weft_keep(proxy->exposed);
    }
    if (!weft_is_error(keywords) && !weft_is_error(names) && (!automatic || weft_dict_set_str(keywords, "exposed", names) == 0))
        return keywords;
    weft_drop(keywords);
    weft_drop(names);
    return weft_error(ENOMEM, NULL);
}

weft_value weft_proxy_value(const weft_proxy *proxy, const char *type)
{
    if (!proxy)
        return weft_error(EINVAL, NULL);
    if (!type && !weft_is_none(proxy->value))
        return weft_keep(proxy->value);
    const char *class = class_of(type ? type : weft_as_str(proxy->type));
    bool automatic = strcmp(class, MANAGERS "AutoProxy") == 0;
    weft_value state[] = {
        type ? weft_str(type) : weft_keep(proxy->type), weft_keep(proxy->remote->known_as), weft_str(weft_proxy_ident(proxy))};
    weft_value token = object_of_parts(MANAGERS "Token", weft_tuple(NULL, 0), wefti_tuple_whole(state, 3));
    weft_value parts[] = {weft_object(class, weft_none, weft_none), token, weft_str("pickle"), keywords_of(proxy, automatic)};
    return object_of_parts(MANAGERS "RebuildProxy", wefti_tuple_whole(parts, 4), weft_none);
}

/* (typeid, address, ident) of a proxy, or of a token; none of anything else. */
static weft_value token_state(weft_value value)
{
    if (value.kind == WEFT_OBJECT && strcmp(weft_object_name(value), MANAGERS "RebuildProxy") == 0)
        value = weft_list_at(weft_object_arguments(value), 1);
    if (value.kind != WEFT_OBJECT || strcmp(weft_object_name(value), MANAGERS "Token") != 0)
        return weft_none;
    weft_value state = weft_object_state(value);
    return weft_list_at(state, 2).kind == WEFT_STR && weft_list_at(state, 0).kind == WEFT_STR ? state : weft_none;
}

/* A server that listens at all of its machine's addresses writes that. */
bool wefti_proxy_is_of(const weft_remote *remote, weft_value value)
{
    weft_value address = weft_list_at(token_state(value), 1), known = remote->known_as, host = weft_list_at(address, 0);
    if (weft_equal(address, known))
        return true;
    return address.kind == WEFT_TUPLE && host.kind == WEFT_STR && strcmp(weft_as_str(host), "0.0.0.0") == 0 &&
           weft_equal(weft_list_at(address, 1), weft_list_at(known, 1));
}

/* The names of its methods: those in the proxy, or those that the manager says. None if it says nothing. */
static weft_value methods_of(weft_remote *remote, weft_value value, weft_time deadline)
{
    weft_value names, token = value, arguments = weft_object_arguments(value);
    if (strcmp(weft_object_name(value), MANAGERS "RebuildProxy") == 0) {
        if (weft_dict_get_str(weft_list_at(arguments, 3), "exposed", &names) == 0)
            return weft_keep(names);
        token = weft_list_at(arguments, 1);
    }
    if (wefti_remote_own(remote, "get_methods", token, &names, deadline) != 0)
        return weft_none;
    if (names.kind == WEFT_TUPLE || names.kind == WEFT_LIST)
        return names;
    weft_drop(names);
    return weft_none;
}

/* Of what has a reference by now. */
static weft_proxy *proxy_with(weft_remote *remote, weft_value value, weft_value state, weft_time deadline)
{
    weft_value exposed = methods_of(remote, value, deadline), ident = weft_list_at(state, 2);
    weft_proxy *proxy = wefti_proxy_make(remote, ident, exposed, weft_list_at(state, 0));
    weft_drop(exposed);
    if (!proxy) {
        weft_shield wefti_reference_return(remote, ident);
        errno = ENOMEM;
    } else if (strcmp(weft_object_name(value), MANAGERS "RebuildProxy") == 0)
        proxy->value = weft_keep(value);
    return proxy;
}

weft_proxy *weft_proxy_of_value(weft_remote *remote, weft_value value, weft_value *error, weft_time deadline)
{
    weft_value state = token_state(value), answer;
    if (!remote || weft_is_none(state)) {
        errno = EINVAL;
        return NULL;
    }
    if (wefti_remote_own(remote, "incref", weft_list_at(state, 2), &answer, deadline) != 0)
        return NULL;
    if (!weft_is_error(answer)) {
        weft_drop(answer);
        return proxy_with(remote, value, state, deadline);
    }
    if (error)
        *error = answer;
    else
        weft_drop(answer);
    errno = EREMOTEIO;
    return NULL;
}

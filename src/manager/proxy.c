/* SPDX-License-Identifier: MIT */
/* Proxies: objects of a manager elsewhere. Each has one reference there, which it got when it was made and takes back at its end, on a connection for that. */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "base/options.h"
#include "manager/remote.h"
#include <weft/task.h>

static const double GOODBYE = 5; /* seconds that taking a reference back may take */

static int fails(int error)
{
    errno = error;
    return -1;
}

static bool options_read(struct weft_proxy_options *to, const struct weft_proxy_options *from)
{
    return wefti_options_read(to, sizeof(*to), from, offsetof(struct weft_proxy_options, arguments));
}

/* Of an ident that has a reference for it. */
static weft_proxy *proxy_make(weft_remote *remote, weft_value ident)
{
    weft_proxy *proxy = wefti_alloc(sizeof(*proxy));
    char *name = wefti_alloc_raw(weft_length(ident) + 1);
    if (!proxy || !name) {
        wefti_release(proxy);
        wefti_release(name);
        return NULL;
    }
    memcpy(name, weft_as_str(ident), weft_length(ident) + 1);
    *proxy = (weft_proxy){wefti_remote_keep(remote), name};
    return proxy;
}

static weft_proxy *created(weft_remote *remote, weft_value value, weft_value *error)
{
    weft_value ident = weft_is_error(value) ? weft_none : weft_list_at(value, 0);
    weft_proxy *proxy = ident.kind == WEFT_STR ? proxy_make(remote, ident) : NULL;
    if (proxy || ident.kind == WEFT_STR) {
        weft_drop(value);
        return proxy;
    }
    if (error && weft_is_error(value))
        *error = value;
    else
        weft_drop(value);
    errno = EREMOTEIO;
    return NULL;
}

/* The name comes before the arguments. */
static weft_value create_arguments(const char *name, weft_value arguments)
{
    weft_value all = weft_list(), text = weft_str(name);
    bool good = !weft_is_error(all) && !weft_is_error(text) && weft_list_append(all, text) == 0;
    for (size_t i = 0; good && arguments.kind != WEFT_NONE && i < weft_length(arguments); i++) {
        weft_value item = weft_keep(weft_list_at(arguments, (ptrdiff_t)i));
        good = weft_list_append(all, item) == 0;
        if (!good)
            weft_drop(item);
    }
    if (good)
        return all;
    weft_drop(all);
    return weft_error(ENOMEM, NULL);
}

weft_proxy *weft_proxy_new_with(weft_remote *remote, const char *name, const struct weft_proxy_options *options, weft_time deadline)
{
    struct weft_proxy_options read;
    weft_value reply, value;
    if (!options_read(&read, options))
        return NULL;
    if (!remote || !name) {
        errno = EINVAL;
        return NULL;
    }
    weft_value arguments = create_arguments(name, read.arguments);
    int result = weft_is_error(arguments) ? fails(ENOMEM)
                                          : wefti_remote_exchange(remote, NULL, "create", arguments, read.keywords, &reply, deadline);
    weft_drop(arguments);
    if (result != 0)
        return NULL;
    wefti_reply_read(reply, &value);
    return created(remote, value, read.error);
}

static void reference_return(weft_remote *remote, weft_value ident)
{
    weft_value kept = weft_keep(ident), arguments = weft_tuple(&kept, 1), reply;
    if (weft_is_error(arguments))
        weft_drop(kept);
    else if (wefti_remote_exchange(remote, NULL, "decref", arguments, weft_none, &reply, weft_in(GOODBYE)) == 0)
        weft_drop(reply);
    weft_drop(arguments);
}

void weft_proxy_free(weft_proxy *proxy)
{
    if (!proxy)
        return;
    int error = errno;
    weft_value ident = weft_str(proxy->ident);
    weft_shield reference_return(proxy->remote, ident);
    weft_drop(ident);
    wefti_remote_release(proxy->remote);
    wefti_release(proxy->ident);
    wefti_release(proxy);
    errno = error;
}

const char *weft_proxy_ident(const weft_proxy *proxy)
{
    return proxy->ident;
}

/* (exposed, token), of an object that the answer has a reference for. Its address is the server's own view, and not looked at. */
static int answer_is_proxy(weft_remote *remote, weft_value *value, weft_proxy **proxy)
{
    weft_value token = weft_list_at(*value, 1), ident = token.kind == WEFT_OBJECT ? weft_list_at(weft_object_state(token), 2) : weft_none;
    weft_proxy *made = NULL;
    if (ident.kind == WEFT_STR && proxy)
        made = proxy_make(remote, ident);
    else if (ident.kind == WEFT_STR)
        weft_shield reference_return(remote, ident);
    weft_drop(*value);
    *value = weft_none;
    if (made)
        *proxy = made;
    else if (!proxy)
        *value = weft_error(ENOTSUP, "the answer is another object, and .proxy was not given");
    return made || !proxy ? 0 : fails(ENOMEM);
}

static int answer(weft_remote *remote, weft_value reply, weft_value *result, weft_proxy **proxy)
{
    weft_value value;
    if (wefti_reply_read(reply, &value) == 1 && answer_is_proxy(remote, &value, proxy) != 0)
        return -1;
    if (result)
        *result = value;
    else
        weft_drop(value);
    return 0;
}

int weft_proxy_call_with(
    weft_proxy *proxy, const char *method, weft_value *result, const struct weft_proxy_options *options, weft_time deadline)
{
    struct weft_proxy_options read;
    weft_value reply;
    if (!options_read(&read, options))
        return -1;
    if (!proxy || !method)
        return fails(EINVAL);
    if (wefti_remote_exchange(proxy->remote, proxy->ident, method, read.arguments, read.keywords, &reply, deadline) != 0)
        return -1;
    return answer(proxy->remote, reply, result, read.proxy);
}

int weft_remote_call_with(
    weft_remote *remote, const char *function, weft_value *result, const struct weft_proxy_options *options, weft_time deadline)
{
    struct weft_proxy_options read;
    weft_value reply;
    if (!options_read(&read, options))
        return -1;
    if (!remote || !function)
        return fails(EINVAL);
    if (wefti_remote_exchange(remote, NULL, function, read.arguments, read.keywords, &reply, deadline) != 0)
        return -1;
    return answer(remote, reply, result, read.proxy);
}

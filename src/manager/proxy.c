/* SPDX-License-Identifier: MIT */
/*
 * Proxies: objects of a manager elsewhere. Each has one reference there, which it got when it was made and takes back at its end, on a
 * connection for that.
 *
 * One that is renewed gets another ident, while other tasks may be reading the old one: so all that it had are kept to its end.
 */

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

static struct wefti_ident *ident_make(weft_value ident)
{
    size_t length = weft_length(ident) + 1;
    struct wefti_ident *made = wefti_alloc_raw(sizeof(*made) + length);
    if (!made)
        return NULL;
    made->before = NULL;
    memcpy(made->text, weft_as_str(ident), length);
    return made;
}

weft_proxy *wefti_proxy_make(weft_remote *remote, weft_value ident, weft_value exposed, weft_value type)
{
    weft_proxy *proxy = wefti_alloc(sizeof(*proxy));
    struct wefti_ident *name = proxy ? ident_make(ident) : NULL;
    if (!name) {
        wefti_release(proxy);
        return NULL;
    }
    *proxy = (weft_proxy){.remote = wefti_remote_keep(remote), .ident = name, .exposed = weft_keep(exposed), .type = weft_keep(type)};
    return proxy;
}

bool wefti_proxy_offers(const weft_proxy *proxy, const char *method)
{
    for (size_t i = 0; i < weft_length(proxy->exposed); i++) {
        weft_value name = weft_list_at(proxy->exposed, (ptrdiff_t)i);
        if (name.kind == WEFT_STR && strcmp(weft_as_str(name), method) == 0)
            return true;
    }
    return false;
}

static weft_proxy *created(weft_remote *remote, const char *name, weft_value value, weft_value *error)
{
    weft_value ident = weft_is_error(value) ? weft_none : weft_list_at(value, 0), type = weft_str(name);
    weft_proxy *proxy =
        ident.kind == WEFT_STR && !weft_is_error(type) ? wefti_proxy_make(remote, ident, weft_list_at(value, 1), type) : NULL;
    weft_drop(type);
    if (!proxy && ident.kind == WEFT_STR)
        weft_shield wefti_reference_return(remote, ident);
    if (!proxy)
        errno = ident.kind == WEFT_STR ? ENOMEM : EREMOTEIO;
    if (!proxy && error && weft_is_error(value))
        *error = value;
    else
        weft_drop(value);
    return proxy;
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
    weft_proxy *proxy = created(remote, name, value, read.error);
    if (proxy && read.renew) {
        proxy->renew = true;
        proxy->arguments = weft_keep(read.arguments);
        proxy->keywords = weft_keep(read.keywords);
    }
    return proxy;
}

int wefti_remote_own(weft_remote *remote, const char *function, weft_value argument, weft_value *answer, weft_time deadline)
{
    weft_value kept = weft_keep(argument), arguments = weft_tuple(&kept, 1), reply;
    if (weft_is_error(arguments)) {
        weft_drop(kept);
        return fails(ENOMEM);
    }
    int result = wefti_remote_exchange(remote, NULL, function, arguments, weft_none, &reply, deadline);
    weft_drop(arguments);
    if (result == 0)
        wefti_reply_read(reply, answer);
    return result;
}

void wefti_reference_return(weft_remote *remote, weft_value ident)
{
    weft_value answer;
    if (wefti_remote_own(remote, "decref", ident, &answer, weft_in(GOODBYE)) == 0)
        weft_drop(answer);
}

void weft_proxy_free(weft_proxy *proxy)
{
    if (!proxy)
        return;
    int error = errno;
    weft_value ident = weft_str(weft_proxy_ident(proxy));
    weft_shield wefti_reference_return(proxy->remote, ident);
    weft_drop(ident);
    wefti_remote_release(proxy->remote);
    weft_drop(proxy->exposed);
    weft_drop(proxy->type);
    weft_drop(proxy->value);
    weft_drop(proxy->arguments);
    weft_drop(proxy->keywords);
    for (struct wefti_ident *name = proxy->ident, *before; name; name = before) {
        before = name->before;
        wefti_release(name);
    }
    wefti_release(proxy);
    errno = error;
}

const char *weft_proxy_ident(const weft_proxy *proxy)
{
    if (proxy)
        return __atomic_load_n(&proxy->ident, __ATOMIC_ACQUIRE)->text;
    errno = EINVAL;
    return NULL;
}

/* Renewing. */

/* Whether a manager says that it does not know the object: then it has done nothing. */
static bool reply_is_unknown(weft_value reply, const char *ident)
{
    weft_value text = weft_list_at(reply, 1);
    const char *at = text.kind == WEFT_STR && strcmp(weft_as_str(weft_list_at(reply, 0)), "#TRACEBACK") == 0
                         ? strstr(weft_as_str(text), "KeyError: '")
                         : NULL;
    size_t length = strlen(ident);
    return at && strncmp(at + 11, ident, length) == 0 && at[11 + length] == '\'';
}

/* By another object of the same name. With the proxy's lock held. */
static int proxy_replace(weft_proxy *proxy, weft_time deadline)
{
    struct weft_proxy_options asked = {.size = sizeof(asked), .arguments = proxy->arguments, .keywords = proxy->keywords};
    weft_proxy *made = weft_proxy_new_with(proxy->remote, weft_as_str(proxy->type), &asked, deadline);
    if (!made)
        return -1;
    struct wefti_ident *name = made->ident;
    wefti_seats_leave(proxy->remote, proxy->ident->text);
    name->before = proxy->ident;
    __atomic_store_n(&proxy->ident, name, __ATOMIC_RELEASE);
    made->ident = NULL; /* the reference is the proxy's now */
    wefti_remote_release(made->remote);
    weft_drop(made->exposed);
    weft_drop(made->type);
    wefti_release(made);
    return 0;
}

/* Unless another task has done so already. */
static int proxy_renew(weft_proxy *proxy, const char *unknown, weft_time deadline)
{
    if (weft_lock_acquire(&proxy->lock, deadline) < 0)
        return -1;
    int result = strcmp(weft_proxy_ident(proxy), unknown) == 0 ? proxy_replace(proxy, deadline) : 0;
    int error = errno;
    weft_lock_release(&proxy->lock);
    errno = error;
    return result;
}

static int proxy_exchange(
    weft_proxy *proxy, const char *method, const struct weft_proxy_options *options, weft_value *reply, weft_time deadline)
{
    const char *ident = weft_proxy_ident(proxy);
    int result = wefti_remote_exchange(proxy->remote, ident, method, options->arguments, options->keywords, reply, deadline);
    if (result != 0 || !proxy->renew || !reply_is_unknown(*reply, ident))
        return result;
    weft_drop(*reply);
    if (proxy_renew(proxy, ident, deadline) != 0)
        return -1;
    return wefti_remote_exchange(proxy->remote, weft_proxy_ident(proxy), method, options->arguments, options->keywords, reply, deadline);
}

/* (exposed, token), of an object that the answer has a reference for. Its address is the server's own view, and not looked at. */
static int answer_is_proxy(weft_remote *remote, weft_value *value, weft_proxy **proxy)
{
    weft_value token = weft_list_at(*value, 1), state = token.kind == WEFT_OBJECT ? weft_object_state(token) : weft_none;
    weft_value type = weft_list_at(state, 0), ident = weft_list_at(state, 2);
    weft_proxy *made = NULL;
    if (ident.kind == WEFT_STR && proxy)
        made = wefti_proxy_make(remote, ident, weft_list_at(*value, 0), type);
    if (ident.kind == WEFT_STR && !made)
        weft_shield wefti_reference_return(remote, ident);
    weft_drop(*value);
    *value = weft_none;
    if (made)
        *proxy = made;
    else if (!proxy)
        *value = weft_error(ENOTSUP, "the answer is another object, and .proxy was not given");
    return made || !proxy ? 0 : fails(ENOMEM);
}

/* One that lay in what was asked: it has no reference of ours yet. What the manager says against that is the answer. */
static int answer_has_proxy(weft_remote *remote, weft_value *value, weft_proxy **proxy, weft_time deadline)
{
    weft_value error = weft_none;
    weft_proxy *made = weft_proxy_of_value(remote, *value, &error, deadline);
    int code = errno;
    weft_drop(*value);
    *value = error;
    if (made)
        *proxy = made;
    return made || weft_is_error(error) ? 0 : fails(code);
}

static int answer(weft_remote *remote, weft_value reply, weft_value *result, weft_proxy **proxy, weft_time deadline)
{
    weft_value value;
    bool another = wefti_reply_read(reply, &value) == 1;
    if (another && answer_is_proxy(remote, &value, proxy) != 0)
        return -1;
    if (!another && proxy && wefti_proxy_is_of(remote, value) && answer_has_proxy(remote, &value, proxy, deadline) != 0)
        return -1;
    if (result)
        *result = value;
    else
        weft_drop(value);
    return 0;
}

const char *weft_proxy_reason(const weft_proxy *proxy)
{
    int before = errno;
    const struct wefti_seat *seat = proxy ? wefti_seat_of(proxy->remote, NULL, false) : NULL;
    errno = before;
    return seat && seat->connection ? weft_connection_reason(seat->connection) : "";
}

/* Of a call that failed: what of its arguments or its answer is refused, if that is why. */
static void refused_tell(const weft_proxy *proxy, weft_value *error)
{
    int code = errno;
    bool came = code == EBADMSG || code == EMSGSIZE;
    const char *reason = error && wefti_error_is_refusal(code) ? weft_proxy_reason(proxy) : "";
    if (*reason)
        *error = weft_error_of_type(code, came ? "_pickle.UnpicklingError" : "_pickle.PicklingError", "%s", reason);
    errno = code;
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
    if (proxy_exchange(proxy, method, &read, &reply, deadline) != 0) {
        refused_tell(proxy, read.error);
        return -1;
    }
    return answer(proxy->remote, reply, result, read.proxy, deadline);
}

int wefti_proxy_ask(
    weft_proxy *proxy, const char *method, weft_value arguments, weft_value keywords, weft_value *result, bool *raised, weft_time deadline)
{
    const struct weft_proxy_options options = {.arguments = arguments, .keywords = keywords};
    weft_value reply;
    if (proxy_exchange(proxy, method, &options, &reply, deadline) != 0)
        return -1;
    *raised = strcmp(weft_as_str(weft_list_at(reply, 0)), "#RETURN") != 0;
    return answer(proxy->remote, reply, result, NULL, deadline);
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
    return answer(remote, reply, result, read.proxy, deadline);
}

/* SPDX-License-Identifier: MIT */
/*
 * A client's connection, as a coroutine: the proof of the key, then one request and its answer, or, when that is accept_connection,
 * requests to objects until the client goes.
 *
 * Of an unknown client nothing but the proof is read, 256 octets at a time. Proof and first request have the time that the options give;
 * after that a connection may be silent for days. A reply that does not reach its client is undone where that matters: an item that was got
 * goes back, a lock is given up. TCP takes what is sent to one who is no longer there, so for such replies his end is looked for first.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "manager/manager.h"
#include "value/recursive.h"
#include "value/utf8.h"
#include "wait/wait.h"

enum { NEAR_EACH = 64 /* requests */ };

/* "ValueError: text", for who gets no exception but its text. */
static weft_value exception_text(weft_value exception)
{
    char text[500] = "";
    const char *name = exception.kind == WEFT_OBJECT ? weft_object_name(exception) : weft_error_type(exception);
    weft_value arguments = exception.kind == WEFT_OBJECT ? weft_object_arguments(exception) : weft_none;
    if (exception.kind == WEFT_ERROR)
        snprintf(text, sizeof(text), "%s", weft_error_text(exception));
    else if (weft_length(arguments) == 1 && weft_list_at(arguments, 0).kind == WEFT_STR && strcmp(name, "KeyError") != 0)
        snprintf(text, sizeof(text), "%s", weft_as_str(weft_list_at(arguments, 0)));
    else if (weft_length(arguments) > 0)
        wefti_repr_begin(weft_length(arguments) == 1 ? weft_list_at(arguments, 0) : arguments, text, sizeof(text));
    wefti_utf8_whole(text);
    return weft_str_f("%s%s%s\n", name ? name : "OSError", *text ? ": " : "", text);
}

static int reply_write(struct wefti_session *session, weft_value kind, weft_value value, struct wefti_pickle_reason *reason)
{
    weft_value parts[] = {weft_keep(kind), weft_keep(value)}, pair = weft_tuple(parts, 2);
    session->out.length = 0;
    if (weft_is_error(pair)) {
        weft_drop(parts[0]);
        weft_drop(parts[1]);
        snprintf(reason->text, sizeof(reason->text), "out of memory");
        return -1;
    }
    int result = wefti_pickle_write(pair, &session->out, PTRDIFF_MAX, reason);
    weft_drop(pair);
    return result;
}

static int reply_text(struct wefti_session *session, const char *kind, char *text)
{
    wefti_utf8_whole(text);
    struct wefti_pickle_reason reason;
    weft_value kind_value = weft_str(kind), value = weft_str(text);
    int result = weft_is_error(kind_value) || weft_is_error(value) ? -1 : reply_write(session, kind_value, value, &reason);
    weft_drop(kind_value);
    weft_drop(value);
    return result;
}

/* What is long is not kept. */
static void out_trim(struct wefti_octets *out)
{
    if (out->room <= 1 << 16)
        return;
    wefti_release(out->octets);
    *out = (struct wefti_octets){0};
}

static int reply_send(struct wefti_session *session)
{
    int result = wefti_frame_send(session->connection, session->out.octets, session->out.length, WEFT_FOREVER);
    out_trim(&session->out);
    return result;
}

/* The answer to a call, whose result is given away. False: the connection is at its end. */
static bool reply(struct wefti_call *call, weft_value result, bool once)
{
    struct wefti_session *session = call->session;
    struct wefti_pickle_reason reason = {.text = ""};
    bool error = call->kind && strcmp(call->kind, "#ERROR") == 0;
    if (call->kind && strcmp(call->kind, "#GONE") == 0)
        return weft_drop(result), false;
    if (error && once) {
        weft_value text = exception_text(result);
        weft_drop(result);
        result = text;
        call->kind = "#TRACEBACK";
    }
    weft_value kind = call->kind ? weft_str(call->kind) : weft_keep(call->manager->returned);
    int made = weft_is_error(kind) ? -1 : reply_write(session, kind, result, &reason);
    weft_drop(kind);
    if (made != 0)
        made = reply_text(session, once ? "#TRACEBACK" : "#UNSERIALIZABLE", reason.text);
    if (made == 0)
        made = call->undo && wefti_session_gone(session) ? -1 : reply_send(session);
    if (made != 0 && call->undo && (!call->kind || !error)) {
        wefti_manager_enter(call->manager);
        call->undo(call, result);
        wefti_manager_leave(call->manager);
    } else
        weft_drop(result);
    return made == 0;
}

static weft_value key_unknown(struct wefti_call *call, weft_value key)
{
    char text[120];
    wefti_repr_begin(key, text, sizeof(text));
    return wefti_traceback(call, "KeyError: %s\n", text);
}

/* Object mode. */

/* A str that a repr gives is the text; what is the object's value is printed. */
static weft_value object_repr(struct wefti_managed *object)
{
    char text[8192];
    weft_value printed = object->type->repr ? object->type->repr(object) : weft_none;
    if (printed.kind == WEFT_STR || weft_is_error(printed))
        return printed;
    if (!object->type->repr)
        return weft_str_f(
            "<%s object at 0x%lx>", object->offer && object->offer->user ? object->offer->name : object->type->name, object->ident);
    wefti_repr_begin(printed, text, sizeof(text));
    weft_drop(printed);
    return weft_str(text);
}

/* What every object answers, whatever it exposes. With the lock held. */
static weft_value call_fallback(struct wefti_call *call, weft_value called)
{
    struct wefti_managed *object = call->object;
    const char *name = weft_as_str(called);
    if (strcmp(name, "__str__") == 0 || strcmp(name, "__repr__") == 0)
        return object_repr(object);
    if (strcmp(name, "#GETVALUE") != 0)
        return key_unknown(call, called);
    if (object->type->value)
        return object->type->value(object);
    call->kind = "#UNSERIALIZABLE";
    return weft_str_f("cannot pickle '%s' object", object->type->name);
}

static weft_value call_method(struct wefti_call *call)
{
    weft_value error, result;
    if (!call->method->raw && !wefti_bind(call, call->method->parameters, call->method->required, &error))
        return error;
    if (!call->method->unlocked)
        return call->method->function(call);
    wefti_manager_leave(call->manager);
    result = call->method->function(call);
    wefti_manager_enter(call->manager);
    return result;
}

/* With the lock held, as on return. */
static weft_value call_object(struct wefti_call *call, weft_value name)
{
    weft_value result;
    call->name = weft_as_str(name);
    if (!wefti_is_name(name))
        return key_unknown(call, name);
    call->method = wefti_method_find(call->object->type, call->name);
    if (call->method)
        return call_method(call);
    if (!wefti_user_has(call->object, call->name))
        return call_fallback(call, name);
    wefti_manager_leave(call->manager);
    result = wefti_user_call(call, call->name);
    wefti_manager_enter(call->manager);
    return result;
}

static bool request_has_proxies(const struct wefti_session *session)
{
    const struct wefti_octets *body = &session->connection->body;
    return memmem(body->octets, body->length, "RebuildProxy", 12) != NULL;
}

static bool serve_request(struct wefti_session *session, weft_value request, bool proxies)
{
    weft_manager *manager = session->manager;
    struct wefti_call call = {
        .manager = manager, .session = session, .arguments = weft_list_at(request, 2), .keywords = weft_list_at(request, 3)};
    weft_value ident = weft_list_at(request, 0), result;
    wefti_manager_enter(manager);
    call.object = wefti_managed_named(manager, ident);
    if (!call.object)
        result = key_unknown(&call, ident);
    else {
        call.object->users++;
        if (!proxies || (wefti_proxies_pin(&call, call.arguments, &result) && wefti_proxies_pin(&call, call.keywords, &result)))
            result = call_object(&call, weft_list_at(request, 1));
    }
    wefti_manager_leave(manager);
    bool good = reply(&call, result, false);
    if (call.object) {
        wefti_manager_enter(manager);
        call.object->users--;
        wefti_managed_settle(manager, call.object);
        wefti_manager_leave(manager);
    }
    return good;
}

/* Whether it is (ident, method, arguments, keywords). */
static bool is_request(weft_value request)
{
    if ((request.kind != WEFT_TUPLE && request.kind != WEFT_LIST) || weft_length(request) != 4)
        return false;
    weft_value arguments = weft_list_at(request, 2), keywords = weft_list_at(request, 3), key;
    size_t at = 0;
    if (weft_list_at(request, 1).kind != WEFT_STR || (arguments.kind != WEFT_TUPLE && arguments.kind != WEFT_LIST) ||
        keywords.kind != WEFT_DICT)
        return false;
    while (weft_dict_next(keywords, &at, &key, NULL))
        if (key.kind != WEFT_STR)
            return false;
    return true;
}

/* Of a request that has references upwards: its parts as they are outside of it, and its arguments as they are outside of those. */
static bool request_unfold(weft_value *request)
{
    weft_value parts[4], made = weft_none;
    if (!wefti_item_recursive(*request))
        return true;
    for (ptrdiff_t i = 0; i < 4; i++)
        parts[i] = weft_unfold(*request, weft_list_at(*request, i));
    weft_value arguments = wefti_recursive_items(parts[2]), keywords = weft_copy(parts[3]);
    weft_drop(parts[2]), weft_drop(parts[3]);
    parts[2] = arguments, parts[3] = keywords;
    bool good = true;
    for (int i = 0; i < 4; i++)
        good = good && !weft_is_error(parts[i]);
    if (good)
        made = weft_tuple(parts, 4);
    if (made.kind != WEFT_TUPLE) {
        for (int i = 0; i < 4; i++)
            weft_drop(parts[i]);
        return false;
    }
    weft_drop(*request);
    *request = made;
    return true;
}

/*
 * The next request: 1; 0 when it was none, and the client has been told so; -1: the connection is at its end. `proxies`: there may be some
 * in it.
 */
static int request_receive(struct wefti_session *session, weft_value *request, bool *proxies, weft_time deadline)
{
    weft_connection *connection = session->connection;
    struct wefti_pickle_limits limits = {.length = connection->most, .exceptions_stay = true, .relay = connection->relay};
    struct wefti_pickle_reason reason = {.text = ""};
    char text[sizeof(reason.text) + 60];
    if (wefti_frame_receive(connection, connection->most, deadline) != 0 || connection->body.length == 0)
        return -1;
    int result = wefti_pickle_read(connection->body.octets, connection->body.length, &limits, request, &reason);
    *proxies = result == 0 && request_has_proxies(session);
    wefti_frame_trim(connection);
    bool good = result == 0 && is_request(*request), whole = good && request_unfold(request);
    if (whole)
        return 1;
    if (result == 0)
        weft_drop(*request);
    snprintf(text, sizeof(text), "%s%s\n",
        good          ? "MemoryError"
        : result == 0 ? "ValueError: "
                      : "_pickle.UnpicklingError: ",
        good          ? ""
        : result == 0 ? "not a request"
                      : reason.text);
    return reply_text(session, "#TRACEBACK", text) == 0 && reply_send(session) == 0 ? 0 : -1;
}

/* Another session may release a Lock that this one has. */
static bool session_holds(const struct wefti_session *session)
{
    wefti_manager_enter(session->manager);
    bool holds = session->holdings != NULL;
    wefti_manager_leave(session->manager);
    return holds;
}

/* True: another server goes on, nearer to the client. What it holds is known by the session, so not while it holds anything. */
static bool serve_objects(struct wefti_session *session)
{
    session->connection->settled = true;
    weft_value request;
    bool proxies;
    for (int got; (got = request_receive(session, &request, &proxies, WEFT_FOREVER)) >= 0;) {
        if (got == 0)
            continue;
        bool good = serve_request(session, request, proxies);
        weft_drop(request);
        if (!good)
            return false;
        if (++session->answered % NEAR_EACH == 0 && !session_holds(session) && wefti_server_gives_nearer(session->connection))
            return true;
    }
    return false;
}

/* The server's own functions. With the lock held. */

static weft_value own_dummy(struct wefti_call *call)
{
    (void)call;
    return weft_none;
}

/* incref and decref. */
static weft_value own_refer(struct wefti_call *call, long change)
{
    struct wefti_managed *object = wefti_managed_named(call->manager, call->bound[0]);
    if (!object)
        return key_unknown(call, call->bound[0]);
    object->references += object->references + change < 0 ? 0 : change;
    wefti_managed_settle(call->manager, object);
    return weft_none;
}

static weft_value own_incref(struct wefti_call *call)
{
    return own_refer(call, 1);
}

static weft_value own_decref(struct wefti_call *call)
{
    return own_refer(call, -1);
}

static weft_value own_get_methods(struct wefti_call *call)
{
    weft_value token = call->bound[0], ident = token.kind == WEFT_OBJECT ? weft_list_at(weft_object_state(token), 2) : weft_none;
    struct wefti_managed *object = wefti_managed_named(call->manager, ident);
    return object ? wefti_exposed(object) : key_unknown(call, ident);
}

static weft_value own_number(struct wefti_call *call)
{
    int64_t count = 0;
    for (size_t i = 0; call->manager->buckets && i <= call->manager->bucket_mask; i++)
        for (struct wefti_managed *object = call->manager->buckets[i]; object; object = object->next)
            count += object->references > 0;
    return weft_int(count);
}

/* In the order of their numbers, which the table does not have. */
static struct wefti_managed *managed_after(weft_manager *manager, uint64_t ident, bool first)
{
    struct wefti_managed *next = NULL;
    for (size_t i = 0; manager->buckets && i <= manager->bucket_mask; i++)
        for (struct wefti_managed *object = manager->buckets[i]; object; object = object->next)
            if (object->references > 0 && (first || object->ident > ident) && (!next || object->ident < next->ident))
                next = object;
    return next;
}

enum { DEBUG_MOST = 1000, DEBUG_TEXT = 75 /* octets of each */ };

static weft_value own_debug_info(struct wefti_call *call)
{
    char text[DEBUG_TEXT + 1];
    weft_value lines = weft_str(""), longer;
    struct wefti_managed *object = managed_after(call->manager, 0, true);
    for (int i = 0; object && i < DEBUG_MOST; i++, object = managed_after(call->manager, object->ident, false)) {
        weft_value printed = object_repr(object);
        snprintf(text, sizeof(text), "%s", weft_is_error(printed) ? "" : weft_as_str(printed));
        wefti_utf8_whole(text);
        longer = weft_str_f("%s%s  %lx:       refcount=%ld\n    %s", weft_is_error(lines) ? "" : weft_as_str(lines), i ? "\n" : "",
            object->ident, object->references, text);
        weft_drop(printed);
        weft_drop(lines);
        lines = longer;
    }
    return lines;
}

static weft_value own_shutdown(struct wefti_call *call)
{
    if (call->manager->options.no_shutdown)
        return wefti_traceback(call, "PermissionError: clients may not shut this manager down\n");
    call->session->leaving = true;
    return weft_none;
}

static weft_value own_accept_connection(struct wefti_call *call)
{
    (void)call;
    return weft_none;
}

static struct wefti_offer_entry *offer_named(const weft_manager *manager, const char *name)
{
    struct wefti_offer_entry *offer = manager->offers;
    while (offer && strcmp(offer->name, name) != 0)
        offer = offer->next;
    return offer;
}

static weft_value created(struct wefti_call *call, struct wefti_managed *object)
{
    char ident[WEFTI_IDENT];
    wefti_ident_text(object->ident, ident);
    weft_value parts[] = {weft_str(ident), wefti_exposed(object)}, pair = weft_tuple(parts, 2);
    if (weft_is_error(parts[0]) || weft_is_error(parts[1]) || weft_is_error(pair)) {
        weft_drop(weft_is_error(pair) ? parts[0] : pair);
        return wefti_raise_memory(call);
    }
    object->references++;
    return pair;
}

/* He never learned the name. */
static void create_undo(struct wefti_call *call, weft_value result)
{
    struct wefti_managed *object = wefti_managed_named(call->manager, weft_list_at(result, 0));
    if (object) {
        object->references--;
        wefti_managed_settle(call->manager, object);
    }
    weft_drop(result);
}

static weft_value construct(struct wefti_call *call)
{
    const struct wefti_managed_type *type = call->object->type;
    weft_value error;
    if (!type->raw && !wefti_bind(call, type->parameters, type->required, &error))
        return error;
    return type->construct(call);
}

weft_value wefti_create(struct wefti_call *call, const struct wefti_offer_entry *offer)
{
    call->object = offer->object ? offer->object : wefti_managed_new(call->manager, offer->type, offer);
    if (!call->object)
        return wefti_raise_memory(call);
    call->name = offer->name;
    call->object->users += offer->object ? 1 : 0;
    weft_value result = offer->object ? weft_none : construct(call);
    if (!wefti_raised(call))
        result = created(call, call->object);
    call->object->users--;
    wefti_managed_settle(call->manager, call->object);
    return result;
}

/* The typeid is the first argument, and the rest is for what it names. */
static weft_value own_create(struct wefti_call *call)
{
    weft_value all = call->arguments, name = weft_list_at(all, 0), rest = weft_list(), result;
    if (weft_length(all) == 0 || name.kind != WEFT_STR)
        return weft_drop(rest), wefti_traceback(call, "TypeError: create() needs the name of a type\n");
    const struct wefti_offer_entry *offer = wefti_is_name(name) ? offer_named(call->manager, weft_as_str(name)) : NULL;
    if (!offer)
        return weft_drop(rest), key_unknown(call, name);
    for (size_t i = 1; i < weft_length(all); i++)
        if (weft_is_error(rest) || weft_list_append(rest, weft_keep(weft_list_at(all, (ptrdiff_t)i))) != 0)
            return weft_drop(rest), wefti_raise_memory(call);
    call->arguments = rest;
    result = wefti_create(call, offer);
    call->undo = create_undo;
    weft_drop(rest);
    call->arguments = all;
    return result;
}

static const struct wefti_method own_functions[] = {
    {.name = "accept_connection", .function = own_accept_connection, .parameters = {"name"}, .required = 1},
    {.name = "create", .function = own_create, .raw = true},
    {.name = "debug_info", .function = own_debug_info},
    {.name = "decref", .function = own_decref, .parameters = {"ident"}, .required = 1},
    {.name = "dummy", .function = own_dummy},
    {.name = "get_methods", .function = own_get_methods, .parameters = {"token"}, .required = 1},
    {.name = "incref", .function = own_incref, .parameters = {"ident"}, .required = 1},
    {.name = "number_of_objects", .function = own_number},
    {.name = "shutdown", .function = own_shutdown},
};
static const struct wefti_managed_type own_type = {
    "server", own_functions, sizeof(own_functions) / sizeof(*own_functions), .construct = NULL};

static weft_value own_call(struct wefti_call *call, weft_value name, bool proxies)
{
    weft_value error;
    char text[120];
    call->name = weft_as_str(name);
    call->method = wefti_is_name(name) ? wefti_method_find(&own_type, call->name) : NULL;
    if (!call->method) {
        wefti_repr_begin(name, text, sizeof(text));
        return wefti_traceback(call, "AssertionError: %s unrecognized\n", text);
    }
    if (proxies && (!wefti_proxies_pin(call, call->arguments, &error) || !wefti_proxies_pin(call, call->keywords, &error)))
        return error;
    if (!call->method->raw && !wefti_bind(call, call->method->parameters, call->method->required, &error))
        return error;
    return call->method->function(call);
}

/* The first request. True: objects are asked for from now on. */
static bool serve_first(struct wefti_session *session, weft_value request, bool proxies)
{
    struct wefti_call call = {
        .manager = session->manager, .session = session, .arguments = weft_list_at(request, 2), .keywords = weft_list_at(request, 3)};
    wefti_manager_enter(session->manager);
    weft_value result = own_call(&call, weft_list_at(request, 1), proxies);
    wefti_manager_leave(session->manager);
    bool accepted = call.method && call.method->function == own_accept_connection && !wefti_raised(&call);
    return reply(&call, result, true) && accepted;
}

/* All of what is left: from the first request for an object. */
static enum wefti_session_end serve_rest(struct wefti_session *session)
{
    if (serve_objects(session))
        return WEFTI_SESSION_GIVEN;
    wefti_server_done(session->connection);
    wefti_manager_enter(session->manager);
    wefti_holdings_end(session);
    wefti_manager_leave(session->manager);
    return session->leaving ? WEFTI_SESSION_STOPS : WEFTI_SESSION_OVER;
}

enum wefti_session_end wefti_session_serve(weft_manager *manager, weft_connection *connection, weft_time late)
{
    struct wefti_session session = {.manager = manager, .connection = connection};
    enum wefti_session_end end = WEFTI_SESSION_OVER;
    weft_value request;
    bool proxies, objects = false;
    if (request_receive(&session, &request, &proxies, late) == 1) {
        objects = serve_first(&session, request, proxies);
        weft_drop(request);
    }
    if (objects)
        end = wefti_server_gives(connection) ? WEFTI_SESSION_GIVEN : serve_rest(&session);
    else if (session.leaving)
        end = WEFTI_SESSION_STOPS;
    wefti_release(session.out.octets);
    return end;
}

static weft_value session_over(weft_manager *manager, weft_connection *connection, enum wefti_session_end end)
{
    if (end != WEFTI_SESSION_GIVEN)
        weft_connection_close(connection);
    if (end == WEFTI_SESSION_STOPS)
        wefti_manager_stop(manager);
    return weft_none;
}

weft_value wefti_session_run(weft_value argument)
{
    weft_connection *connection = weft_as_ptr(argument);
    weft_manager *manager = ((struct wefti_server *)connection->owner)->manager;
    weft_time late = weft_in(manager->options.handshake_seconds);
    enum wefti_session_end end = WEFTI_SESSION_OVER;
    connection->eager = true;
    if (wefti_listener_prove(manager->listener, connection, late) == 0)
        end = wefti_session_serve(manager, connection, late);
    return session_over(manager, connection, end);
}

weft_value wefti_session_go_on(weft_value argument)
{
    weft_connection *connection = weft_as_ptr(argument);
    weft_manager *manager = ((struct wefti_server *)connection->owner)->manager;
    struct wefti_session session = {.manager = manager, .connection = connection};
    enum wefti_session_end end = serve_rest(&session);
    wefti_release(session.out.octets);
    return session_over(manager, connection, end);
}

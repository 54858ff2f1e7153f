/* SPDX-License-Identifier: MIT */
/*
 * Managers: what is registered, and a process that serves (serve.c).
 *
 * Own process: a fork of this one, in which the manager and the listening socket are copies; here the socket is closed. The process is the
 * family's, and ends with it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/options.h"
#include "manager/manager.h"
#include "manager/remote.h"
#include "wait/wait.h"

static const double HANDSHAKE_SECONDS = 20;

static int fails(int error)
{
    errno = error;
    return -1;
}

void wefti_manager_enter(weft_manager *manager)
{
    if (__builtin_expect(weft_lock_acquire(&manager->lock, WEFT_FOREVER) >= 0, 1))
        return;
    wefti_shield_raise();
    weft_lock_acquire(&manager->lock, WEFT_FOREVER);
    wefti_shield_lower();
}

void wefti_manager_leave(weft_manager *manager)
{
    weft_lock_release(&manager->lock);
}

void wefti_manager_stop(weft_manager *manager)
{
    __atomic_store_n(&manager->stop, 1, __ATOMIC_RELEASE);
    weft_wake(&manager->stop, UINT32_MAX);
}

static int manager_prepare(weft_manager *manager)
{
    const struct weft_manager_options *options = &manager->options;
    manager->listener = weft_connection_listen(options->address, .key = options->key, .key_length = options->key_length,
        .key_file = options->key_file, .key_variable = options->key_variable, .sha256_only = options->sha256_only, .relay = options->relay,
        .handshake_seconds = options->handshake_seconds, .most = options->most, .backlog = options->backlog);
    if (!manager->listener)
        return -1;
    if (!wefti_listener_keyed(manager->listener))
        return fails(EINVAL);
    manager->options.key = NULL;
    wefti_connection_patience(wefti_listener_descriptor(manager->listener)); /* clients have what the listener has */
    if (!(manager->options.handshake_seconds > 0))
        manager->options.handshake_seconds = HANDSHAKE_SECONDS;
    manager->address = wefti_address_value(weft_listener_address(manager->listener));
    manager->returned = weft_str("#RETURN");
    if (weft_is_error(manager->address) || weft_is_error(manager->returned))
        return fails(ENOMEM);
    if (getrandom(&manager->next_ident, sizeof(manager->next_ident), 0) != sizeof(manager->next_ident))
        return -1;
    manager->next_ident &= UINT64_MAX >> 2; /* and is far from its end */
    manager->next_ident |= (uint64_t)1 << 60;
    return 0;
}

static int register_standard(weft_manager *manager)
{
    const struct wefti_managed_type *type;
    for (size_t i = 0; (type = wefti_standard_type(i)); i++)
        if (weft_manager_register(manager, type->name, .standard = type->name) != 0)
            return -1;
    return 0;
}

weft_manager *weft_manager_new_with(const struct weft_manager_options *options)
{
    struct weft_manager_options read;
    if (!wefti_options_read(&read, sizeof(read), options, offsetof(struct weft_manager_options, key)))
        return NULL;
    weft_manager *manager = wefti_alloc(sizeof(*manager));
    if (!manager)
        return NULL;
    manager->options = read;
    if (manager_prepare(manager) == 0 && (!read.standard || register_standard(manager) == 0))
        return manager;
    weft_manager_free(manager);
    return NULL;
}

const char *weft_manager_address(const weft_manager *manager)
{
    if (manager)
        return weft_listener_address(manager->listener);
    errno = EINVAL;
    return NULL;
}

/* Registering. */

static bool options_name_one(const struct weft_manager_register_options *options)
{
    int things = (options->queue != NULL) + (options->type != NULL) + (options->function != NULL) + (options->standard != NULL);
    if (things != 1 || !options->manager || !options->name || !*options->name)
        return false;
    if (options->type && !options->object && !options->type->construct)
        return false;
    if (options->standard && !wefti_standard_named(options->standard))
        return false;
    return options->arguments.kind == WEFT_NONE || (options->arguments.kind == WEFT_TUPLE && options->single);
}

static const struct wefti_managed_type *options_type(const struct weft_manager_register_options *options)
{
    if (options->queue)
        return &wefti_type_given_queue;
    if (options->type)
        return &wefti_type_user;
    return options->function ? &wefti_type_value_of_call : wefti_standard_named(options->standard);
}

/* The one for all. */
static int offer_pin(weft_manager *manager, struct wefti_offer_entry *offer, void *state)
{
    offer->object = wefti_managed_new(manager, offer->type, offer);
    if (!offer->object)
        return -1;
    offer->object->state = state;
    offer->object->pinned = true;
    offer->object->users = 0;
    return 0;
}

static int offer_make_single(weft_manager *manager, struct wefti_offer_entry *offer, weft_value arguments)
{
    weft_value none = weft_tuple(NULL, 0), keywords = weft_dict();
    struct wefti_call call = {
        .manager = manager, .arguments = arguments.kind == WEFT_TUPLE ? arguments : none, .keywords = keywords, .name = offer->name};
    weft_value pair = weft_is_error(none) || weft_is_error(keywords) ? wefti_raise_memory(&call) : wefti_create(&call, offer);
    if (!wefti_raised(&call)) {
        offer->object = call.object;
        offer->object->references = 0;
        offer->object->pinned = true;
    }
    weft_drop(pair);
    weft_drop(none);
    weft_drop(keywords);
    return wefti_raised(&call) ? fails(EINVAL) : 0;
}

static int offer_fill(weft_manager *manager, struct wefti_offer_entry *offer, const struct weft_manager_register_options *options)
{
    offer->type = options_type(options);
    offer->user = options->type;
    offer->function = options->function;
    offer->data = options->function ? options->object : options->data;
    offer->name = wefti_alloc_raw(strlen(options->name) + 1);
    if (!offer->name)
        return -1;
    memcpy(offer->name, options->name, strlen(options->name) + 1);
    if (options->queue || (options->type && options->object))
        return offer_pin(manager, offer, options->queue ? (void *)options->queue : options->object);
    return options->single ? offer_make_single(manager, offer, options->arguments) : 0;
}

int weft_manager_register_with(const struct weft_manager_register_options *options)
{
    struct weft_manager_register_options read;
    if (!wefti_options_read(&read, sizeof(read), options, offsetof(struct weft_manager_register_options, queue)))
        return -1;
    if (!options_name_one(&read))
        return fails(EINVAL);
    if (__atomic_load_n(&read.manager->serving, __ATOMIC_RELAXED))
        return fails(EBUSY);
    struct wefti_offer_entry *offer = wefti_alloc(sizeof(*offer));
    if (!offer)
        return -1;
    wefti_manager_enter(read.manager);
    int result = offer_fill(read.manager, offer, &read);
    if (result == 0) {
        offer->next = read.manager->offers; /* found before an older one of its name */
        read.manager->offers = offer;
    }
    wefti_manager_leave(read.manager);
    if (result == 0)
        return 0;
    int error = errno;
    wefti_release(offer->name);
    wefti_release(offer);
    return fails(error);
}

/* A process of its own. */

/* Of the process that is being forked: its function's argument cannot lead here. */
static weft_lock starting_lock;
static weft_manager *starting;

static weft_value process_run(weft_value argument)
{
    (void)argument;
    weft_manager *manager = starting;
    return weft_manager_serve(manager) == 0 ? weft_none : weft_error(errno, "the manager could not serve");
}

int weft_manager_start(weft_manager *manager)
{
    if (!manager)
        return fails(EINVAL);
    if (__atomic_load_n(&manager->serving, __ATOMIC_RELAXED) || manager->process)
        return fails(EBUSY);
    weft_lock_acquire(&starting_lock, WEFT_FOREVER);
    starting = manager;
    manager->process = weft_spawn(WEFT_PROCESS, process_run, weft_none, .name = "Manager", .daemon = true, .method = WEFT_FORK);
    int error = errno;
    starting = NULL;
    weft_lock_release(&starting_lock);
    if (manager->process)
        wefti_listener_leave(manager->listener);
    return manager->process ? 0 : fails(error);
}

void weft_manager_shutdown(weft_manager *manager)
{
    if (!manager)
        return;
    if (!manager->process) {
        wefti_manager_stop(manager); /* who is about to serve must not miss it */
        return;
    }
    weft_task_terminate(manager->process);
    wefti_shield_raise();
    weft_task_join(manager->process, WEFT_FOREVER);
    wefti_shield_lower();
}

size_t weft_manager_objects(weft_manager *manager)
{
    size_t count = 0;
    if (!manager)
        return 0;
    wefti_manager_enter(manager);
    for (size_t i = 0; manager->buckets && i <= manager->bucket_mask; i++)
        for (struct wefti_managed *object = manager->buckets[i]; object; object = object->next)
            count += object->references > 0;
    wefti_manager_leave(manager);
    return count;
}

void weft_manager_free(weft_manager *manager)
{
    if (!manager)
        return;
    int error = errno;
    if (manager->process) {
        weft_manager_shutdown(manager);
        weft_task_free(manager->process);
    }
    wefti_managed_end_all(manager);
    while (manager->offers) {
        struct wefti_offer_entry *next = manager->offers->next;
        wefti_release(manager->offers->name);
        wefti_release(manager->offers);
        manager->offers = next;
    }
    weft_drop(manager->address);
    weft_drop(manager->returned);
    weft_listener_close(manager->listener);
    wefti_release(manager);
    errno = error;
}

/* SPDX-License-Identifier: MIT */
/* The back end that has epoll alone, and does no transfers; and which back end a hub has. */

#include "coroutine/backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void epoll_look(struct wefti_descriptors *descriptors, weft_time until)
{
    wefti_epoll_look(descriptors, until);
}

static bool epoll_cannot(struct wefti_descriptors *descriptors, struct wefti_item *item)
{
    (void)descriptors, (void)item;
    return false;
}

static void epoll_end(struct wefti_descriptors *descriptors, struct wefti_item *item)
{
    (void)descriptors, (void)item;
}

static int epoll_lend(struct wefti_descriptors *descriptors)
{
    (void)descriptors;
    return 0;
}

static void epoll_needs_nothing(void)
{
}

static void epoll_nothing(struct wefti_descriptors *descriptors)
{
    (void)descriptors;
}

const struct wefti_backend wefti_backend_epoll = {.name = "epoll",
    .load = epoll_needs_nothing,
    .look = epoll_look,
    .begin = epoll_cannot,
    .watch = epoll_cannot,
    .end = epoll_end,
    .lend = epoll_lend,
    .flush = epoll_nothing,
    .close = epoll_nothing};

/* The back end of the name; NULL: there is none. */
static const struct wefti_backend *backend_named(const char *name)
{
    if (!name || !*name || strcmp(name, "epoll") == 0)
        return &wefti_backend_epoll;
    if (strcmp(name, "io_uring") == 0)
        return wefti_backend_uring ? wefti_backend_uring : &wefti_backend_epoll;
    return NULL;
}

const struct wefti_backend *wefti_backend_chosen(void)
{
    const struct wefti_backend *backend = backend_named(getenv("WEFT_IO"));
    if (backend)
        backend->load();
    else
        errno = EINVAL;
    return backend;
}

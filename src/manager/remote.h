/* SPDX-License-Identifier: MIT */
/* What the files of a manager's client share: remote.c (connections), proxy.c (objects), queue_remote.c. */
#ifndef WEFTI_REMOTE_H
#define WEFTI_REMOTE_H

#include <weft/proxy.h>

#include "connection/connection.h"

/* A manager elsewhere: how to reach it. Counted: by its handle, its proxies, the tasks that have a connection. */
struct weft_remote {
    uint32_t count;
    char *address;
    struct wefti_key key;
    struct weft_connection_options options; /* of a dial */
};

struct weft_proxy {
    weft_remote *remote;
    char *ident;
};

weft_remote *wefti_remote_keep(weft_remote *remote);
void wefti_remote_release(weft_remote *remote);
/*
 * (ident, method, arguments, keywords) and the answer: its kind and value through *reply, a tuple, yours. On the task's own connection, or, without an ident, on one for that. -1 with the errors of
 * weft_proxy_call.
 */
int wefti_remote_exchange(weft_remote *remote, const char *ident, const char *method, weft_value arguments, weft_value keywords,
    weft_value *reply, weft_time deadline);
/* What an answer comes to: 0 with a value, 1 with (exposed, token) of another object; the reply is given away. */
int wefti_reply_read(weft_value reply, weft_value *value);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * For libFuzzer (./check fuzz): whatever octets a client sends that knows the key, the session ends, and nothing is left of it. Frames and
 * all that is in them. An input that begins with an even octet is the stream as it is; one that begins with an odd one is a row of
 * messages, each behind two octets of its length, whose frames are made here; the second bit says whether objects of unknown classes are
 * relayed. Objects 1000000000000000 and on are there: one of each type.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/manager.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length);

static void must(bool held)
{
    if (!held)
        abort();
}

/* One of each type, with the same numbers each time. */
static void objects_make(weft_manager *manager)
{
    weft_value none = weft_tuple(NULL, 0), keywords = weft_dict(), number = weft_int(3), three = weft_tuple(&number, 1);
    weft_value parts[] = {weft_str("i"), weft_tuple(&number, 1)}, array = weft_tuple(parts, 2);
    manager->next_ident = (uint64_t)1 << 60;
    for (struct wefti_offer_entry *offer = manager->offers; offer; offer = offer->next) {
        const char *name = offer->type->name;
        bool typed = strcmp(name, "Array") == 0 || strcmp(name, "Value") == 0;
        struct wefti_call call = {.manager = manager,
            .arguments = typed                          ? array
                         : strcmp(name, "Barrier") == 0 ? three
                                                        : none,
            .keywords = keywords};
        wefti_manager_enter(manager);
        weft_drop(wefti_create(&call, offer));
        wefti_manager_leave(manager);
        must(!wefti_raised(&call));
    }
    weft_drop(none), weft_drop(keywords), weft_drop(three), weft_drop(array);
}

static void send_all(int to, const void *octets, size_t length)
{
    must(send(to, octets, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length || length == 0);
}

static void send_frames(int to, const uint8_t *at, size_t length)
{
    while (length > 2) {
        size_t one = (size_t)at[0] << 8 | at[1];
        one = one < length - 2 ? one : length - 2;
        uint8_t header[4] = {0, 0, (uint8_t)(one >> 8), (uint8_t)one};
        send_all(to, header, 4);
        send_all(to, at + 2, one);
        at += 2 + one;
        length -= 2 + one;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length)
{
    static weft_manager *manager;
    int ends[2];
    if (length < 1 || length > 1 << 16)
        return 0;
    if (!manager)
        manager = weft_manager_new("127.0.0.1:0", .key = "k", .key_length = 1, .standard = true);
    if (!manager)
        return 0; /* built without OpenSSL */
    manager->options.relay = octets[0] / 2 % 2;
    objects_make(manager);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    if (octets[0] % 2)
        send_frames(ends[1], octets + 1, length - 1);
    else
        send_all(ends[1], octets + 1, length - 1);
    shutdown(ends[1], SHUT_WR);
    weft_connection *connection = calloc(1, sizeof(*connection));
    *connection = (weft_connection){.descriptor = ends[0], .most = 1 << 16, .relay = manager->options.relay};
    int size = 1 << 20;
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    wefti_session_serve(manager, connection, weft_in(1));
    weft_connection_close(connection);
    close(ends[1]);
    wefti_manager_enter(manager);
    wefti_managed_end_all(manager);
    wefti_manager_leave(manager);
    return 0;
}

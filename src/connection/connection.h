/* SPDX-License-Identifier: MIT */
/* What the files of this floor share: a connection, its frames (frame.c), its key and the proof of it (authenticate.c), its socket
 * (connection.c). */
#ifndef WEFTI_CONNECTION_H
#define WEFTI_CONNECTION_H

#include <weft/connection.h>

#include "value/pickle.h"
#include "wait/spin.h"

/* A copy of a key; wiped when it ends. */
struct wefti_key {
    void *octets; /* NULL: none, and no proof is asked for or given */
    size_t length;
    bool sha256_only;
};

#ifdef WEFTI_SMALL
enum { WEFTI_AHEAD = 7 };
#else
enum { WEFTI_AHEAD = 512 };
#endif

struct weft_connection {
    int descriptor; /* ours: never blocks */
    bool tcp;
    bool relay;        /* objects of unknown classes are received */
    bool relay_raised; /* those that were raised are: ('#ERROR', exception) */
    size_t most;       /* octets of a message that is received */
    /* The receiver's. */
    unsigned char header[12];
    size_t header_length;     /* of it that is there */
    uint64_t length;          /* of the message, once the header is there */
    struct wefti_octets body; /* of the message that is there */
    bool unreadable;          /* EPROTO for ever */
    /*
     * Who asks and answers in turn reads as much as there is, and keeps what is beyond the message: a message is one call of the kernel.
     * The descriptor does not tell of what was kept, so not for those who are waited for beside others.
     */
    bool eager;
    bool asks;                     /* what is received are answers, which are not there yet when one begins to wait */
    struct wefti_answer_spin spin; /* of a thread that asks */
    bool settled;                  /* TCP: nothing comes in two pieces, between messages: see frame.c */
    uint16_t ahead_from, ahead_length;
    char ahead[WEFTI_AHEAD];
    /* The sender's. */
    bool unwritable; /* EPIPE for ever */
    struct wefti_pickle_reason reason;
    void *owner; /* of a manager's: the server that has it (manager/serve.c) */
};

/* The next message into `body`, `most` octets at most; the header is forgotten then. -1 with the errors of weft_connection_receive. */
int wefti_frame_receive(struct weft_connection *connection, size_t most, weft_time deadline);
/* -1 with the errors of weft_connection_send_bytes. */
int wefti_frame_send(struct weft_connection *connection, const void *octets, size_t length, weft_time deadline);

/*
 * The next who wants something of the listener, who has proved nothing yet; and what he has to do then, within the listener's time and the
 * deadline: -1 with the errors of weft_connection_accept. A connection that failed is to be closed.
 */
weft_connection *wefti_listener_next(weft_listener *listener, weft_time deadline);
int wefti_listener_prove(weft_listener *listener, weft_connection *connection, weft_time deadline);
/* Listens no more: a copy in another process does. The path is still removed at the end, here. */
void wefti_listener_leave(weft_listener *listener);
/* What options are set on it, those that it accepts from then on have, too. */
int wefti_listener_descriptor(const weft_listener *listener);
/* A TCP peer whose machine is gone counts as gone after two minutes; a local socket has none of that. */
void wefti_connection_patience(int descriptor);
bool wefti_listener_keyed(const weft_listener *listener);
/* Room that one long message took is not kept for ever. */
void wefti_frame_trim(weft_connection *connection);

/* A copy of the key that the options name. -1 with EINVAL, ENODATA, EFBIG, ENOTSUP, ENOMEM, those of open and read. */
int wefti_key_take(struct wefti_key *key, const struct weft_connection_options *options);
void wefti_key_wipe(struct wefti_key *key);
/* What proves to whoever sent this challenge that we know the key: how many octets; 0: there is no such answer. And whether what was given
 * proves it to us. */
enum { WEFTI_PROOF_MOST = 256 };
size_t wefti_key_answer(const struct wefti_key *key, const char *challenge, size_t length, unsigned char answer[WEFTI_PROOF_MOST]);
bool wefti_key_holds(const struct wefti_key *key, const char *challenge, size_t length, const char *given, size_t given_length);
/* Both proofs, ours being the first of the two when we dialled last: `accepted` says that the peer did. -1 with EACCES, and those of
 * frames. */
int wefti_key_prove(struct weft_connection *connection, const struct wefti_key *key, bool accepted, weft_time deadline);

#endif

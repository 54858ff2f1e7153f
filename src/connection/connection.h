/* SPDX-License-Identifier: MIT */
/* What the files of this floor share: a connection, its frames (frame.c), its key and the proof of it (authenticate.c), its socket (connection.c). */
#ifndef WEFTI_CONNECTION_H
#define WEFTI_CONNECTION_H

#include <weft/connection.h>

#include "value/pickle.h"

/* A copy of a key; wiped when it ends. */
struct wefti_key {
    void *octets; /* NULL: none, and no proof is asked for or given */
    size_t length;
    bool sha256_only;
};

struct weft_connection {
    int descriptor; /* ours: never blocks */
    bool tcp;
    size_t most; /* octets of a message that is received */
    /* The receiver's. */
    unsigned char header[12];
    size_t header_length;     /* of it that is there */
    uint64_t length;          /* of the message, once the header is there */
    struct wefti_octets body; /* of the message that is there */
    bool unreadable;          /* EPROTO for ever */
    /* The sender's. */
    bool unwritable; /* EPIPE for ever */
    struct wefti_pickle_reason reason;
};

/* The next message into `body`, `most` octets at most; the header is forgotten then. -1 with the errors of weft_connection_receive. */
int wefti_frame_receive(struct weft_connection *connection, size_t most, weft_time deadline);
/* -1 with the errors of weft_connection_send_bytes. */
int wefti_frame_send(struct weft_connection *connection, const void *octets, size_t length, weft_time deadline);

/* A copy of the key that the options name. -1 with EINVAL, ENODATA, EFBIG, ENOTSUP, ENOMEM, those of open and read. */
int wefti_key_take(struct wefti_key *key, const struct weft_connection_options *options);
void wefti_key_wipe(struct wefti_key *key);
/* Both proofs, ours being the first of the two when we dialled last: `accepted` says that the peer did. -1 with EACCES, and those of frames. */
int wefti_key_prove(struct weft_connection *connection, const struct wefti_key *key, bool accepted, weft_time deadline);

#endif

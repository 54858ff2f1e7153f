/* SPDX-License-Identifier: MIT */
/*
 * Connections that carry whole messages, values or octets, between programs: the protocol of Python's multiprocessing.connection, so that
 * unmodified Python programs are peers (Client and Listener there are dial and accept here).
 *
 * Addresses are texts: "127.0.0.1:5000", "unix:/path" and "abstract:name" (of Linux). To listen, the host is a number of four parts,
 * "localhost", or nothing (all of this machine's addresses), port 0 any free one; to dial, it may be a name as well, which is looked up, or
 * "[::1]". Python writes ('127.0.0.1', 5000), '/path' and '\0name'.
 *
 * A key, which both must know, is proved by each to the other; it does not travel. Nothing but that proof is read from a peer before, 256
 * octets at a time. Without a key there is no proof, as in Python. There is no encryption: for one machine, or a network that is trusted.
 * What comes is data: reading a value runs nothing (Python, for its part, runs what its peers send it).
 *
 * One task at a time may receive from a connection and one send to it, both at once. From any kind of task. A forked child has the
 * descriptors, and closes what it does not use.
 */
#ifndef WEFT_CONNECTION_H
#define WEFT_CONNECTION_H

#include <weft/base.h>
#include <weft/select.h>
#include <weft/value.h>

typedef struct weft_connection weft_connection;
typedef struct weft_listener weft_listener;

struct weft_connection_options {
    size_t size; /* set by the macro */
    const char *address;
    struct weft_guard *guard;
    const void *key; /* `key_length` octets of memory, copied, or NULL; at most one of three: */
    size_t key_length;
    const char *key_file;     /* a file that has it; one newline at its end is not part of it */
    const char *key_variable; /* an environment variable that has it */
    bool sha256_only;         /* no MD5: Python before 3.12, which knows nothing else, cannot be a peer */
    bool relay;               /* what comes of classes that are not known here is received, and sent, as it came; see below */
    double handshake_seconds; /* that the proof may take; 0: 20 */
    size_t most;              /* octets of a message that is received; 0: 64 MiB */
    int backlog;              /* of a listener; 0: 128 */
    uint64_t reserved[4];     /* 0 */
};

/*
 * A relay takes objects of any class of Python's, and passes them on, without knowing what they are: nothing of them is looked up, made or
 * called here, but whoever gets them will, as from a Python program. A value that holds some has objects (weft_object_name) of the names
 * "python.call", "python.new" and "python.new_ex", which say how the object is made: of a "python.global" (its module and name are the
 * arguments) and a tuple. They are no keys. What lies in itself through one of them is refused.
 */

WEFT_BEGIN

/*
 * weft_connection_listen("127.0.0.1:0", .key_file = "key"). Yours: weft_listener_close. NULL with EINVAL (an address that is none, two
 * keys, a negative time), ENAMETOOLONG (a path of more than 107 octets), EADDRINUSE (also a path where something is; the socket of a
 * program that has died is replaced), those of socket, bind and open, ENODATA (the key's variable is not set), EFBIG (a key of more than 64
 * KiB), ENOTSUP (a key, and the library was built without OpenSSL), ENOMEM.
 */
WEFT_API weft_listener *weft_connection_listen_with(const struct weft_connection_options *options) WEFT_WARN_UNUSED;
#define weft_connection_listen(...) \
    weft_connection_listen_with(&(struct weft_connection_options){.size = sizeof(struct weft_connection_options), .address = __VA_ARGS__})
/* Where it listens, with the port that it got; borrowed. */
WEFT_API const char *weft_listener_address(const weft_listener *listener);
/* Ends it, wipes its key, removes its path; NULL is allowed. Nobody may be waiting for it. Keeps errno. */
WEFT_API void weft_listener_close(weft_listener *listener);
/* Ready when somebody wants to connect. */
WEFT_API weft_case weft_case_accept(weft_listener *listener);

/*
 * The next peer, that has proved that it knows the key. NULL with EACCES (one came that did not, and is gone: call again), ECONNRESET,
 * EPROTO, EMSGSIZE (the same of one that went away or spoke otherwise), EAGAIN, ETIMEDOUT (also: one was too slow with its proof),
 * ECANCELED, those of accept, ENOMEM. A peer that is slow keeps others waiting for as long as its handshake may take, unless several tasks
 * accept.
 */
WEFT_API weft_connection *weft_connection_accept(weft_listener *listener, weft_time deadline) WEFT_WARN_UNUSED;
/*
 * weft_connection_dial("unix:/run/jobs", weft_in(5), .key = key, .key_length = 32): to a listener, here or Python's. NULL with the errors
 * of listen and accept, and those of weft_dial (ENOENT: no machine of that name is known).
 */
WEFT_API weft_connection *weft_connection_dial_with(const struct weft_connection_options *options, weft_time deadline) WEFT_WARN_UNUSED;
#define weft_connection_dial(address_, ...) WEFT_CONNECTION_DIAL_((address_), __VA_ARGS__, .guard = 0)
#define WEFT_CONNECTION_DIAL_(address_, deadline_, ...)                                                                        \
    weft_connection_dial_with(                                                                                                 \
        &(struct weft_connection_options){.size = sizeof(struct weft_connection_options), .address = (address_), __VA_ARGS__}, \
        (deadline_))
/* Ends it; NULL is allowed. Nobody may be using it. Keeps errno. */
WEFT_API void weft_connection_close(weft_connection *connection);

/*
 * Sends a value, which stays yours, as Python pickles it; or octets as they are. -1 with EFAULT, EILSEQ, EINVAL, EMSGSIZE (what has no
 * pickle: a pointer, a str that is no UTF-8, an object of an unknown class, 2^63 octets; nothing was sent), EPIPE (the peer is gone),
 * ECONNRESET, EAGAIN, ETIMEDOUT, ECANCELED, ENOMEM. What ended in the middle of a message cannot be gone on with: each further send fails
 * with EPIPE.
 */
WEFT_API int weft_connection_send(weft_connection *connection, weft_value value, weft_time deadline);
WEFT_API int weft_connection_send_bytes(weft_connection *connection, const void *octets, size_t length, weft_time deadline);
/*
 * The next message, as a value that was pickled, or as bytes whatever it is: yours. -1 with EBADMSG, EMSGSIZE (it is no pickle, or one that
 * is refused: weft_connection_reason says why; it is gone, the connection goes on), EPIPE (the peer has closed it), ECONNRESET (in the
 * middle of a message), EPROTO (no message, or one that is too long; each further receive fails so), EAGAIN, ETIMEDOUT, ECANCELED (a later
 * call goes on where this one was), ENOMEM.
 */
WEFT_API int weft_connection_receive(weft_connection *connection, weft_value *value, weft_time deadline);
WEFT_API int weft_connection_receive_bytes(weft_connection *connection, weft_value *bytes, weft_time deadline);
/* Why the last send or receive of a value was refused; "" when it was not. Borrowed, until the next. */
WEFT_API const char *weft_connection_reason(const weft_connection *connection);
/* Waits until there is something to receive, or the peer has gone: 0; -1 with EAGAIN, ETIMEDOUT, ECANCELED, ENOMEM, EMFILE. */
WEFT_API int weft_connection_poll(weft_connection *connection, weft_time deadline);
/* The same as a case of weft_select. */
WEFT_API weft_case weft_case_receive(weft_connection *connection);

WEFT_END

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Sockets by the text of their address. What is listened at does not block (it is Weft's, and nobody else's, so the flag does not matter);
 * connections are in blocking mode, as whatever code they are handed to expects, and Weft's own calls say MSG_DONTWAIT. TCP sends at once
 * (TCP_NODELAY): what is to go out together is written together.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/options.h"
#include "base/streams.h"
#include "net/io.h"
#include "wait/opened.h"
#include <weft/serve.h>

enum { BACKLOG = 1024, HOST = 256 };

union address {
    struct sockaddr any;
    struct sockaddr_in tcp;
    struct sockaddr_in6 tcp6;
    struct sockaddr_un local;
};

static int refuse(int error)
{
    errno = error;
    return -1;
}

int wefti_local_read(const char *text, struct sockaddr_un *local, socklen_t *length)
{
    bool abstract = strncmp(text, "abstract:", 9) == 0;
    const char *name = text + (abstract ? 9 : 5);
    if (!abstract && strncmp(text, "unix:", 5) != 0)
        return 0;
    size_t octets = strlen(name), most = sizeof(local->sun_path) - 1;
    if (octets == 0 || octets > most)
        return refuse(octets ? ENAMETOOLONG : EINVAL);
    *local = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(local->sun_path + abstract, name, octets);
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + octets + 1);
    return 1;
}

/* The C library takes a number that is too large for one of 16 bits. */
static bool port_is_too_large(const char *port)
{
    char *end;
    return *port >= '0' && *port <= '9' && strtoul(port, &end, 10) > UINT16_MAX && *end == 0;
}

/* Splits "host:port" and "[host]:port"; the port is in the text. -1 with EINVAL. */
static int text_split(const char *text, char host[HOST], const char **port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || !colon[1] || port_is_too_large(colon + 1))
        return refuse(EINVAL);
    size_t octets = (size_t)(colon - text);
    bool bracketed = *text == '[';
    if (bracketed && (octets < 2 || colon[-1] != ']'))
        return refuse(EINVAL);
    text += bracketed;
    octets -= bracketed ? 2U : 0U;
    if (octets >= HOST || (!bracketed && memchr(text, ':', octets)))
        return refuse(EINVAL);
    memcpy(host, text, octets);
    host[octets] = 0;
    *port = colon + 1;
    return 0;
}

static int names_error(int result)
{
    if (result != EAI_SYSTEM)
        errno = result == EAI_MEMORY ? ENOMEM : result == EAI_SERVICE ? EINVAL : ENOENT;
    return -1;
}

/* The addresses that the text names; to be freed. -1 with errno. */
static int text_look_up(const char *text, int flags, struct addrinfo **found, weft_time deadline)
{
    char host[HOST];
    const char *port;
    struct addrinfo hints = {.ai_flags = flags, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    if (text_split(text, host, &port) != 0)
        return -1;
    int result = weft_getaddrinfo(*host ? host : NULL, port, &hints, found, deadline);
    return result == 0 ? 0 : names_error(result);
}

static void socket_close(int descriptor)
{
    int error = errno;
    if (descriptor >= 0)
        weft_close(descriptor);
    errno = error;
}

/* A socket that does not block; Weft's. What a program without standard output prints must not go to a peer. */
static int socket_open(int family)
{
    if (wefti_fails_with(EMFILE))
        return -1;
    int made = wefti_beside_streams(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (made >= 0 && family != AF_UNIX)
        setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (made >= 0)
        wefti_opened_begin(made, family != AF_UNIX);
    return made;
}

/* Listening. */

void wefti_path_note(struct wefti_path *noted, const char *path)
{
    struct stat about;
    *noted = (struct wefti_path){0};
    if (lstat(path, &about) == 0 && S_ISSOCK(about.st_mode))
        *noted = (struct wefti_path){about.st_dev, about.st_ino, about.st_mtim};
}

static bool path_is(const struct wefti_path *noted, const char *path)
{
    struct wefti_path now;
    wefti_path_note(&now, path);
    return now.number != 0 && now.device == noted->device && now.number == noted->number && now.made.tv_sec == noted->made.tv_sec &&
           now.made.tv_nsec == noted->made.tv_nsec;
}

void wefti_path_remove(const struct wefti_path *noted, const char *path)
{
    if (path_is(noted, path))
        unlink(path);
}

/*
 * A socket that asks whether somebody is at a path: of another type, with which nobody can be connected. Its own name is the file's, and
 * there is one of each name at a time, until it is closed: of all that find the file of a dead one, one asks, and removes it. -1: another
 * does.
 */
static int path_asker(const struct wefti_path *found)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int octets =
        snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "weft-path-%jx-%jx", (uintmax_t)found->device, (uintmax_t)found->number);
    int made = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (made >= 0 && bind(made, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)octets)) == 0)
        return made;
    if (made >= 0)
        close(made);
    return -1;
}

/*
 * The path of a local socket that nobody has any more goes; what else is there is somebody's: EPROTOTYPE is the answer where somebody is,
 * listening or not yet, and no stranger comes to him. True: it has gone. Looked at again by who may remove it, as another may have done so,
 * and be there himself.
 */
static bool path_is_stale(const union address *address, socklen_t length)
{
    const char *path = address->local.sun_path;
    struct wefti_path found;
    if (address->any.sa_family != AF_UNIX || *path == 0)
        return false;
    wefti_path_note(&found, path);
    int asker = found.number ? path_asker(&found) : -1;
    if (asker < 0)
        return false;
    bool stale = path_is(&found, path) && connect(asker, &address->any, length) != 0 && errno == ECONNREFUSED && unlink(path) == 0;
    close(asker);
    return stale;
}

int wefti_bind_fresh(int descriptor, const struct sockaddr *address, socklen_t length)
{
    if (bind(descriptor, address, length) == 0)
        return 0;
    if (errno != EADDRINUSE)
        return -1;
    if (path_is_stale((const union address *)(const void *)address, length))
        return bind(descriptor, address, length);
    return refuse(EADDRINUSE);
}

static int address_listen(const struct sockaddr *address, socklen_t length, const struct weft_listen_options *options)
{
    int made = socket_open(address->sa_family);
    if (made < 0)
        return -1;
    if (address->sa_family != AF_UNIX)
        setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (address->sa_family != AF_UNIX) /* what is accepted has it from here */
        setsockopt(made, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    if (address->sa_family == AF_INET6)
        setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
    if ((!options->reuse_port || setsockopt(made, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)) == 0) &&
        wefti_bind_fresh(made, address, length) == 0 && listen(made, options->backlog ? options->backlog : BACKLOG) == 0)
        return made;
    socket_close(made);
    return -1;
}

/* Of several addresses the first at which one can listen; those of all of the machine's addresses last come first: they take IPv4, too. */
static int found_listen(const struct addrinfo *found, const struct weft_listen_options *options)
{
    int made = -1;
    for (int want = AF_INET6; made < 0 && want >= 0; want = want == AF_INET6 ? AF_INET : -1)
        for (const struct addrinfo *one = found; one && made < 0; one = one->ai_next)
            if (one->ai_family == want)
                made = address_listen(one->ai_addr, one->ai_addrlen, options);
    return made;
}

int weft_listen_with(const struct weft_listen_options *options)
{
    struct weft_listen_options read;
    union address address;
    socklen_t length;
    if (!wefti_options_read(&read, sizeof(read), options, offsetof(struct weft_listen_options, backlog)))
        return -1;
    if (!read.address || read.backlog < 0)
        return refuse(EINVAL);
    int is_local = wefti_local_read(read.address, &address.local, &length);
    if (is_local != 0)
        return is_local > 0 ? address_listen(&address.any, length, &read) : -1;
    struct addrinfo *found;
    if (text_look_up(read.address, AI_PASSIVE, &found, WEFT_FOREVER) != 0)
        return -1;
    int made = found_listen(found, &read), error = errno;
    freeaddrinfo(found);
    errno = error;
    return made;
}

/* Dialling. */

static int address_dial(const struct sockaddr *address, socklen_t length, weft_time deadline)
{
    int made = socket_open(address->sa_family);
    if (made < 0)
        return -1;
    int flags = -1;
    if (weft_connect(made, address, length, deadline) == 0 && (flags = fcntl(made, F_GETFL)) >= 0 &&
        fcntl(made, F_SETFL, flags & ~O_NONBLOCK) == 0)
        return made;
    socket_close(made);
    return -1;
}

int weft_dial(const char *address, weft_time deadline)
{
    union address local;
    socklen_t length;
    if (!address)
        return refuse(EINVAL);
    int is_local = wefti_local_read(address, &local.local, &length);
    if (is_local != 0)
        return is_local > 0 ? address_dial(&local.any, length, deadline) : -1;
    struct addrinfo *found;
    if (text_look_up(address, 0, &found, deadline) != 0)
        return -1;
    int made = -1;
    for (const struct addrinfo *one = found; one && made < 0; one = one->ai_next) {
        made = address_dial(one->ai_addr, one->ai_addrlen, deadline);
        if (made < 0 && (errno == ECANCELED || errno == ETIMEDOUT || errno == EMFILE))
            break;
    }
    int error = errno;
    freeaddrinfo(found);
    errno = error;
    return made;
}

/* Names of sockets. */

static int local_print(const struct sockaddr_un *local, socklen_t length, char *text, size_t size)
{
    int octets = (int)length - (int)offsetof(struct sockaddr_un, sun_path);
    if (octets <= 0)
        return snprintf(text, size, "unix:");
    if (local->sun_path[0] == 0)
        return snprintf(text, size, "abstract:%.*s", octets - 1, local->sun_path + 1);
    return snprintf(text, size, "unix:%.*s", octets, local->sun_path);
}

static int address_print(const union address *address, socklen_t length, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    if (address->any.sa_family == AF_UNIX)
        return local_print(&address->local, length, text, size);
    if (address->any.sa_family == AF_INET6)
        return snprintf(
            text, size, "[%s]:%u", inet_ntop(AF_INET6, &address->tcp6.sin6_addr, host, sizeof(host)), ntohs(address->tcp6.sin6_port));
    if (address->any.sa_family == AF_INET)
        return snprintf(text, size, "%s:%u", inet_ntop(AF_INET, &address->tcp.sin_addr, host, sizeof(host)), ntohs(address->tcp.sin_port));
    return refuse(EAFNOSUPPORT);
}

int weft_socket_address(int fd, char *text, size_t size)
{
    union address address = {0};
    socklen_t length = sizeof(address);
    return getsockname(fd, &address.any, &length) != 0 ? -1 : address_print(&address, length, text, size);
}

int weft_peer_address(int fd, char *text, size_t size)
{
    union address address = {0};
    socklen_t length = sizeof(address);
    return getpeername(fd, &address.any, &length) != 0 ? -1 : address_print(&address, length, text, size);
}

/* SPDX-License-Identifier: MIT */
/*
 * Files by HTTP, as much of it as a browser, curl and a load generator need: GET and HEAD, one request after the other on a connection.
 * Nothing outside of the folder is opened: the kernel looks the path up (openat2, RESOLVE_BENEATH), so neither "..", nor a link, nor a race
 * between two looks leads out of it. A folder is its index.html.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "serve.h"

enum { PATH = 1024, REQUEST = 16384, REST = 1 << 20 };
static const double PATIENCE = 30; /* with a request, or a peer that does not read */
static const double REST_PATIENCE = 2;

struct request {
    char path[PATH]; /* without the first slash */
    bool head, last, body;
    int status; /* 200, or what is wrong with it */
};

static int hex(char digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : (digit | 32) >= 'a' && (digit | 32) <= 'f' ? (digit | 32) - 'a' + 10 : -1;
}

/* The path of a target, with its %41 read and what follows '?' left out. False: it is none. */
static bool target_read(const char *target, char *path)
{
    size_t length = 0;
    if (*target != '/')
        return false;
    while (*++target && *target != '?' && *target != '#') {
        int octet = (unsigned char)*target;
        if (octet == '%') {
            if (hex(target[1]) < 0 || hex(target[2]) < 0)
                return false;
            octet = hex(target[1]) * 16 + hex(target[2]);
            target += 2;
        }
        if (octet == 0 || length == PATH - 1)
            return false;
        path[length++] = (char)octet;
    }
    path[length] = 0;
    return true;
}

static void first_line_read(char *line, struct request *request)
{
    char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;
    request->status = 400;
    request->last = true;
    if (!version || strncmp(version + 1, "HTTP/1.", 7) != 0)
        return;
    *target++ = *version++ = 0;
    request->last = strcmp(version, "HTTP/1.1") != 0;
    request->head = strcmp(line, "HEAD") == 0;
    bool known = request->head || strcmp(line, "GET") == 0;
    request->status = !known ? 501 : target_read(target, request->path) ? 200 : 400;
    request->last |= request->status != 200; /* there may be a body, which nobody reads */
}

static void header_read(const char *line, struct request *request)
{
    if (strncasecmp(line, "Connection:", 11) == 0)
        request->last = strcasestr(line, "close") ? true : strcasestr(line, "keep-alive") ? false : request->last;
    if (strncasecmp(line, "Content-Length:", 15) == 0 || strncasecmp(line, "Transfer-Encoding:", 18) == 0)
        request->last = request->body = true;
}

/* A request that is too long to be read. */
static int request_refuse(struct request *request)
{
    request->status = 431;
    request->last = true;
    return 1;
}

/* 1; 0: there is no further one; -1. */
static int request_read(weft_stream *stream, struct request *request)
{
    const char *line;
    size_t length, whole = 0;
    weft_time late = weft_in(PATIENCE);
    memset(request, 0, sizeof *request);
    int got = weft_stream_line(stream, &line, &length, late);
    if (got != 1)
        return got < 0 && errno == EMSGSIZE ? request_refuse(request) : got;
    char first[PATH * 4];
    snprintf(first, sizeof first, "%s", line);
    first_line_read(first, request);
    while ((got = weft_stream_line(stream, &line, &length, late)) == 1 && length > 0) {
        if ((whole += length) > REQUEST)
            return request_refuse(request);
        header_read(line, request);
    }
    return got == 1 ? 1 : got < 0 && errno == EMSGSIZE ? request_refuse(request) : -1;
}

static int beneath(int folder, const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, folder, *path ? path : ".", &how, sizeof how);
}

static int status_of(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG ? 404
           : error == EACCES || error == EXDEV || error == ELOOP        ? 403
                                                                        : 500;
}

/* The file that a request is for; -1, and its status says why. */
static int file_open(int folder, struct request *request, struct stat *about)
{
    int file = beneath(folder, request->path, O_RDONLY | O_NONBLOCK);
    if (file >= 0 && fstat(file, about) == 0 && S_ISDIR(about->st_mode)) {
        int index = beneath(file, "index.html", O_RDONLY | O_NONBLOCK), error = errno;
        close(file);
        errno = error;
        file = index;
    }
    if (file < 0)
        request->status = status_of(errno);
    else if (fstat(file, about) != 0 || !S_ISREG(about->st_mode)) {
        close(file);
        request->status = 403;
        return -1;
    }
    return file;
}

struct opening {
    int folder, file;
    struct request *request;
    struct stat *about;
};

static weft_value opening_run(weft_value argument)
{
    struct opening *opening = weft_as_ptr(argument);
    opening->file = file_open(opening->folder, opening->request, opening->about);
    return weft_none;
}

/* Looking a path up may take its time, which is not that of the thread's other connections. */
static int file_open_elsewhere(int folder, struct request *request, struct stat *about)
{
    struct opening opening = {.folder = folder, .file = -1, .request = request, .about = about};
    int run = -1;
    weft_shield run = weft_offload(opening_run, weft_ptr(&opening), NULL, WEFT_FOREVER); /* it uses what lies here */
    if (run != 0)
        request->status = 500;
    return opening.file;
}

static const char *status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    default:
        return "Internal Server Error";
    }
}

static const char *type_of(const char *path)
{
    static const char *const types[][2] = {{".html", "text/html"}, {".txt", "text/plain"}, {".css", "text/css"}, {".js", "text/javascript"},
        {".json", "application/json"}, {".png", "image/png"}, {".svg", "image/svg+xml"}};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
        if (strcasecmp(dot, types[i][0]) == 0)
            return types[i][1];
    return dot && !strchr(dot, '/') ? "application/octet-stream" : "text/html";
}

/* What is long goes past the stream's buffer. */
static int body_send(int fd, int file, off_t size)
{
    off_t done = 0;
    while (done < size) {
        ssize_t put = weft_sendfile(fd, file, &done, (size_t)(size - done), weft_in(PATIENCE));
        if (put <= 0)
            return -1; /* the file has become shorter, too: the length has been said */
    }
    return 0;
}

static int answer(weft_stream *stream, int fd, int folder, struct request *request)
{
    struct stat about;
    int file = request->status == 200 ? file_open_elsewhere(folder, request, &about) : -1;
    char text[64] = "";
    if (file < 0)
        snprintf(text, sizeof text, "%d %s\n", request->status, status_text(request->status));
    long long length = file < 0 ? (long long)strlen(text) : (long long)about.st_size;
    int sent = weft_stream_print(stream, weft_in(PATIENCE), "HTTP/1.1 %d %s\r\nContent-Length: %lld\r\nContent-Type: %s\r\n%s\r\n",
        request->status, status_text(request->status), length, file < 0 ? "text/plain" : type_of(request->path),
        request->last ? "Connection: close\r\n" : "");
    if (sent == 0 && file < 0 && !request->head)
        sent = weft_stream_write(stream, text, strlen(text), weft_in(PATIENCE));
    if (sent == 0)
        sent = weft_stream_flush(stream, weft_in(PATIENCE));
    if (sent == 0 && file >= 0 && !request->head)
        sent = body_send(fd, file, about.st_size);
    if (file >= 0)
        close(file);
    return sent;
}

/* What still comes of a request that was refused, or of its body, is read for a while: the end of a connection with octets that nobody has
 * read is a reset, which takes the answer from the client. */
static void rest_read(int fd)
{
    char octets[4096];
    weft_time late = weft_in(REST_PATIENCE);
    size_t whole = 0;
    shutdown(fd, SHUT_WR);
    for (ssize_t got; whole < REST && (got = weft_read(fd, octets, sizeof octets, late)) > 0;)
        whole += (size_t)got;
}

void serve_files(int fd, weft_value argument)
{
    int folder = open(weft_as_str(argument), O_PATH | O_DIRECTORY | O_CLOEXEC);
    weft_stream *stream = folder < 0 ? NULL : weft_stream_new(fd, .most = REQUEST);
    struct request request;
    bool goes_on = true;
    while (stream && goes_on && request_read(stream, &request) == 1) {
        bool answered = answer(stream, fd, folder, &request) == 0;
        goes_on = answered && !request.last;
        if (answered && request.last && (request.body || request.status != 200))
            rest_read(fd);
    }
    weft_stream_free(stream);
    if (folder >= 0)
        close(folder);
}

/* SPDX-License-Identifier: MIT */
/* Echo by libuv. */
#include <uv.h>

#include "../echo.h"

struct client {
    uv_tcp_t tcp;
    uv_write_t write;
    char octets[ECHO_ROOM];
};

static int open_clients, seen;

static void give_room(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    struct client *client = (struct client *)handle;
    (void)size;
    *buffer = uv_buf_init(client->octets, sizeof(client->octets));
}

static void closed(uv_handle_t *handle)
{
    free(handle);
    if (--open_clients == 0)
        uv_stop(uv_default_loop());
}

static void written(uv_write_t *write, int status)
{
    (void)write;
    bench_need(status == 0, "uv_write");
}

static void came(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct client *client = (struct client *)stream;
    uv_buf_t part = uv_buf_init(buffer->base, got > 0 ? (unsigned)got : 0);
    if (got < 0) {
        uv_close((uv_handle_t *)stream, closed);
        return;
    }
    if (got > 0 && uv_try_write(stream, &part, 1) != got)
        uv_write(&client->write, stream, &part, 1, written);
}

static void connected(uv_stream_t *listener, int status)
{
    struct client *client = malloc(sizeof(*client));
    bench_need(status == 0 && client && uv_tcp_init(uv_default_loop(), &client->tcp) == 0, "connection");
    bench_need(uv_accept(listener, (uv_stream_t *)&client->tcp) == 0, "uv_accept");
    uv_tcp_nodelay(&client->tcp, 1);
    open_clients++, seen = 1;
    uv_read_start((uv_stream_t *)&client->tcp, give_room, came);
}

int main(int argc, char **argv)
{
    int port, listening = echo_listen(&port);
    uv_tcp_t listener;
    bench_need(argc == 4, "ROW MESSAGES GENERATOR");
    pid_t child = echo_generator(argv[3], port, argv[1], argv[2]);
    double before = echo_spent();
    uv_tcp_init(uv_default_loop(), &listener);
    uv_tcp_open(&listener, listening);
    bench_need(uv_listen((uv_stream_t *)&listener, 2048, connected) == 0, "uv_listen");
    do
        uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    while (open_clients > 0 || !seen);
    echo_end(child, before, argv[2]);
}

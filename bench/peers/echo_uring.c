/* SPDX-License-Identifier: MIT */
/*
 * Echo by a bare loop over io_uring: connections and octets come without being asked for again (multishot accept, multishot receive into a
 * ring of buffers); the answer goes out by send(2), which was never slower here than a request in the ring, as its buffer is free again at
 * once.
 */
#include <liburing.h>

#include "../echo.h"

enum { REQUESTS = 1024, BUFFERS = 1024, SIZE = 256, ACCEPT = -1 };

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char octets[BUFFERS][SIZE];
static int open_connections, seen;

static struct io_uring_sqe *request(int fd)
{
    struct io_uring_sqe *made = io_uring_get_sqe(&ring);
    while (!made) {
        io_uring_submit(&ring);
        made = io_uring_get_sqe(&ring);
    }
    made->user_data = (uint64_t)(int64_t)fd;
    return made;
}

static void receive(int fd)
{
    struct io_uring_sqe *made = request(fd);
    io_uring_prep_recv_multishot(made, fd, NULL, 0, 0);
    made->flags |= IOSQE_BUFFER_SELECT;
    made->user_data = (uint64_t)fd;
}

static void accept_all(int listener)
{
    struct io_uring_sqe *made = request(ACCEPT);
    io_uring_prep_multishot_accept(made, listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    made->user_data = (uint64_t)(int64_t)ACCEPT;
}

static void buffer_free(unsigned number)
{
    io_uring_buf_ring_add(buffers, octets[number], SIZE, (unsigned short)number, BUFFERS - 1, 0);
    io_uring_buf_ring_advance(buffers, 1);
}

static void begin(void)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE, .cq_entries = 4 * REQUESTS};
    bench_need(io_uring_queue_init_params(REQUESTS, &ring, &params) == 0, "io_uring_queue_init_params");
    io_uring_register_ring_fd(&ring);
    buffers = aligned_alloc(4096, BUFFERS * sizeof(struct io_uring_buf));
    struct io_uring_buf_reg group = {.ring_addr = (uintptr_t)buffers, .ring_entries = BUFFERS};
    bench_need(buffers && io_uring_register_buf_ring(&ring, &group, 0) == 0, "io_uring_register_buf_ring");
    io_uring_buf_ring_init(buffers);
    for (unsigned i = 0; i < BUFFERS; i++)
        buffer_free(i);
}

static void came(const struct io_uring_cqe *result)
{
    bench_need(result->res >= 0, "accept");
    setsockopt(result->res, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    receive(result->res);
    open_connections++, seen = 1;
}

static void received(int fd, const struct io_uring_cqe *result)
{
    if (result->res > 0) {
        unsigned number = result->flags >> IORING_CQE_BUFFER_SHIFT;
        bench_need(send(fd, octets[number], (size_t)result->res, MSG_NOSIGNAL) == result->res, "send");
        buffer_free(number);
    } else if (result->res != -ENOBUFS) {
        close(fd);
        open_connections--;
        return;
    }
    if (!(result->flags & IORING_CQE_F_MORE))
        receive(fd);
}

int main(int argc, char **argv)
{
    int port, listener = echo_listen(&port);
    bench_need(argc == 4, "ROW MESSAGES GENERATOR");
    pid_t child = echo_generator(argv[3], port, argv[1], argv[2]);
    double before = echo_spent();
    begin();
    accept_all(listener);
    while (open_connections > 0 || !seen) {
        struct io_uring_cqe *result;
        unsigned head, count = 0;
        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, result)
        {
            count++;
            if ((int64_t)result->user_data != ACCEPT)
                received((int)result->user_data, result);
            else
                came(result);
        }
        io_uring_cq_advance(&ring, count);
    }
    echo_end(child, before, argv[2]);
}

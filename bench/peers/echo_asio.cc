/* SPDX-License-Identifier: MIT */
/* Echo by Boost.Asio, with callbacks. */
#include <boost/asio.hpp>
#include <memory>

#include "../echo.h"

using boost::asio::ip::tcp;

static boost::asio::io_context loop(1);
static int open_clients;

struct client : std::enable_shared_from_this<client> {
    tcp::socket socket;
    char octets[ECHO_ROOM];

    explicit client(tcp::socket given) : socket(std::move(given))
    {
        open_clients++;
    }
    ~client()
    {
        if (--open_clients == 0)
            loop.stop();
    }

    void read()
    {
        socket.async_read_some(boost::asio::buffer(octets), [self = shared_from_this()](boost::system::error_code error, std::size_t got) {
            if (!error)
                self->write(got);
        });
    }

    void write(std::size_t size)
    {
        boost::asio::async_write(
            socket, boost::asio::buffer(octets, size), [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                if (!error)
                    self->read();
            });
    }
};

static void accept(tcp::acceptor &acceptor)
{
    acceptor.async_accept([&acceptor](boost::system::error_code error, tcp::socket socket) {
        if (!error) {
            socket.set_option(tcp::no_delay(true));
            std::make_shared<client>(std::move(socket))->read();
        }
        accept(acceptor);
    });
}

int main(int argc, char **argv)
{
    int port, listening = echo_listen(&port);
    bench_need(argc == 4, "ROW MESSAGES GENERATOR");
    pid_t child = echo_generator(argv[3], port, argv[1], argv[2]);
    double before = echo_spent();
    tcp::acceptor acceptor(loop, tcp::v4(), listening);
    accept(acceptor);
    loop.run();
    echo_end(child, before, argv[2]);
}

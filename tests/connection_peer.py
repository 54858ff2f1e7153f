# SPDX-License-Identifier: MIT
"""Python's side of test_connection.c: `serve ADDRESS KEYFILE` and `dial ADDRESS KEYFILE` ("-": no key). Sends back what it receives; a "stop" ends it."""
import sys
from multiprocessing.connection import Client, Listener


def address(text):
    kind, _, rest = text.partition(':')
    if kind == 'unix':
        return rest
    if kind == 'abstract':
        return '\0' + rest
    return (kind, int(rest))


def key(path):
    if path == '-':
        return None
    with open(path, 'rb') as file:
        return file.read()


def echo(connection):
    while True:
        octets = connection.recv_bytes()
        if octets == b'stop':
            break
        if octets[:1] == b'\x80':
            import pickle
            connection.send((pickle.loads(octets), 'echo'))
        else:
            connection.send_bytes(octets)
    connection.close()


def main(role, where, path):
    if role == 'serve':
        with Listener(address(where), authkey=key(path)) as listener:
            print(listener.address[1] if where[0].isdigit() else 0, flush=True)
            echo(listener.accept())
    else:
        try:
            echo(Client(address(where), authkey=key(path)))
        except Exception as error:  # pylint: disable=broad-except
            print(type(error).__name__, flush=True)
            sys.exit(3)


main(*sys.argv[1:])

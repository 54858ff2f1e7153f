#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pickles for test_pickle.c, of the protocols that are named, one a line: the repr of a value in hexadecimal, and its pickle. With `check`: reads such lines, and says which pickles are not equal to
what their repr (the values' own, by number) says."""
import array
import queue
import random
import signal
import sys
import threading
from multiprocessing import context, managers
from multiprocessing.reduction import ForkingPickler

if hasattr(sys, 'set_int_max_str_digits'):
    sys.set_int_max_str_digits(0)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def shared():
    inner = [1, 2]
    text = 'shared' * 3
    return [inner, (inner, text), {text: inner}, inner]


def deep_share():
    value = ('deep',)
    for _ in range(12):
        value = (value, value)
    return value


def values():
    numbers = [0, 1, -1, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -2**31, -2**31 - 1, 2**63 - 1, 2**63, -2**63, -2**63 - 1,
               2**64, 10**30, -10**30, 2**2048, -(2**2047), 3**1000]
    floats = [0.0, -0.0, 1.5, 0.1, 1e300, -1e-300, 5e-324, float('inf'), float('-inf'), 1e16, 123456789012345.0]
    texts = ['', 'a', "it's", 'quote"', 'both\'"', 'line\n\t\r\\', '\x00\x7f', 'äöü', '€', '\U0001f600', '\ud800', 'a\udcffb', 'x' * 255,
             'x' * 256, 'y' * 70000]
    octets = [b'', b'a', b"it's\x00\xff", b'x' * 255, b'x' * 256, b'z' * 70000]
    containers = [[], [1], [1, 2, 3], (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {}, {'a': 1}, {1: 'a', (2, 3): [4]}, {None: True, False: b'x'},
                  list(range(1000)), list(range(1001)), list(range(2500)), {i: str(i) for i in range(1001)}, tuple(range(300)),
                  [[i] for i in range(400)], [(i, i) for i in range(1001)], [None] * 3000, {1.5: 2, 2**70: 3}]
    sets = [set(), {1}, frozenset(), frozenset([1]), frozenset([frozenset([frozenset()])]), {frozenset([7])}, {(1, frozenset([2])): 3}]
    others = [bytearray(), bytearray(b'abc'), array.array('i', [1, -2]), array.array('d', [0.5, -1.0]), array.array('B'),
              array.array('Q', [2**64 - 1]), array.array('f', [1.5, 0.1]), array.array('b', [-128, 127]), 1.5 + 2j, -2.5j, complex(-0.0, 3), slice(1, 3), slice(None),
              range(2, 10, 3), Ellipsis, NotImplemented, [Ellipsis, slice(1, (2, 3), None)]]
    return numbers + floats + texts + octets + [None, True, False] + containers + sets + others + [nested(90), shared(), deep_share()]


def errors():
    return [queue.Empty(), queue.Full(), KeyError('k'), KeyError(1), ValueError('wrong'), ValueError(), ValueError(1, 2), IndexError('out'),
            FileNotFoundError(2, 'No such file or directory'), threading.BrokenBarrierError(), AttributeError("no attribute 'x'"),
            RuntimeError([1, 2]), context.AuthenticationError('digest sent was rejected'), managers.RemoteError('text'), StopIteration(),
            TypeError("unhashable type: 'list'"), TimeoutError('late'), OSError(111, 'Connection refused')]


def proxies():
    token = managers.Token('list', ('127.0.0.1', 50000), '7f7b37be1e80')
    namespace = managers.Namespace(x=1, y=[2])
    return [token, namespace, managers.Value('i', 7), managers.Token('Queue', '/tmp/x', 'ab'), managers.Token('Queue', b'\0x', 'ab')]


def iterators():
    some = iter([1, 2, 3])
    next(some)
    back = reversed([1, 2, 3, 4])
    next(back)
    return [(some, [2, 3]), (back, [3, 2, 1]), (iter([]), []), (iter((1, 2)), (1, 2))]


def recursive():
    """Values that lie in themselves."""
    alone, twice, pair, mapping, deep, quad, mixed, batches = [], [1], ([],), {}, [[[]]], (1, 2, 3, []), {'t': None}, []
    alone.append(alone)
    twice += [twice, 2, twice]
    pair[0].append(pair)
    mapping['self'] = mapping
    deep[0][0].append(deep)
    quad[3].append(quad)
    both = [[], []]
    both[0].append(both[1])
    both[1].append(both[0])
    tuples = (mixed, [mixed], ((mixed,),))
    mixed.update(t=tuples, u=tuples)
    batches.extend([batches, (batches,)] * 1200)
    root = {'name': 'root', 'children': [], 'parent': None}
    for number in range(5):
        child = {'name': str(number), 'parent': root, 'children': [], 'path': [root]}
        child['children'] = [{'name': 'leaf', 'parent': child, 'root': root, 'children': []} for _ in range(3)]
        child['path'].append(child)
        root['children'].append(child)
    root['first'] = root['children'][0]
    root['last'] = root['children'][-1]['children'][-1]
    chain = first = {'number': 0, 'previous': None, 'first': None}
    for number in range(1, 25):
        chain['next'] = {'number': number, 'previous': chain, 'first': first}
        chain = chain['next']
    left, right = [], []
    crossed = (left, right)
    left.append(crossed)
    right.append(crossed)
    four = ([], [], [], [])
    for each in four:
        each.extend([four, each])
    beneath = [0]
    namespace = managers.Namespace(x=beneath)
    beneath.append(beneath)
    within = []
    within.append(slice(None))
    within.append((within, {'k': (within, pair)}))
    outer, inner = [], []
    thrice = (inner, outer, [inner])  # written within itself twice
    inner.append(thrice)
    outer.append(thrice)
    tower = ()
    for _ in range(60):
        tower = (tower, [])
        tower[1].append(tower)
    return [alone, twice, pair, mapping, deep, quad, both, mixed, tuples, batches, root, first, crossed, four, namespace, within,
            [alone, alone], [root['children'][2], root], (pair, pair[0]), outer, tower]


def graph(seed):
    """Any that refer to each other."""
    chance, made, changeable = random.Random(seed), [], []
    for _ in range(8):
        items = [chance.choice(made) if made and chance.random() < .8 else chance.randrange(5) for _ in range(chance.randrange(4))]
        kind = chance.choice('lldtttt')
        made.append(items if kind == 'l' else dict(enumerate(items)) if kind == 'd' else tuple(items))
        changeable += [made[-1]] if kind != 't' else []
    for _ in range(6 if changeable else 0):
        to, item = chance.choice(changeable), chance.choice(made)
        if isinstance(to, list):
            to.append(item)
        else:
            to[chance.randrange(9)] = item
    return made[-1]


def unrolled(value, depth, known):
    """What there is down to a depth, as a number: alike for all that cannot be told apart by going into it."""
    if (id(value), depth) not in known:
        parts = ()
        if depth and isinstance(value, (list, tuple)):
            parts = tuple(unrolled(item, depth - 1, known) for item in value)
        elif depth and isinstance(value, dict):
            parts = tuple((key, unrolled(item, depth - 1, known)) for key, item in value.items())
        elif depth and isinstance(value, managers.Namespace):
            parts = unrolled(value.__dict__, depth - 1, known)
        elif not isinstance(value, (list, tuple, dict, managers.Namespace)):
            parts = repr(value)
        known[id(value), depth] = hash((type(value).__name__, parts))
    return known[id(value), depth]


def dump(value, protocol):
    return bytes(ForkingPickler.dumps(value, protocol)).hex()


def name(error, protocol):
    """In protocol 2, which is Python 2's, there is one OSError."""
    kind = OSError if protocol == 2 and isinstance(error, OSError) else type(error)
    module = '' if kind.__module__ == 'builtins' else kind.__module__.lstrip('_') + '.'
    return module + kind.__qualname__


def text_of(error):
    """A RemoteError prints its text between lines."""
    return error.args[0] if isinstance(error, managers.RemoteError) else str(error)


def line(*fields):
    print(' '.join(fields))


def hexed(text):
    return text.encode('utf-8', 'surrogatepass').hex() or '-'


def make(protocols):
    for protocol in protocols:
        for number, value in enumerate(values()):
            text = repr(value)
            # Python escapes every surrogate; so do we
            line('value', str(number), hexed(text.encode('utf-8', 'backslashreplace').decode()), dump(value, protocol))
        for number, error in enumerate(errors()):
            line('error', str(number), hexed(name(error, protocol)) + ':' + hexed(text_of(error)), dump(error, protocol))
        for number, value in enumerate(recursive()):
            line('recursive', str(number), '-', dump(value, protocol))
        for seed in range(120 * protocol, 120 * protocol + 120):
            line('graph', str(seed), '-', dump(graph(seed), protocol))
        for number, value in enumerate(proxies()):
            line('proxy', str(number), '-', dump(value, protocol))
        if protocol >= 4:
            for number, (value, left) in enumerate(iterators()):
                line('iter', str(number), hexed(repr(left)), dump(value, protocol))


def alike(value, expected):
    return type(value) is type(expected) or (isinstance(value, OSError) and isinstance(expected, OSError))


def same(kind, number, value):
    if kind == 'value':
        expected = values()[number]
        return type(value) is type(expected) and (value == expected) and repr(value) == repr(expected)
    if kind == 'error':
        expected = errors()[number]
        return alike(value, expected) and (str(value) == str(expected) or type(value) is KeyError)
    if kind == 'stays':
        expected = errors()[number]
        return alike(value, expected) and value.args == expected.args
    if kind == 'recursive':
        expected = recursive()[number]
        return all(unrolled(value, depth, {}) == unrolled(expected, depth, {}) for depth in range(1, 40, 6))
    if kind == 'graph':
        return unrolled(value, 8, {}) == unrolled(graph(number), 8, {})
    if kind == 'proxy':
        expected = proxies()[number]
        return type(value) is type(expected) and repr(value) == repr(expected)
    return list(value) == list(iterators()[number][1])


def check():
    wrong = count = 0
    for text in sys.stdin:
        kind, number, octets = text.split()
        count += 1
        try:
            value = ForkingPickler.loads(bytes.fromhex(octets))
            good = same(kind, int(number), value)
        except Exception as error:  # pylint: disable=broad-except
            good, value = False, error
        if not good:
            wrong += 1
            print('wrong:', kind, number, repr(value)[:200], file=sys.stderr)
    print(count, wrong)


if __name__ == '__main__':
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    check() if sys.argv[1:] == ['check'] else make([int(protocol) for protocol in sys.argv[1:]])

# SPDX-License-Identifier: MIT
"""For gdb: `weft bt` prints the stacks of a program's parked coroutines, `weft bt NAME` that of one; of a running program or a core file.

gdb loads this by itself where Weft is installed and its auto-load folder trusted; else `source` it. It needs the debug information of libweft.

A parked coroutine has left its registers on its stack (switch.h and switch.S in src/arch). While its stack is printed, an unwinder says that these are those of the caller of the thread's innermost frame: so
nothing is written anywhere, and a core file of the kernel's does as well. (gdb's own gcore leaves out memory that has guard pages inside, as stacks of Weft's do since Linux 6.13.)"""

import gdb
import gdb.unwinder

COROUTINE = 2  # WEFT_COROUTINE


class Saved:
    """What a switch leaves on a stack: for each register how many octets above the stack pointer, how large all of it is, and what the architecture calls the two that tell a frame."""

    def __init__(self, registers, size, sp, pc):
        self.registers, self.size, self.sp, self.pc = registers, size, sp, pc


ARCHITECTURES = {
    # control words, then these, then where it goes on
    "x86-64": Saved({name: 8 * place for place, name in enumerate(("r15", "r14", "r13", "r12", "rbx", "rbp", "rip"), 1)}, 64, "rsp", "rip"),
    # x19 to x30, the last of which is where it goes on; d8 to d15 and FPCR
    "aarch64": Saved({**{f"x{number}": 8 * (number - 19) for number in range(19, 31)}, "pc": 88}, 176, "sp", "pc"),
}


def architecture():
    """Of the program; None: one that Weft does not know."""
    name = gdb.selected_inferior().architecture().name()
    return next((saved for known, saved in ARCHITECTURES.items() if known in name), None)


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class Unwinder(gdb.unwinder.Unwinder):
    """Off but while a stack is printed; then it answers for the innermost frame alone."""

    def __init__(self):
        super().__init__("weft")
        self.sp = None

    def __call__(self, frame):
        if self.sp is None or frame.level() != 0:
            return None
        saved, word = architecture(), gdb.lookup_type("unsigned long")
        at = gdb.Value(self.sp).cast(word.pointer())
        info = frame.create_unwind_info(FrameId(frame.read_register(saved.sp), frame.read_register(saved.pc)))
        for name, place in saved.registers.items():
            info.add_saved_register(name, at[place // 8])
        info.add_saved_register(saved.sp, gdb.Value(self.sp + saved.size).cast(word))
        return info


UNWINDER = Unwinder()
gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)


def tasks():
    """All tasks that are alive, from the library's register."""
    task = gdb.parse_and_eval("'register.c'::register_oldest")
    while task:
        yield task
        task = task["next"]


def name_of(task):
    if task["name"]:
        return task["name"].string(errors="replace")
    return task["own_name"].string(errors="replace") or f"Coroutine-{int(task['number'])}"


def coroutines():
    """Each with its flow, of those that have begun."""
    flow_type = gdb.lookup_type("struct wefti_flow").pointer()
    for task in tasks():
        if int(task["kind"]) == COROUTINE and task["context"]:
            flow = task["context"]["flow"].cast(flow_type)
            if flow:
                yield task, flow


def print_stack(flow):
    UNWINDER.sp = int(flow["sp"])
    try:
        gdb.invalidate_cached_frames()
        text = gdb.execute("backtrace", to_string=True)
    finally:
        UNWINDER.sp = None
        gdb.invalidate_cached_frames()
    for line in text.splitlines():
        if not line.startswith("#0 "):  # where the thread itself is
            print(f"  {line}")


class Weft(gdb.Command):
    """Commands about Weft's tasks: weft bt."""

    def __init__(self):
        super().__init__("weft", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)


class WeftBacktrace(gdb.Command):
    """Prints the stacks of parked coroutines: weft bt [NAME]. All of them, or the one of that name."""

    def __init__(self):
        super().__init__("weft bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if not architecture():
            raise gdb.GdbError("weft bt knows x86-64 and aarch64 only")
        try:
            all_of_them = list(coroutines())
        except gdb.error as error:
            raise gdb.GdbError(f"no Weft with debug information is here: {error}")
        found = False
        for task, flow in all_of_them:
            name = name_of(task)
            if argument and name != argument:
                continue
            found = True
            runs = flow["hub"]["current"] == flow
            print(f"{name}, of thread {int(flow['hub']['thread'])}:{' it runs' if runs else ''}")
            if not runs:
                print_stack(flow)
        if not found:
            print(f"no coroutine is named {argument}" if argument else "no coroutines")


Weft()
WeftBacktrace()

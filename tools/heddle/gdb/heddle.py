# SPDX-License-Identifier: MIT
"""Commands of gdb for programs that use heddle: their tasks, and the frames and awaits of each.

  (gdb) heddle tasks              heddle pstree, heddle loops, heddle why: as the tool
  (gdb) heddle bt lobby>games     the frames of one task, by its name or its id
  (gdb) heddle frame #64.1 0      the variables of one of these frames
  (gdb) bt                        goes on with the frames that await the one that runs

`heddle gdb PROCESS` starts gdb with them. Else: (gdb) source heddle.py. The work is done by the tool
`heddle`, which asks for memory and gets it from gdb. So it is all the same whether gdb has a
process, a core, or a gdbserver. The tool is looked for in HEDDLE_TOOL, and then on the PATH.
"""
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile

import gdb
from gdb.FrameDecorator import FrameDecorator

STACK = 16384  # bytes above the stack pointer in which the frame that runs is looked for
MAPPED = re.compile(r"^\s*0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+(?:[rwxsp-]{4}\s+)?(/.*?)\s*$")
# What the compilers call a frame's own parts, and temporaries.
UNNAMED = re.compile(r"__|_Coro|(class|struct|union|enum)_|(Pointer|Integer|Unknown)Type|_D_\d|_T\d|D\.\d")
NO_VARIABLES = ("no variables are known of this frame. They are where the program was compiled with -O0 -g, or by clang++ "
                "with -O2 -g -Xclang -fexperimental-assignment-tracking=disabled")


def tool():
    found = os.environ.get("HEDDLE_TOOL") or shutil.which("heddle")
    if not found or not os.access(found, os.X_OK):
        raise gdb.GdbError("heddle: the tool heddle is not on the PATH: set HEDDLE_TOOL to where it is")
    return found


def mapped():
    """The files that the program has mapped, as lines for the tool."""
    inferior = gdb.selected_inferior()
    if not inferior.is_valid() or not inferior.threads():
        raise gdb.GdbError("heddle: gdb has neither a process nor a core here")
    try:
        said = gdb.execute("info proc mappings", to_string=True)
    except gdb.error as why:
        raise gdb.GdbError(f"heddle: gdb cannot tell which files are mapped: {why}")
    rows = [m.groups() for m in map(MAPPED.match, said.splitlines()) if m]
    lines = [f"{inferior.pid} {len(rows)}"]
    lines += [f"{begin} {end} {offset} {path.removesuffix(' (deleted)')}" for begin, end, offset, path in rows]
    return "".join(line + "\n" for line in lines).encode(errors="surrogateescape")


def answer(peer, maps):
    """Answers what the tool asks, until it has no more questions."""
    inferior = gdb.selected_inferior()
    with peer.makefile("rb") as questions:
        for question in questions:
            words = question.split()
            if words[0] == b"maps":
                reply = maps
            else:
                try:
                    reply = b"1" + bytes(inferior.read_memory(int(words[1], 16), int(words[2])))
                except (gdb.error, OverflowError, ValueError):
                    reply = b"0"
            try:
                peer.sendall(reply, socket.MSG_NOSIGNAL)
            except OSError:
                return


def run(command, *arguments):
    """What the tool says."""
    program, maps = tool(), mapped()
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with theirs:
            number = theirs.fileno()
            child = subprocess.Popen([program, command, f"--reader={number},{number}", *arguments], pass_fds=(number,),
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        answer(ours, maps)
        child.wait()
        out.seek(0)
        err.seek(0)
        text, trouble = (f.read().decode(errors="replace") for f in (out, err))
    if trouble and not text:
        raise gdb.GdbError(trouble.strip())
    return text + trouble


def words_of_thread():
    """What the registers and the top of the stack of the selected thread have, as far as it may be an address."""
    frame = gdb.newest_frame()
    values = []
    for register in frame.architecture().registers("general"):
        try:
            values.append(int(frame.read_register(register.name).cast(gdb.lookup_type("unsigned long"))))
        except (gdb.error, ValueError):
            pass
    sp = int(frame.read_register("sp").cast(gdb.lookup_type("unsigned long")))
    for size in (STACK, 4096, 1024):
        try:
            stack = bytes(gdb.selected_inferior().read_memory(sp, size))
        except gdb.error:
            continue
        values += [int.from_bytes(stack[i:i + 8], "little") for i in range(0, len(stack), 8)]
        break
    return ",".join(f"{v:x}" for v in dict.fromkeys(values) if v > 4096 and v % 8 == 0 and v >> 48 == 0)


def running():
    """The task that the selected thread runs, and its frames; None: it runs none."""
    thread = gdb.selected_thread()
    if thread is None:
        return None
    try:
        said = run("bt", "--json", f"--thread={thread.ptid[1] or thread.ptid[2]}", f"--words={words_of_thread()}")
        return json.loads(said.splitlines()[0])
    except (gdb.GdbError, gdb.error, ValueError, IndexError):
        return None


class Awaiting(FrameDecorator):
    """A frame that is suspended: it awaits the one above it."""

    def __init__(self, base, function):
        super().__init__(base)
        self.text = function

    def function(self):
        return self.text

    def address(self):
        return None

    def filename(self):
        return None

    def line(self):
        return None

    def frame_args(self):
        return None

    def frame_locals(self):
        return None


class AwaitChain:
    """Behind the native frames of a thread that runs a task: those that await the task's innermost one."""

    def __init__(self):
        self.name, self.priority, self.enabled = "heddle", 1, True
        gdb.frame_filters[self.name] = self

    def filter(self, frames):
        last = None
        for last in frames:
            yield last
        task = running() if last is not None else None
        if task is None:
            return
        for key, group in itertools.groupby(task["frames"][1:], key=lambda f: f["function"]):
            count = len(list(group))
            yield Awaiting(last, f"awaited by {key}" + (f" x {count}" if count > 1 else ""))
        yield Awaiting(last, f"task {task['name']} {task['id']}")


def variables(frame):
    """Names and values of a frame's variables, as debug information has them."""
    block = gdb.block_for_pc(int(frame["resume"], 16))
    while block is not None:
        for symbol in block:
            if symbol.name not in ("__coro_frame", "frame_ptr") or symbol.type is None:
                continue
            kind = symbol.type.strip_typedefs()
            if kind.code in (gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_REF):
                kind = kind.target().strip_typedefs()
            if kind.code != gdb.TYPE_CODE_STRUCT:
                continue
            value = gdb.Value(int(frame["frame"], 16)).cast(kind.pointer()).dereference()
            for field in kind.fields():
                if field.name and not UNNAMED.match(field.name):
                    # g++ puts numbers behind a name.
                    yield re.sub(r"(_\d+)+$", "", field.name) if symbol.name == "frame_ptr" else field.name, value[field]
            return
        block = block.superblock if block.function is None else None


class Heddle(gdb.Command):
    """Shows the tasks of a program that uses heddle. `help heddle` lists the commands."""

    def __init__(self):
        super().__init__("heddle", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)

    def invoke(self, argument, from_tty):
        raise gdb.GdbError("heddle: which command? tasks, pstree, loops, why, bt or frame (help heddle tells more)")


class Told(gdb.Command):
    def __init__(self, name, command, text):
        self.__doc__ = text
        self.command = command
        super().__init__(f"heddle {name}", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        gdb.write(run(self.command, *gdb.string_to_argv(argument)))


class Backtrace(gdb.Command):
    """heddle bt [TASK]: the frames of a task, by its name or its id. Without TASK: `bt`, which goes on with the frames that
await the one that the selected thread runs."""

    def __init__(self):
        super().__init__("heddle bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        task = gdb.string_to_argv(argument)
        if task:
            gdb.write(run("bt", *task))
        else:
            gdb.execute("backtrace", from_tty)


class Frame(gdb.Command):
    """heddle frame TASK N: the variables of frame N of a task, as `heddle bt` counts them."""

    def __init__(self):
        super().__init__("heddle frame", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if len(words) != 2 or not words[1].isdigit():
            raise gdb.GdbError("heddle: heddle frame TASK N")
        frames = json.loads(run("bt", "--json", words[0]).splitlines()[0])["frames"]
        if int(words[1]) >= len(frames):
            raise gdb.GdbError(f"heddle: {words[0]} has {len(frames)} frames")
        frame = frames[int(words[1])]
        gdb.write(f"#{words[1]}  {frame['function']}\n")
        found = list(variables(frame))
        if not found:
            raise gdb.GdbError(f"heddle: {NO_VARIABLES}")
        for name, value in found:
            try:
                gdb.write(f"{name} = {value.format_string(max_elements=64, max_depth=3)}\n")
            except gdb.error as why:
                gdb.write(f"{name} = ({why})\n")


Heddle()
Told("tasks", "ps", "heddle tasks [OPTION...]: what each task waits in, where, and where it was made; options as heddle ps.")
Told("pstree", "pstree", "heddle pstree: each task under the one that awaits it.")
Told("loops", "loops", "heddle loops: what each loop does.")
Told("why", "why", "heddle why TASK: what a task waits for, and who could end that.")
Backtrace()
Frame()
AwaitChain()

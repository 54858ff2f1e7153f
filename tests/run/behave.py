#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""behave.py WEFT: what `weft run` does that a comparison of outputs cannot show: signals, kill -9, resuming, full disks, memory, bad input."""

import csv
import errno
import fcntl
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import unittest

WEFT = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "weft"
HEAD = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"
LATE = 90  # seconds until a test gives up waiting


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def until(what, why):
    """Waits until what() is true."""
    late = time.monotonic() + LATE
    while not what():
        if time.monotonic() > late:
            raise AssertionError(f"waited in vain: {why}")
        time.sleep(0.01)


class Case(unittest.TestCase):
    """A folder of its own, and ways to run weft in it."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="weft-behave-")
        self.addCleanup(self.folder.cleanup)
        self.environment = dict(os.environ, SHELL="/bin/bash", TMPDIR=self.folder.name, LC_ALL="C.UTF-8")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def lines(self, name):
        """The lines of a file; none while it is not there."""
        try:
            return self.read(name).splitlines()
        except FileNotFoundError:
            return []

    def start(self, *words, **more):
        more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": self.environment,
                "cwd": self.folder.name, **more}
        process = subprocess.Popen([WEFT, *words], **more)
        self.addCleanup(self.finish, process)
        return process

    @staticmethod
    def finish(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()

    def run_weft(self, *words, given=b"", **more):
        """Output, status and what was said of `weft run WORDS`."""
        more = {"input": given, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": self.environment, "cwd": self.folder.name,
                "timeout": LIMIT_OF_ONE, "check": False, **more}
        done = subprocess.run([WEFT, "run", *words], **more)
        return done

    def logged(self, name="log"):
        """The sequence numbers in a joblog."""
        return [int(line.split("\t")[0]) for line in self.lines(name)[1:]]

    def on_small_disk(self, *words, **more):
        """Runs weft in a mount namespace with a tiny file system as TMPDIR and `small` in the folder; None where that is not allowed."""
        script = 'mount -t tmpfs -o size=256k none "$TMPDIR" && cd "$TMPDIR" && exec "$@"'
        try:
            done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", WEFT, "run", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env=self.environment, timeout=LATE, check=False, **more)
        except FileNotFoundError:
            return None
        return None if b"unshare" in done.stderr or b"mount" in done.stderr else done


# Whoever started this may ignore it (nohup), and weft leaves it so.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

LIMIT_OF_ONE = 120


class Signals(Case):
    """What ends it early."""

    def begin(self, *options, count=6):
        """Jobs that each write their pid, with a child of their own, until `go` is there. Two run when this returns."""
        job = "echo $$ >> pids; sleep 1000 & echo $! >> pids; until [ -e go ]; do sleep 0.02; done; kill $!; echo done {}"
        process = self.start("run", "-j2", "--joblog", "log", *options, job, ":::", *map(str, range(1, count + 1)), start_new_session=True)
        until(lambda: len(self.lines("pids")) >= 4, "two jobs run")
        return process, [int(pid) for pid in self.lines("pids")]

    def test_stopping_reaches_who_has_left(self):
        """Children of jobs that ended before, in sessions of their own, with no parent."""
        job = "if [ {} = 1 ]; then (setsid sh -c 'echo $$ >> pids; exec sleep 1000' &); sleep 1000 & echo $! >> pids; else echo $$ >> pids; sleep 1000; fi; echo {}"
        process = self.start("run", "-j1", job, ":::", "1", "2")
        until(lambda: len(self.lines("pids")) == 3, "the second job runs")
        pids = [int(pid) for pid in self.lines("pids")]
        self.assertEqual([pid for pid in pids if alive(pid)], pids)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LATE)
        until(lambda: not [pid for pid in pids if alive(pid)], "all are gone")

    def test_a_time_limit_that_is_not_reached_leaves_children_alone(self):
        done = self.run_weft("--timeout", "100", "sleep 20 & echo $! >> pids; echo {}", ":::", "a")
        self.assertEqual(done.stdout, b"a\n")
        self.assertTrue(alive(int(self.lines("pids")[0])))
        os.kill(int(self.lines("pids")[0]), signal.SIGKILL)

    def test_one_interrupt_waits_for_what_runs(self):
        process, pids = self.begin()
        os.killpg(process.pid, signal.SIGINT)
        self.assertIn(b"interrupted", process.stderr.readline())
        self.assertTrue(all(alive(pid) for pid in pids))
        self.write("go", "")
        output, _ = process.communicate(timeout=LATE)
        self.assertEqual(sorted(output.split(b"\n")), [b"", b"done 1", b"done 2"])
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertEqual(sorted(self.logged()), [1, 2])

    def stopped_by(self, *signals):
        process, pids = self.begin()
        for number, one in enumerate(signals):
            os.kill(process.pid, one)
            if number + 1 < len(signals):
                process.stderr.readline()
        output, _ = process.communicate(timeout=LATE)
        self.assertEqual(process.returncode, -signals[-1])
        self.assertEqual(output, b"")
        self.assertEqual(self.logged(), [])
        self.assertFalse([pid for pid in pids if alive(pid)])

    def test_a_second_interrupt_stops_the_tree(self):
        self.stopped_by(signal.SIGINT, signal.SIGINT)

    def test_term_and_hup_stop_the_tree_at_once(self):
        self.stopped_by(signal.SIGTERM)
        self.setUp()
        self.stopped_by(signal.SIGHUP)

    def test_an_interrupt_after_the_last_job_began_changes_nothing(self):
        process, _ = self.begin(count=2)
        os.kill(process.pid, signal.SIGINT)
        process.stderr.readline()
        self.write("go", "")
        process.communicate(timeout=LATE)
        self.assertEqual(process.returncode, 0)

    def test_ignored_signals_stay_ignored(self):
        process = self.start("run", "sleep 0.5; echo {}", ":::", "a", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.communicate(timeout=LATE)[0], b"a\n")
        self.assertEqual(process.returncode, 0)

    def test_waiting_for_input_ends_by_an_interrupt(self):
        process = self.start("run", "echo", stdin=subprocess.PIPE)
        process.stdin.write(b"a\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"a\n")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=LATE)
        self.assertEqual(process.returncode, -signal.SIGINT)

    def test_ctrl_c_on_a_terminal(self):
        """The first lets jobs finish, the second stops them; the terminal's modes are as before."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        before = termios.tcgetattr(slave)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        process = subprocess.Popen([WEFT, "run", "-j2", "--bar", "--joblog", "log", "echo $$ >> pids; until [ -e {}go ]; do sleep 0.02; done", ":::", "1", "2", "3"],
                                   stdin=slave, stdout=slave, stderr=slave, env=self.environment, cwd=self.folder.name, preexec_fn=own_terminal)
        self.addCleanup(self.finish, process)
        until(lambda: len(self.lines("pids")) == 2, "two jobs run")
        os.write(master, b"\x03")
        said = b""
        while b"interrupted" not in said:
            said += os.read(master, 4096)
        self.write("1go", "")
        until(lambda: self.logged() == [1], "the first job ended")
        os.write(master, b"\x03")
        late = time.monotonic() + LATE
        while process.poll() is None and time.monotonic() < late:
            if select.select([master], [], [], 0.1)[0]:
                said += os.read(master, 4096)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertFalse([pid for pid in self.lines("pids") if alive(pid)])
        self.assertEqual(self.logged(), [1])
        self.assertIn(b"/3", said)
        self.assertEqual(termios.tcgetattr(slave), before)

    def test_a_closed_stdout_ends_it_quietly(self):
        process = self.start("run", "-j2", "echo {}; sleep 0.01", ":::", *map(str, range(5000)))
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        process.wait(timeout=LATE)
        self.assertEqual(said, b"")
        self.assertEqual(process.returncode, -signal.SIGPIPE)

    def test_a_closed_stdout_is_seen_while_jobs_are_silent(self):
        process = self.start("run", "-j2", "echo $$ >> pids; sleep 1000", ":::", "1", "2")
        until(lambda: len(self.lines("pids")) == 2, "two jobs run")
        process.stdout.close()
        process.wait(timeout=LATE)
        self.assertFalse([pid for pid in self.lines("pids") if alive(pid)])

    def test_a_halt_stops_the_tree(self):
        done = self.run_weft("-j2", "--halt", "now,fail=1", "echo $$ >> pids; if [ {} = 1 ]; then sleep 1000 & echo $! >> pids; wait; fi; "
                             "until [ $(wc -l < pids) = 3 ]; do sleep 0.01; done; exit 7", ":::", "1", "2")
        self.assertEqual(done.returncode, 7)
        self.assertFalse([pid for pid in self.lines("pids") if alive(pid)])

    def test_a_time_limit_stops_the_tree_and_escapees(self):
        done = self.run_weft("-j2", "--timeout", "0.5", "--joblog", "log", "echo out; setsid sh -c 'echo $$ >> pids; exec sleep 1000' & sleep 1000", ":::", "1")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, b"out\n")
        self.assertIn(b"time limit", done.stderr)
        self.assertEqual(len(self.lines("pids")), 1)
        self.assertFalse([pid for pid in self.lines("pids") if alive(pid)])
        self.assertEqual(self.lines("log")[1].split("\t")[6], "-1")

    def test_a_background_child_delays_nothing_and_lives(self):
        began = time.monotonic()
        done = self.run_weft("sleep 20 & echo $! >> pids; echo {}", ":::", "a", "b")
        self.assertEqual(sorted(done.stdout.split()), [b"a", b"b"])
        self.assertLess(time.monotonic() - began, 15)
        pids = [int(pid) for pid in self.lines("pids")]
        self.assertEqual([pid for pid in pids if alive(pid)], pids)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


    def test_a_background_child_may_write_on(self):
        done = self.run_weft("(until [ -e go ]; do sleep 0.02; done; for i in $(seq 1000); do echo late; done; echo alive > marker{}) & echo {}",
                             ":::", "1", "2")
        self.assertEqual(sorted(done.stdout.split()), [b"1", b"2"])
        self.write("go", "")
        until(lambda: self.lines("marker1") == ["alive"] and self.lines("marker2") == ["alive"], "the children wrote and lived")

    def test_what_a_background_child_writes_is_no_other_jobs_output(self):
        job = "if [ {} = 1 ]; then (until [ -e go ]; do sleep 0.01; done; echo wrong; : > wrote) & fi; [ {} = 2 ] && : > go; until [ {} = 1 -o -e wrote ]; do sleep 0.01; done; echo {}"
        done = self.run_weft("-j1", "-k", job, ":::", "1", "2", "3")
        self.assertEqual(done.stdout, b"1\n2\n3\n")

    def state(self, pid):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]

    def test_a_pause_pauses_the_jobs(self):
        process, pids = self.begin(count=2)
        process.send_signal(signal.SIGTSTP)
        until(lambda: all(self.state(pid) == "T" for pid in [process.pid, *pids]), "all are paused")
        process.send_signal(signal.SIGCONT)
        until(lambda: all(self.state(pid) != "T" for pid in [process.pid, *pids]), "all go on")
        self.write("go", "")
        output, _ = process.communicate(timeout=LATE)
        self.assertEqual(sorted(output.split(b"\n")), [b"", b"done 1", b"done 2"])

    def test_no_job_runs_in_a_pause(self):
        """Not those either that are just being started."""
        process = self.start("run", "-j4", "echo $$ >> pids; echo {} >> marks", ":::", *map(str, range(1000)))
        for pause in range(5):
            until(lambda: len(self.lines("marks")) > 20 * (pause + 1), "some have run")
            process.send_signal(signal.SIGTSTP)
            until(lambda: self.state(process.pid) == "T", "it is paused")
            running = [pid for pid in map(int, self.lines("pids")[-50:]) if alive(pid)]
            until(lambda: not any(alive(pid) and self.state(pid) not in "TZX" for pid in running), "those that run are paused")
            before = self.lines("marks")
            time.sleep(0.02)
            self.assertEqual(self.lines("marks"), before)
            process.send_signal(signal.SIGCONT)
        self.assertEqual(process.wait(timeout=LATE), 0)
        self.assertEqual(sorted(map(int, self.lines("marks"))), list(range(1000)))

    def test_a_share_as_limit_does_not_wait_for_input(self):
        """A job is printed while another slot waits for arguments."""
        process = self.start("run", "-j3", "--timeout", "1000%", "echo", stdin=subprocess.PIPE)
        for word in (b"a", b"b", b"c"):
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), word + b"\n")
        process.stdin.close()
        self.assertEqual(process.wait(timeout=LATE), 0)
        process.stdin = None

    def test_closed_streams_are_kept_apart(self):
        for closing, status, said in (("<&-", 255, b"standard input"), (">&-", 255, b"standard output"), ("2>&-", 255, b"")):
            words = [WEFT, "run", "echo x{}; echo y >&2;"] + ([] if closing == "<&-" else [":::", "a"])
            done = subprocess.run(["/bin/bash", "-c", f'"$@" {closing}', "bash", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env=self.environment, timeout=LATE, check=False)
            self.assertEqual(done.returncode, status)
            self.assertIn(said, done.stderr)

    def test_a_limit_on_file_sizes_is_said(self):
        done = self.run_weft("head -c 1000000 /dev/zero; echo {}", ":::", "a", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)))
        self.assertEqual(done.returncode, 255)
        self.assertIn(b"too large", done.stderr)


class Killed(Case):
    """kill -9, and what --resume makes of it."""

    def test_no_job_outlives_it(self):
        process = self.start("run", "-j4", "echo $$ >> pids; sleep 1000 & echo $! >> pids; wait; :", ":::", *"abcdef")
        until(lambda: len(self.lines("pids")) == 8, "four jobs run")
        pids = [int(pid) for pid in self.lines("pids")]
        process.kill()
        process.wait()
        died = time.monotonic()
        until(lambda: not [pid for pid in pids if alive(pid)], "jobs are gone")
        self.assertLess(time.monotonic() - died, LATE / 2)  # a second, on a machine that is not busy; the jobs sleep for much longer

    def test_resume_runs_exactly_what_is_missing(self):
        numbers = [*map(str, range(1, 10)), *map(str, range(1, 10))]
        job = 'echo "$RUN" >> done; echo {}; sleep 0.0{}; [ {#} -lt 13 ] || [ -e go ] || sleep 1000'
        words = ("-j2", "-k", "--joblog", "log", "--resume", job, ":::", *numbers)
        process = self.start("run", *words, env=dict(self.environment, RUN="first"))
        until(lambda: len(self.lines("log")) > 5, "some jobs are done")
        process.kill()
        process.wait()
        logged = self.logged()
        self.assertLess(len(logged), 13)
        self.write("go", "")
        done = self.run_weft(*words, env=dict(self.environment, RUN="second"))
        self.assertEqual(done.returncode, 0)
        self.assertEqual(sorted(self.logged()), list(range(1, 19)))
        # What the first run had started may still write its line now: only the second run's lines count.
        self.assertEqual(self.lines("done").count("second"), 18 - len(logged))
        self.assertEqual(len(done.stdout.split()), 18 - len(logged))
        self.assertEqual(self.run_weft(*words).stdout, b"")

    def test_a_torn_line_is_mended(self):
        self.run_weft("-j1", "--joblog", "log", "echo", ":::", "a", "b", "c")
        whole = self.read("log")
        for cut in (1, 5, len(whole.splitlines()[-1])):
            self.write("log", whole[:-cut])
            done = self.run_weft("-j1", "--joblog", "log", "--resume", "echo", ":::", "a", "b", "c")
            self.assertEqual(done.stdout, b"c\n")
            self.assertEqual(self.logged(), [1, 2, 3])
            self.assertTrue(all(len(line.split("\t")) == 9 for line in self.lines("log")))

    def test_a_dry_run_shows_what_is_missing_and_changes_nothing(self):
        self.run_weft("-j1", "--joblog", "log", "exit {};", ":::", "0", "1")
        with open(self.path("log"), "a", encoding="utf-8") as log:
            log.write("torn")
        before = self.read("log")
        for option, shown in (("--resume", b"exit 2;\n"), ("--resume-failed", b"exit 1;\nexit 2;\n")):
            self.assertEqual(self.run_weft("-j1", "--joblog", "log", option, "--dry-run", "exit {};", ":::", "0", "1", "2").stdout, shown)
        self.assertEqual(self.read("log"), before)
        self.assertEqual(self.run_weft("-j1", "--joblog", "none", "--resume", "--dry-run", "echo", ":::", "0").stdout, b"echo 0\n")

    def test_arguments_from_a_pipe_can_be_resumed(self):
        self.run_weft("-j1", "--joblog", "log", "echo", given=b"a\nb\n")
        done = self.run_weft("-j1", "--joblog", "log", "--resume", "echo", given=b"a\nb\nc\nd\n")
        self.assertEqual(done.stdout, b"c\nd\n")

    def test_a_log_of_other_arguments_is_refused(self):
        self.run_weft("-j1", "--joblog", "log", "echo", ":::", "a", "b")
        before = self.read("log")
        for words in (("echo", ":::", "a", "x"), ("printf", ":::", "a", "b"), ("echo", ":::", "a")):
            done = self.run_weft("--joblog", "log", "--resume", *words)
            self.assertEqual((done.returncode, done.stdout), (255, b""))
            self.assertEqual(done.stderr.count(b"\n"), 1)
            self.assertIn(b"other arguments", done.stderr)
            self.assertEqual(self.read("log"), before)

    def test_a_file_that_is_no_log_is_refused(self):
        self.write("log", "precious\n")
        done = self.run_weft("--joblog", "log", "--resume", "echo", ":::", "a")
        self.assertEqual((done.returncode, done.stdout), (255, b""))
        self.assertEqual(self.read("log"), "precious\n")


class Bad(Case):
    """Bad input: one line, a status, nothing half done."""

    def refused(self, said, *words, **more):
        done = self.run_weft(*words, **more)
        self.assertEqual((done.returncode, done.stdout), (255, b""), done.stderr)
        self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
        self.assertIn(said, done.stderr)

    def test_wrong_command_lines(self):
        self.refused(b"-j -30", "-j", "-30", "echo", ":::", "a")
        self.refused(b"--joblog", "--jobl=", "--joblgo", "x", "echo", ":::", "a")
        self.refused(b"did you mean --resume-failed", "--resume-fialed", "echo", ":::", "a")
        self.refused(b"-Z", "-Z", "echo", ":::", "a")
        self.refused(b"no command", given=b"")
        self.refused(b"no command", ":::")
        self.refused(b"cannot open", "-a", "missing", "echo")
        self.refused(b"cannot open", "touch made; echo", "::::", "missing")
        self.refused(b"Is a directory", "echo", "::::", self.folder.name)
        self.refused(b"joblog", "--joblog", "no/such/folder", "touch made; echo", ":::", "a")
        self.assertNotIn("made", os.listdir(self.folder.name))

    def test_no_command_on_a_terminal_is_a_usage_error(self):
        master, slave = pty.openpty()
        done = subprocess.run([WEFT, "run"], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LATE, check=False)
        os.close(master)
        os.close(slave)
        self.assertEqual(done.returncode, 255)
        self.assertIn(b"no command", done.stderr)

    def test_unknown_commands_name_the_nearest(self):
        for word, said in (("rnu", b"did you mean run"), ("wibble", b"--help"), ("--versoin", b"did you mean --version")):
            done = subprocess.run([WEFT, word], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LATE, check=False)
            self.assertEqual(done.returncode, 255)
            self.assertIn(said, done.stderr)
        self.assertEqual(subprocess.run([WEFT], stderr=subprocess.PIPE, timeout=LATE, check=False).returncode, 255)

    def test_a_command_that_does_not_exist_is_127_and_others_go_on(self):
        done = self.run_weft("-k", "--joblog", "log", given=b"no-such-command-anywhere\necho here\n/no/such/path\n")
        self.assertEqual((done.returncode, done.stdout), (2, b"here\n"))
        self.assertEqual([line.split("\t")[6] for line in sorted(self.lines("log")[1:])], ["127", "0", "127"])

    def test_a_full_disk_under_the_joblog(self):
        self.refused(b"No space left", "--joblog", "/dev/full", "echo", ":::", "a")

    def test_a_full_disk_under_stdout(self):
        with open("/dev/full", "wb") as full:
            done = self.run_weft("--joblog", "log", "echo", ":::", "a", stdout=full)
        self.assertEqual(done.returncode, 255)
        self.assertIn(b"No space left", done.stderr)
        self.assertEqual(self.logged(), [])

    def test_a_full_disk_under_the_spool(self):
        done = self.on_small_disk("-j1", "head -c 3000000 /dev/zero; echo {}", ":::", "a", "b")
        if done is None:
            self.skipTest("no mounts of one's own here")
        self.assertEqual((done.returncode, done.stdout), (255, b""))
        self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
        self.assertIn(b"No space left", done.stderr)

    def test_a_disk_that_fills_under_the_joblog(self):
        done = self.on_small_disk("-j1", "--joblog", "log", "[ {} = 20 ] && dd if=/dev/zero of=fill bs=4k count=100 2>/dev/null; : {} " + "x" * 5000,
                                  ":::", *map(str, range(1, 60)))
        if done is None:
            self.skipTest("no mounts of one's own here")
        self.assertEqual(done.returncode, 255)
        self.assertIn(b"No space left", done.stderr)

    def test_no_folder_for_the_spool(self):
        self.environment["TMPDIR"] = "/nonexistent"
        done = self.run_weft("head -c 300000 /dev/zero", ":::", "a")
        self.assertEqual(done.returncode, 255)
        self.assertIn(b"/nonexistent", done.stderr)
        self.assertEqual(self.run_weft("echo", ":::", "a").stdout, b"a\n")

    def test_too_long_a_line_is_one_failed_job(self):
        self.write("args", "a\n" + "x" * 140000 + "\nb\n")
        done = self.run_weft("-k", "--joblog", "log", "-a", "args", "true {}; echo")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, b"\n\n")
        self.assertIn(b"too long", done.stderr)
        self.assertEqual([line.split("\t")[6] for line in self.lines("log")[1:]], ["0", "126", "0"])

    def test_long_arguments_fit(self):
        self.write("args", "y" * 100000 + "\n")
        self.assertEqual(self.run_weft("-a", "args", "printf %s").stdout, b"y" * 100000)

    def test_few_descriptors_are_enough(self):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        done = self.run_weft("-j0", "-k", "echo", given=b"".join(b"%d\n" % i for i in range(200)), preexec_fn=few)
        self.assertEqual(done.stdout, b"".join(b"%d\n" % i for i in range(200)), done.stderr)


class Results(Case):
    """--results and --line-buffer: what stands in files, and what a terminal is told."""

    def test_nothing_leaves_the_folder(self):
        self.run_weft("--results", "out/in", "echo", ":::", "..", ".", "", "/etc", "a", ":::", "..")
        self.assertEqual(os.listdir(self.path("out")), ["in"])
        found = sorted(os.path.relpath(folder, self.path("out/in")) for folder, _, files in os.walk(self.path("out/in")) if files)
        self.assertEqual(found, sorted(f"1/{name}/2/\\.." for name in ("\\..", "\\.", "\\_etc", "a")))

    def test_piped_jobs_have_folders_of_their_own(self):
        self.run_weft("--pipe", "-N1", "--results", "out", "cat", given=b"a\nb\n")
        self.assertEqual((self.read("out/1/stdout"), self.read("out/2/stdout")), ("a\n", "b\n"))

    def test_octets_survive_json(self):
        octets = bytes(range(256)) * 1000
        with open(self.path("octets"), "wb") as file:
            file.write(octets)
        self.run_weft("--results", "out.json", "cat {}; cat {} >&2", ":::", "octets")
        row = json.loads(self.read("out.json"))
        self.assertEqual(row["Stdout"].encode("utf-8", "surrogateescape"), octets)
        self.assertEqual(row["Stderr"].encode("utf-8", "surrogateescape"), octets)

    def test_large_outputs_survive_csv(self):
        csv.field_size_limit(1 << 24)
        self.run_weft("--results", "out.csv", ": {}; seq 100000; echo '\"a,'", ":::", "a")
        with open(self.path("out.csv"), encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file))
        self.assertEqual(row["Stdout"], "".join(f"{i}\n" for i in range(1, 100001)) + '"a,\n')

    def test_a_torn_row_is_mended(self):
        words = ("-j1", "--joblog", "log", "--resume", "--results")
        for name in ("out.csv", "out.json"):
            self.run_weft(*words, name, "echo {}; echo b", ":::", "a", "b", "c")
            whole, log = self.read(name), self.read("log")
            self.write(name, whole[:-3])
            self.write("log", "".join(log.splitlines(True)[:-1]))
            self.run_weft(*words, name, "echo {}; echo b", ":::", "a", "b", "c")
            strip = re.compile(r"\d+\.\d{3}")
            self.assertEqual(strip.sub("", self.read(name)), strip.sub("", whole))
            os.unlink(self.path("log"))

    def test_a_full_disk_is_said_once_and_nothing_half_is_logged(self):
        for name in ("out", "out.csv", "out.json", "out/{}"):
            log = self.path("log")  # on the disk below the small one, by a descriptor
            with open(log, "w", encoding="utf-8") as file:
                done = self.on_small_disk("-j1", "--joblog", f"/dev/fd/{file.fileno()}", "--results", name, ": {}; seq 10000; seq 10000 >&2", ":::",
                                          *map(str, range(10)), pass_fds=[file.fileno()])
            if done is None:
                self.skipTest("no mounts of one's own here")
            self.assertEqual(done.returncode, 255)
            self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
            self.assertIn(b"No space left", done.stderr)
            with open(log, encoding="utf-8") as file:
                logged = [line.split("\t")[0] for line in file.readlines()[1:]]
            self.assertEqual(logged, ["1", "2"][:len(logged)])
            if not SANITIZED:  # which has a file of its own on this disk
                self.assertIn(len(logged), (1, 2))  # some 100 kB each, of 256; with shrunk limits what waits lies there too

    def test_rows_on_a_closed_stdout_end_it_quietly(self):
        process = self.start("run", "-j2", "--results", "-.csv", "echo {}; sleep 0.01", ":::", *map(str, range(5000)))
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        process.wait(timeout=LATE)
        self.assertEqual((said, process.returncode), (b"", -signal.SIGPIPE))

    def test_lines_come_while_the_job_runs(self):
        process = self.start("run", "-j2", "--lb", "echo {}; until [ -e go ]; do sleep 0.02; done; echo end", ":::", "1", "2")
        self.assertEqual(sorted(process.stdout.readline() for _ in range(2)), [b"1\n", b"2\n"])
        self.write("go", "")
        self.assertEqual(process.communicate(timeout=LATE)[0], b"end\nend\n")

    def test_lines_in_order_come_as_soon_as_it_is_their_turn(self):
        """The second job's first line, written long before, is printed when the first job ends, while the second is silent."""
        process = self.start("run", "-j2", "-k", "--lb", "echo {}; : > began{}; until [ -e go{} ]; do sleep 0.02; done; echo end{}", ":::", "1", "2")
        until(lambda: os.path.exists(self.path("began1")) and os.path.exists(self.path("began2")), "both have written")
        self.assertEqual(process.stdout.readline(), b"1\n")
        self.write("go1", "")
        self.assertEqual([process.stdout.readline() for _ in range(2)], [b"end1\n", b"2\n"])
        self.write("go2", "")
        self.assertEqual(process.communicate(timeout=LATE)[0], b"end2\n")

    def test_a_line_without_end_goes_through_the_disk(self):
        process = self.start("run", "--lb", "-k", "head -c 200000000 /dev/zero; :", ":::", "1", "2", stdout=subprocess.PIPE)
        count = 0
        while octets := process.stdout.read(1 << 20):
            count += len(octets)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual((count, process.returncode), (400000000, 0))
        if not SANITIZED:
            self.assertLess(usage.ru_maxrss, 64 * 1024)

    def test_the_report_is_told_where_it_is_asked_for(self):
        done = self.run_weft("--report", "-j1", "exit {}", ":::", "0", "3", "3")
        self.assertRegex(done.stderr, rb"^weft run: 3 jobs in .*: 1 succeeded, 2 failed; .*\nweft run: failed: 2 with status 3\nweft run: slowest: ")
        self.assertEqual(done.returncode, 2)
        for words in ((), ("--report", "--no-report"), ("--report", "--dry-run")):
            self.assertEqual(self.run_weft(*words, "exit {}", ":::", "3").stderr, b"")


class Terminal(Case):
    """Keys, on a terminal of its own."""

    def setUp(self):
        super().setUp()
        self.master, self.slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        self.addCleanup(os.close, self.slave)
        self.before = termios.tcgetattr(self.slave)
        self.said = b""

    def start_here(self, *words, script=None):
        """Starts weft as the foreground of the terminal; or a script, which runs it as "$@"."""
        def own_terminal():
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

        words = [WEFT, "run", *words]
        process = subprocess.Popen(["/bin/bash", "-c", script, "bash", *words] if script else words, stdin=self.slave, stdout=self.slave,
                                   stderr=self.slave, env=self.environment, cwd=self.folder.name, preexec_fn=own_terminal)
        self.addCleanup(self.finish, process)
        return process

    def listen(self, seconds=0.05):
        if select.select([self.master], [], [], seconds)[0]:
            self.said += os.read(self.master, 65536)

    def until_said(self, octets):
        until(lambda: self.listen() or octets in self.said, f"{octets} is said, after {self.said}")

    def end(self, process):
        """Waits for its end, reading what it says."""
        until(lambda: self.listen() or process.poll() is not None, "it ends")
        return process.returncode

    def is_taken(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    JOB = "echo {} >> begun; until [ -e go{} ]; do sleep 0.02; done"

    def test_keys_make_more_and_fewer(self):
        process = self.start_here("-j1", "--keys", "--joblog", "log", self.JOB, ":::", *"123456")
        until(lambda: self.lines("begun") == ["1"], "the first job runs")
        os.write(self.master, b"+")
        until(lambda: self.lines("begun") == ["1", "2"], "a second one runs")
        os.write(self.master, b"+")
        until(lambda: self.lines("begun") == ["1", "2", "3"], "a third one runs")
        os.write(self.master, b"--")
        self.until_said(b"1 job at once now")
        for number in ("1", "2"):
            self.write(f"go{number}", "")
        until(lambda: sorted(self.logged()) == [1, 2], "two have ended")
        self.assertEqual(self.lines("begun"), ["1", "2", "3"])
        os.write(self.master, b"+")
        until(lambda: self.lines("begun") == ["1", "2", "3", "4"], "a fourth one runs")
        for number in "3456":
            self.write(f"go{number}", "")
        self.assertEqual(self.end(process), 0)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)
        self.until_said(b"6 jobs in")  # the report

    def test_a_key_tells_why(self):
        process = self.start_here("-j2", "--why", "-k", "if [ {} = 1 ]; then cat fifo; else sleep 1000; fi", ":::", "1", "2")
        os.mkfifo(self.path("fifo"))
        until(lambda: os.write(self.master, b"w") and (self.listen() or b"sleep: sleeps" in self.said or b"sleep: waits" in self.said), "it is told")
        self.assertIn(b"job 1, running for", self.said)
        process.send_signal(signal.SIGTERM)
        self.end(process)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def test_the_terminal_is_given_back_when_it_is_killed(self):
        process = self.start_here("--keys", self.JOB, ":::", "1")
        until(lambda: self.lines("begun") == ["1"] and self.is_taken(), "it has the terminal")
        process.kill()
        process.wait()
        until(lambda: termios.tcgetattr(self.slave) == self.before, "the modes are as before")

    def test_the_terminal_is_given_back_for_a_pause(self):
        process = self.start_here("--keys", self.JOB, ":::", "1", script='set -m; "$@"; echo paused; read go; fg; echo ended')
        until(lambda: self.lines("begun") == ["1"] and self.is_taken(), "it has the terminal")
        os.write(self.master, b"\x1a")
        self.until_said(b"paused")
        self.assertFalse(self.is_taken())
        os.write(self.master, b"\n")
        until(lambda: self.listen() or self.is_taken(), "it has the terminal again")
        self.write("go1", "")
        self.until_said(b"ended")
        self.end(process)
        self.assertFalse(self.is_taken())

    def test_in_the_background_it_leaves_the_terminal_alone(self):
        process = self.start_here("--keys", self.JOB, ":::", "1", script='set -m; "$@" & until [ -e begun ]; do sleep 0.02; done; echo running; wait; echo ended')
        self.until_said(b"running")
        self.assertFalse(self.is_taken())
        os.write(self.master, b"+\n")
        self.write("go1", "")
        self.until_said(b"ended")
        self.end(process)

    def test_keys_are_not_taken_unasked(self):
        for words in ((), ("--bar", "--no-keys"), ("--keys", "--dry-run")):
            process = self.start_here(*words, "[ -e {} ]; stty -a < /dev/tty | grep -o ' -*icanon'", ":::", "1")
            self.end(process)
        self.assertNotIn(b"-icanon", self.said)


class Paces(Case):
    """When jobs may start, and what programs are told."""

    def test_delay_is_kept(self):
        began = time.monotonic()
        done = self.run_weft("-j4", "-k", "--delay", "300ms", "echo", ":::", "1", "2", "3")
        self.assertEqual((done.returncode, done.stdout), (0, b"1\n2\n3\n"))
        self.assertGreater(time.monotonic() - began, 0.6)

    @staticmethod
    def heeds(process, number):
        """Whether it reads this signal from its descriptor already."""
        with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
            return int(re.search(r"SigBlk:\s+(\w+)", file.read())[1], 16) >> (number - 1) & 1

    def test_waiting_for_its_pace_ends_by_a_signal(self):
        for words in (("--delay", "1000"), ("--memfree", "900T")):
            with open(self.path("said"), "wb") as said:
                process = self.start("run", "-j2", *words, "echo", ":::", "1", "2", stderr=said)
            until(lambda: self.heeds(process, signal.SIGUSR1), "it heeds signals")
            until(lambda: process.send_signal(signal.SIGUSR1) or words[0] in self.read("said"), "it says what it waits for")
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=LATE)
            self.assertEqual((process.returncode, output), (-signal.SIGINT, b"1\n" if words[0] == "--delay" else b""))

    def test_nothing_of_it_hinders(self):
        done = self.run_weft("-k", "--memfree", "1k", "--load", "100000", "--delay", "0", "echo", ":::", "1", "2")
        self.assertEqual((done.returncode, done.stdout), (0, b"1\n2\n"))

    def test_scarce_memory_stops_the_youngest_which_runs_again(self):
        """With a /proc/meminfo of one's own."""
        self.write("meminfo", "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n")
        script = 'mount --bind meminfo /proc/meminfo && exec "$@"'
        job = "echo {} >> begun; until [ -e go ]; do sleep 0.02; done; echo {}"
        process = subprocess.Popen(["unshare", "-rm", "sh", "-c", script, "sh", WEFT, "run", "-j2", "-k", "--memfree", "3G", job, ":::", "1", "2"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment, cwd=self.folder.name)
        self.addCleanup(self.finish, process)
        until(lambda: process.poll() is not None or sorted(self.lines("begun")) == ["1", "2"], "two jobs run")
        if process.poll() is not None:
            self.skipTest("no mounts of one's own here")
        youngest = self.lines("begun")
        self.write("meminfo", "MemTotal: 8000000 kB\nMemAvailable: 1000000 kB\n")
        until(lambda: self.runs(process) == 1, "one job was stopped")
        self.write("meminfo", "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n")
        until(lambda: len(self.lines("begun")) == 3, "it runs again")
        self.assertEqual(sorted(youngest), ["1", "2"])
        self.write("go", "")
        output, _ = process.communicate(timeout=LATE)
        self.assertEqual((process.returncode, output), (0, b"1\n2\n"))

    def runs(self, process):
        """How many jobs run."""
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="utf-8") as file:
            direct = file.read().split()
        found = set(direct)
        for task in os.listdir(f"/proc/{process.pid}/task"):
            with open(f"/proc/{process.pid}/task/{task}/children", encoding="utf-8") as file:
                found.update(file.read().split())
        def is_job(pid):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    return b"begun" in file.read() and os.readlink(f"/proc/{pid}/exe") != os.path.realpath(WEFT)
            except OSError:
                return False
        return sum(is_job(pid) for pid in found if alive(pid))

    def test_events_tell_all(self):
        done = self.run_weft("-j2", "--json", "--eta", "echo é{}; echo e >&2; exit {}", ":::", "0", "3", given=b"")
        events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith(b"{")]
        self.assertEqual([event["event"] for event in events if event["event"] != "start"], ["begin", "end", "end", "finish"])
        self.assertEqual(events[0]["total"], 2)
        self.assertEqual({event["command"] for event in events if event["event"] == "start"}, {f"echo é{n}; echo e >&2; exit {n}" for n in (0, 3)})
        ends = {event["seq"]: event for event in events if event["event"] == "end"}
        self.assertEqual((ends[1]["exitval"], ends[2]["exitval"], ends[2]["stdout"], ends[2]["stderr"]), (0, 3, 4, 2))
        self.assertEqual((events[-1]["done"], events[-1]["failed"], events[-1]["status"]), (2, 1, 1))
        self.assertIn(b"2/2 100%", done.stderr)

    def test_events_that_nobody_reads_hinder_nothing(self):
        done = self.run_weft("--json=/dev/full", "echo", ":::", "a")
        self.assertEqual((done.returncode, done.stdout), (0, b"a\n"))
        self.assertEqual(done.stderr.count(b"\n"), 1)
        self.assertIn(b"No space left", done.stderr)
        self.assertEqual(self.run_weft("--json=/no/such/folder/x", "echo", ":::", "a").returncode, 255)


@unittest.skipUnless(shutil.which("make"), "no make here")
class Jobserver(Case):
    """GNU make's jobserver, from both sides. make itself says so, at its end, when tokens were lost."""

    STEP = "echo +{0} >> steps; sleep 0.1; echo -{0} >> steps"

    def most_at_once(self):
        """How many steps ran at once at most, in the order in which they told of it."""
        running = most = 0
        for line in self.lines("steps"):
            running += 1 if line[0] == "+" else -1
            most = max(most, running)
        self.assertEqual(running, 0)
        return most

    def make(self, *words, **more):
        environment = {name: value for name, value in self.environment.items() if not name.startswith(("MAKE", "MFLAGS"))}
        return subprocess.run(["make", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT_OF_ONE,
                              env=dict(environment, WEFT=WEFT), cwd=self.folder.name, check=False, **more)

    def test_jobs_take_tokens_from_make(self):
        """Two weft runs and a step of make's own, three at once in all."""
        step = self.STEP.format("{}")
        self.write("Makefile", f"all: a b c\na b: ; +@$(WEFT) run -j4 '{step}' ::: $@1 $@2 $@3 $@4\nc: ; @{self.STEP.format('c')}\n")
        done = self.make("-j3")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(len(self.lines("steps")), 18)
        self.assertLessEqual(self.most_at_once(), 3)

    def test_a_free_token_is_used(self):
        meet = "touch met{}; until [ -e met1 -a -e met2 ]; do sleep 0.02; done"
        self.write("Makefile", f"all: ; +@$(WEFT) run -j2 '{meet}' ::: 1 2\n")
        done = self.make("-j2")
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_tokens_come_back_when_it_is_stopped(self):
        job = "echo {} >> begun; until [ $$(wc -l < begun) = 3 ]; do sleep 0.02; done; [ {} = 1 ] && kill -TERM $$PARALLEL_PID; sleep 1000"
        self.write("Makefile", f"all: a b\na: ; -+@$(WEFT) run -j3 '{job}' ::: 1 2 3\nb: a\n"
                               "\t+@$(WEFT) run -j3 'touch met{}; until [ -e met1 -a -e met2 -a -e met3 ]; do sleep 0.02; done' ::: 1 2 3\n")
        done = self.make("-j3")
        self.assertEqual(done.returncode, 0)
        self.assertNotIn(b"INTERNAL", done.stderr)
        self.assertIn(b"Terminated", done.stderr + done.stdout)

    def test_one_that_is_not_handed_down_is_told(self):
        self.write("Makefile", "all: ; @$(WEFT) run -j2 echo ::: 1 2\n")
        done = self.make("-j3")
        self.assertEqual((done.returncode, sorted(done.stdout.split())), (0, [b"1", b"2"]))
        self.assertIn(b"not handed down", done.stderr)

    def test_makes_share_our_jobs(self):
        self.write("Makefile", "all: a b c\na b c: ; @" + self.STEP.format("$(N)$@") + "\n")
        done = self.run_weft("-j2", "--jobserver", "make -s N={} >&2; :", ":::", "1", "2", "3")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(len(self.lines("steps")), 18)
        self.assertLessEqual(self.most_at_once(), 2)

    def test_a_make_alone_gets_them_all(self):
        self.write("Makefile", "all: a b c\na b c: ; @touch $@; until [ -e a -a -e b -a -e c ]; do sleep 0.02; done\n.PHONY: a b c\n")
        done = self.run_weft("-j3", "--jobserver", "make", ":::", "-s")
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_a_fifo_is_told_by_its_name(self):
        done = self.run_weft("-j3", "--jobserver=fifo", "echo $MAKEFLAGS; :", ":::", "1")
        found = re.fullmatch(rb"-j3 --jobserver-auth=fifo:(/proc/\d+/fd/\d+)\n", done.stdout)
        self.assertTrue(found, done.stdout)
        self.assertEqual(self.run_weft("--jobserver=x", "echo", ":::", "1").returncode, 255)
        done = self.run_weft("-j3", "--jobserver=fifo", "p=${MAKEFLAGS#*fifo:}; exec 5<>$p; head -c 2 <&5; printf ++ >&5; :", ":::", "1")
        self.assertEqual((done.stdout, done.stderr), (b"++", b""))


class Piped(Case):
    """Jobs that read blocks of the input."""

    def test_a_job_that_does_not_read_stops_no_other(self):
        """The first job waits for what the last one does; blocks are larger than pipes."""
        given = b"".join(b"%09999d\n" % i for i in range(200))
        job = "if [ {#} = 1 ]; then until [ -e go ]; do sleep 0.02; done; else cat; fi; [ {#} -lt 9 ] || : > go"
        done = self.run_weft("--pipe", "-j2", "--block", "200k", job, given=given)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(sorted(done.stdout.splitlines()), given[200000:].splitlines())

    def test_jobs_that_read_a_part_or_nothing_are_no_failure(self):
        given = b"x" * 999 + b"\n"
        for job, output in (("head -c 1", b"xx"), ("true", b""), ("exec <&-; echo; :", b"\n\n"), ("sleep 0.1 & :", b"")):
            done = self.run_weft("--pipe", "--block", "500k", job, given=given * 1000)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, output, b""))

    def test_blocks_come_as_they_are_read(self):
        process = self.start("run", "-j2", "--pipe", "-N2", "cat", stdin=subprocess.PIPE)
        for words in (b"a\nb\n", b"c\nd\n"):
            process.stdin.write(words)
            process.stdin.flush()
            self.assertEqual(process.stdout.readline() + process.stdout.readline(), words)
        process.stdin.close()
        self.assertEqual(process.wait(timeout=LATE), 0)
        process.stdin = None

    def test_an_interrupt_ends_the_wait_for_input(self):
        process = self.start("run", "--pipe", "-N1", "cat", stdin=subprocess.PIPE)
        until(lambda: self.blocks(process, signal.SIGINT), "it takes signals")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=LATE)
        self.assertEqual(process.returncode, -signal.SIGINT)

    @staticmethod
    def blocks(process, number):
        with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
            return int(re.search(r"SigBlk:\s+(\w+)", file.read())[1], 16) >> (number - 1) & 1

    def test_a_large_input_is_streamed(self):
        script = 'head -c 200000000 /dev/zero | tr "\\0" "\\n" | "$@"'
        words = ["bash", "-c", script, "bash", WEFT, "run", "-j2", "--pipe", "--block", "1M", "wc -c"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, env=self.environment, cwd=self.folder.name)
        self.addCleanup(self.finish, process)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual((sum(map(int, output.split())), process.returncode), (200000000, 0))
        if not SANITIZED:
            self.assertLess(usage.ru_maxrss, 64 * 1024)

    def test_parts_of_a_file_are_not_held(self):
        with open(self.path("big"), "wb") as file:
            for _ in range(100):
                file.write(b"y" * 999999 + b"\n")
        done = self.run_weft("--pipe-part", "-a", "big", "--block", "-1", "-j2", "-k", "cat", stdout=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0)
        done = self.run_weft("--pipe-part", "-a", "big", "--block", "30M", "--bar", "wc -c")
        self.assertEqual(sum(map(int, done.stdout.split())), 100000000)
        self.assertIn(b"4/4 100%", done.stderr)

    def test_what_was_piped_can_be_taken_up_again(self):
        given = b"".join(b"%d\n" % i for i in range(10))
        self.run_weft("-j1", "--pipe", "-N2", "--joblog", "log", "--halt", "soon,fail=1", "cat; test {#} -lt 3", given=given)
        self.assertEqual(self.logged(), [1, 2, 3])
        words = ("-j1", "--pipe", "-N2", "--joblog", "log")
        done = self.run_weft(*words, "--resume", "cat; test {#} -lt 3", given=given)
        self.assertEqual(done.stdout, b"6\n7\n8\n9\n")
        done = self.run_weft(*words, "--resume-failed", "cat; test {#} -lt 3", given=given)
        self.assertEqual(done.stdout, given[8:])
        done = self.run_weft(*words, "--resume", "wc", given=given)
        self.assertEqual((done.returncode, done.stdout), (255, b""))
        self.assertIn(b"other arguments", done.stderr)

    def test_what_cannot_be_piped_is_said(self):
        for said, words in ((b"command", ("--pipe",)), (b":::", ("--pipe", "cat", ":::", "a")), (b"--bar", ("--pipe", "--bar", "cat")),
                            (b"--shuf", ("--pipe", "--shuf", "cat")), (b"-N", ("--pipe-part", "-N1", "-a", "f", "cat")),
                            (b"--block", ("--pipe", "--block", "x", "cat")), (b"--block", ("--pipe", "--block", "-1", "cat")),
                            (b"anywhere", ("--pipe-part", "-a", "/dev/null", "cat")), (b"--header", ("--pipe", "--header", "(", "cat")),
                            (b"cannot open", ("--pipe", "-a", "missing", "cat"))):
            done = self.run_weft(*words)
            self.assertEqual((done.returncode, done.stdout), (255, b""), done.stderr)
            self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
            self.assertIn(said, done.stderr)


class Packed(Case):
    """Several arguments a job."""

    def test_a_million_arguments_are_packed(self):
        """Compared by other programs: what Python holds itself would count as weft's."""
        script = 'seq 1000000 | "$@" > out; sed "s/^echo //" out | tr " " "\\n" | cmp - <(seq 1000000) && awk "length >= 131072" out'
        words = ["bash", "-c", script, "bash", WEFT, "run", "-X", "-k", "--dry-run", "echo"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment, cwd=self.folder.name)
        self.addCleanup(self.finish, process)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual((process.returncode, output), (0, b""))
        self.assertLess(len(self.lines("out")), 100)
        if not SANITIZED:
            self.assertLess(usage.ru_maxrss, 64 * 1024)

    def test_a_packed_run_can_be_taken_up_again(self):
        words = ("-j2", "-X", "-s", "20", "--joblog", "log", "--resume", "echo", ":::")
        arguments = [str(i) for i in range(100, 130)]
        first = self.run_weft(*words, *arguments)
        self.assertEqual(sorted(first.stdout.split()), [word.encode() for word in arguments])
        self.assertEqual(self.run_weft(*words, *arguments).stdout, b"")
        done = self.run_weft(*words, *arguments, "130")
        self.assertEqual((done.returncode, done.stdout), (255, b""))

    def test_what_cannot_be_packed_is_said(self):
        for said, words in ((b"-s 8", ("-j1", "-s", "8", "echo", ":::", "abcdefgh")), (b"-N x", ("-N", "x", "echo", ":::", "a")),
                            (b"-n -1", ("-n", "-1", "echo", ":::", "a")), (b"-I", ("-I", "", "echo", ":::", "a")),
                            (b"--colsep [", ("-C", "[", "echo", ":::", "a")), (b"--trim", ("--trim", "q", "echo", ":::", "a")),
                            (b"--header", ("--header", "2", "echo", ":::", "a")), (b"--shuf", ("--shuf", "--joblog", "l", "--resume", "echo", ":::", "a")),
                            (b"--env", ("--env", "a b", "echo", ":::", "a")), (b"--arg-sep", ("--arg-sep", "", "echo", ":::", "a"))):
            done = self.run_weft(*words)
            self.assertEqual((done.returncode, done.stdout), (255, b""), done.stderr)
            self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
            self.assertIn(said, done.stderr)

    def test_a_directory_that_cannot_be_made_fails_its_job_alone(self):
        self.write("file", "")
        done = self.run_weft("-k", "--wd", "{}", "echo", ":::", "file/x", "made")
        self.assertEqual((done.returncode, done.stdout), (1, b"made\n"))
        self.assertIn(b"file/x", done.stderr)
        self.assertTrue(os.path.isdir(self.path("made")))


class Memory(Case):
    """--memory: a cgroup for each job, where that can be had."""

    GREEDY = "python3 -c 'b = bytearray({}000000); b[::4096] = bytes(len(b[::4096])); print(len(b))'"

    def test_a_job_has_no_more_than_its_limit(self):
        done = self.run_weft("-j1", "--memory", "60M", "--joblog", "log", self.GREEDY, ":::", "10", "400", "11")
        if b"there is no cgroup" in done.stderr:
            self.skipTest("no cgroups of one's own here")
        self.assertEqual((done.returncode, done.stdout), (1, b"10000000\n11000000\n"), done.stderr)
        self.assertIn(b"job 2 had not enough memory", done.stderr)
        self.assertEqual([line.split("\t")[6:8] for line in self.lines("log")[1:]], [["0", "0"], ["0", "9"], ["0", "0"]])

    def test_cgroups_are_removed(self):
        done = self.run_weft("-j2", "--memory", "200M", "cat /proc/self/cgroup; exit {}", ":::", "0", "3")
        if b"there is no cgroup" in done.stderr:
            self.skipTest("no cgroups of one's own here")
        self.assertEqual(done.returncode, 1)
        paths = re.findall(rb":(/\S*weft-run-\d+-\d+)", done.stdout)
        self.assertEqual(len(set(paths)), 2)
        with open("/proc/self/mountinfo", "rb") as file:
            mounts = [line.split()[4] for line in file if b" - cgroup" in line]
        self.assertFalse([mount + path for mount in mounts for path in paths if os.path.exists(mount + path)])

    def test_where_there_are_none_that_is_said(self):
        script = 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"'
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", WEFT, "run", "--memory", "60M", "touch", ":::", "made"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment, cwd=self.folder.name, timeout=LATE, check=False)
        if b"unshare" in done.stderr or b"mount:" in done.stderr:
            self.skipTest("no mounts of one's own here")
        self.assertEqual((done.returncode, done.stderr.count(b"\n")), (255, 1))
        self.assertIn(b"--memory: there is no cgroup", done.stderr)
        self.assertFalse(os.path.exists(self.path("made")))


class Sizes(Case):
    """Large inputs and outputs."""

    def peak(self, *words, given, limit):
        """Runs weft with lines made by `given` and returns the largest resident size in kilobytes as wait4 tells it."""
        source = subprocess.Popen(given, stdout=subprocess.PIPE)
        process = subprocess.Popen([WEFT, "run", *words], stdin=source.stdout, stdout=subprocess.DEVNULL, env=self.environment, cwd=self.folder.name)
        source.stdout.close()
        late = time.monotonic() + limit
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            self.assertLess(time.monotonic(), late)
            time.sleep(0.05)
        source.wait()
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        return usage.ru_maxrss

    def test_a_million_arguments_are_streamed(self):
        if SANITIZED:
            self.skipTest("a sanitizer's own memory counts too")
        self.assertLess(self.peak("--dry-run", "echo", given=["seq", "1000000"], limit=60), 64 * 1024)
        self.assertLess(self.peak("-k", "--dry-run", "--tag", "--bar", "echo", given=["seq", "1000000"], limit=60), 64 * 1024)

    def test_many_finished_jobs_may_wait_for_their_turn(self):
        if SANITIZED or os.environ.get("WEFT_SMALL"):
            self.skipTest("a sanitizer's own memory counts too, and with shrunk limits few may wait")
        out = open(self.path("out"), "wb")
        self.addCleanup(out.close)
        process = self.start("run", "-j2", "-k", "--tag", "if [ {} = 1 ]; then until [ -e go ]; do sleep 0.05; done; fi; head -c 30000 /dev/zero | tr '\\0' x; echo",
                             ":::", *map(str, range(1, 801)), stdout=out)

        def idle():
            with open(f"/proc/{process.pid}/io", encoding="utf-8") as file:
                return int(re.search(r"rchar: (\d+)", file.read())[1]) > 790 * 30000
        until(idle, "all but the first are done")
        with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
            resident = int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])
        self.write("go", "")
        process.wait(timeout=LATE)
        self.assertLess(resident, 64 * 1024)
        printed = self.read("out").splitlines()
        self.assertEqual([line.split("\t")[0] for line in printed], list(map(str, range(1, 801))))
        self.assertTrue(all(len(line.split("\t")[1]) == 30000 for line in printed))

    def test_a_large_output_goes_through_the_disk(self):
        process = self.start("run", "head -c 300000000 /dev/zero; :", ":::", "1", stdout=subprocess.PIPE)
        count = 0
        while True:
            octets = process.stdout.read(1 << 20)
            if not octets:
                break
            count += len(octets)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual((count, process.returncode), (300000000, 0))
        if not SANITIZED:
            self.assertLess(usage.ru_maxrss, 64 * 1024)

    def test_many_at_once(self):
        done = self.run_weft("-j0", "-k", "sleep 0.2; echo", ":::", *map(str, range(100)))
        self.assertEqual(done.stdout.split(), [b"%d" % i for i in range(100)])


class Shows(Case):
    """The bar, help, and what goes with it."""

    def test_the_bar_is_lines_where_there_is_no_terminal(self):
        done = self.run_weft("--bar", "exit {}", ":::", "0", "1", "0")
        self.assertRegex(done.stderr, rb"^weft run: 3/3 100%  .*  1 failed\n$")
        self.assertEqual(done.returncode, 1)

    def test_the_bar_counts_what_was_done_before(self):
        self.run_weft("--joblog", "log", "true", ":::", "a", "b")
        done = self.run_weft("--bar", "--joblog", "log", "--resume", "true", given=b"a\nb\nc\n")
        self.assertIn(b"3/3 100%", done.stderr)

    def test_trace_goes_to_stderr(self):
        done = self.run_weft("-t", "echo", ":::", "a")
        self.assertEqual((done.stdout, done.stderr), (b"a\n", b"weft run: echo a\n"))

    def test_help_and_version(self):
        for words in (["--help"], ["run", "--help"], ["--version"], ["help"], ["-h"]):
            done = subprocess.run([WEFT, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LATE, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertTrue(done.stdout.endswith(b"\n"))
            self.assertLess(max(map(len, done.stdout.split(b"\n"))), 140)
        with open("/dev/full", "wb") as full:
            self.assertEqual(subprocess.run([WEFT, "--help"], stdout=full, timeout=LATE, check=False).returncode, 1)

    def test_terminal_input_is_announced(self):
        master, slave = pty.openpty()
        process = self.start("run", "echo", stdin=slave)
        os.write(master, b"a\n\x04")
        output, said = process.communicate(timeout=LATE)
        os.close(master)
        os.close(slave)
        self.assertEqual(output, b"a\n")
        self.assertIn(b"terminal", said)

    def test_niceness(self):
        done = self.run_weft("--nice", "7", "nice; :", ":::", "a")
        self.assertEqual(int(done.stdout), min(19, os.nice(0) + 7))


def sanitized():
    """Whether WEFT was built with a sanitizer: its libraries or symbols say so."""
    with open(WEFT, "rb") as file:
        octets = file.read()
    return b"__asan_" in octets or b"__tsan_" in octets or b"__msan_" in octets


def summary(result):
    """What ./check counts: the lines that a program of tests/fixture.c ends with."""
    failed = len(result.failures) + len(result.errors)
    for test, why in result.skipped:
        print(f"skipped behave:{test.id().rpartition('.')[2]}: {why}")
    print(f"{result.testsRun - failed - len(result.skipped)} passed, {failed} failed, {len(result.skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    SANITIZED = sanitized()
    sys.exit(summary(unittest.main(argv=[sys.argv[0], *sys.argv[2:]], exit=False, verbosity=1).result))

"""Commands in processes of their own, which can be killed: forks of one process that has imported everything.

A fork starts in milliseconds, where a fresh interpreter takes seconds to import torch.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SERVER = """
import json, os, sys
import torch._dynamo, torch.distributed, torch.utils.tensorboard  # what a training run imports later
import h5py, minari, minari.dataset._storages.hdf5_storage, envs.avoid
import embodied_gen.commands.train
from embodied_gen.commands.main import main

for line in sys.stdin:
    request = json.loads(line)
    if "wait" in request:
        print(os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1]), flush=True)
        continue
    child = os.fork()
    if child == 0:
        os.chdir(request["cwd"])
        os.environ.update(request["env"])
        for number in (1, 2):
            os.dup2(os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        try:
            status = main(request["arguments"])
        except SystemExit as stop:
            status = stop.code
        except BaseException:
            import traceback
            traceback.print_exc()
            status = 99
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(child, flush=True)
"""


@dataclass
class Child:
    """A command that runs."""

    forks: "Forks"
    pid: int
    log: Path
    status: int | None = None

    def kill(self, number):
        os.kill(self.pid, number)

    def running(self):
        """Whether it has not ended; an ended one waits to be asked for its status."""
        return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"

    def wait(self, seconds=120):
        """Its exit status; negative for the signal that ended it. One that hangs is killed."""
        end = time.monotonic() + seconds
        while self.status is None and self.running() and time.monotonic() < end:
            time.sleep(0.002)
        if self.status is None:
            if self.running():
                self.kill(signal.SIGKILL)
            self.status = int(self.forks.ask({"wait": self.pid}))
        return self.status

    @property
    def text(self):
        return self.log.read_text()


class Real:
    """A command in a fresh interpreter, with the methods of a child."""

    def __init__(self, arguments, folder):
        command = [sys.executable, "-m", "embodied_gen", *map(str, arguments)]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)

    def kill(self, number):
        self.process.send_signal(number)

    def running(self):
        return self.process.poll() is None

    def wait(self):
        return self.process.wait()


class Forks:
    """Starts commands."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.number = 0

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def start(self, arguments, folder, **env):
        """Starts a command in a folder, where its output is logged too."""
        self.number += 1
        log = folder / f"fork-{self.number}.log"
        request = {"arguments": [str(a) for a in arguments], "cwd": str(folder), "log": str(log), "env": env}
        return Child(self, int(self.ask(request)), log)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

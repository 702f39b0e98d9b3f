"""Runs a program on a terminal of its own and types what it asks for.

terminal.py SCRIPT PROGRAM [ARGUMENT ...]

SCRIPT is a JSON list of steps, in order: {"prompt": TEXT, "run": [PROGRAM, ...], "type": TEXT}.
When the terminal shows the prompt, `run` (if given) is run to its end, then `type` and the
return key are typed. Prints what the terminal showed; exits as the program did. A prompt that
does not come is an error.
"""

import json
import os
import pty
import select
import subprocess
import sys
import time

LIMIT = 60


def main() -> int:
    steps = json.loads(sys.argv[1])
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.argv[2], sys.argv[2:])
    shown, seen, deadline = b"", 0, time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            some = os.read(terminal, 4096)
        except OSError:  # EIO: the program has closed the terminal
            break
        if not some:
            break
        shown += some
        if steps and (at := shown.find(steps[0]["prompt"].encode(), seen)) >= 0:
            step = steps.pop(0)
            seen = at + len(step["prompt"].encode())
            if "run" in step:
                subprocess.run(step["run"], check=True)
            # The prompt is written before the echo is switched off: wait for the latter.
            wait_for_silence(terminal)
            os.write(terminal, step["type"].encode() + b"\n")
    else:
        os.kill(child, 9)
        print("the program does not end", file=sys.stderr)
    _, status = os.waitpid(child, 0)
    sys.stdout.buffer.write(shown)
    if steps:
        print(f"never asked: {steps[0]['prompt']}", file=sys.stderr)
        return 99
    return os.waitstatus_to_exitcode(status)


def wait_for_silence(terminal: int) -> None:
    import termios

    for _ in range(200):
        if not termios.tcgetattr(terminal)[3] & termios.ECHO:
            return
        time.sleep(0.01)


sys.exit(main())

"""Calls a method in a new Python process, as a data-loader worker does on systems without fork."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

SECONDS = 300
SHOWN = 400
"""Characters of the other process's last words that a message quotes."""

# The answer leaves through a copy of stdout, so that a subject that prints cannot spoil it. The
# host is built first, because it is what imports the classes of single-file plugins.
PROGRAM = """
import os, pickle, sys
answer = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
sys.path[:] = pickle.load(sys.stdin.buffer)
from diffir.host.manager import default_host
default_host()
subject, verb, arguments = pickle.loads(pickle.load(sys.stdin.buffer))
result = getattr(subject, verb)(*arguments)
answer.write(pickle.dumps((result, sorted(sys.modules))))
answer.flush()
"""


@dataclass(frozen=True)
class Answer:
    """What the call returned, and the names of the modules that it left imported."""

    result: Any
    modules: frozenset[str]


def pickled(subject: object) -> Any:
    """A copy of the subject that went through pickle.

    Raises:
        AssertionError: it cannot be pickled.
    """
    try:
        return pickle.loads(pickle.dumps(subject))
    except Exception as error:  # pickle raises PicklingError, TypeError, AttributeError, ...
        raise AssertionError(
            f"expected {type(subject).__name__} to go through pickle, got "
            f"{type(error).__name__}: {error}. Define the class at module level, and keep open "
            "files, locks, lambdas and handles of native libraries out of its attributes."
        ) from error


def call_in_fresh_process(subject: object, verb: str, *arguments: object) -> Answer:
    """Send the subject to a new process and call its method there.

    Raises:
        AssertionError: the subject does not arrive, the call fails, or takes over five minutes.
    """
    pickled(subject)
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            # In two parts: the path must be set before the classes are looked for.
            input=pickle.dumps(sys.path) + pickle.dumps(pickle.dumps((subject, verb, arguments))),
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(
            f"expected {verb} to end in a worker process, got none after {SECONDS} s. Look for a "
            "lock or a thread pool that does not survive the way into another process."
        ) from error
    if done.returncode:
        last_words = done.stderr.decode(errors="replace").strip()[-SHOWN:]
        raise AssertionError(
            f"expected {verb} to work in a worker process, got exit status {done.returncode}: "
            f"{last_words}. Its class must be importable there, and not rely on what the main "
            "process has set up."
        )
    result, modules = pickle.loads(done.stdout)
    return Answer(result, frozenset(modules))

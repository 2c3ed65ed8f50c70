#!/usr/bin/env python3
"""Makes the environments that the truth is recorded in: `environments.py DIR` makes
DIR/<version> with what environments/<version>.txt lists, for each Python that there
is (see names/generate.py). What cannot be had is printed as skipped.

Running it again costs about a second.
"""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "src", "pickle", "names"))

import generate  # noqa: E402: it looks for the interpreters

LISTS = os.path.join(HERE, "environments")
# The last one that makes environments of Python 2.7, and the Pythons that it runs on.
VIRTUALENV, RUNS_ON = "virtualenv<20.22", [(3, minor) for minor in (11, 10, 9, 8, 7, 12)]


def run(*command):
    subprocess.run(command, check=True, stdout=sys.stderr)


def pip(environment, *arguments):
    run(os.path.join(environment, "bin", "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q", *arguments)


def virtualenv(directory, found):
    tool = os.path.join(directory, "virtualenv")
    if not os.path.exists(os.path.join(tool, "bin", "virtualenv")):
        version = next(version for version in RUNS_ON if version in found)
        run(found[version][0], "-m", "venv", "--clear", tool)
        pip(tool, VIRTUALENV)
    return os.path.join(tool, "bin", "virtualenv")


def make(directory, name, found):
    program = found[tuple(int(part) for part in name.split("."))][0]
    environment = os.path.join(directory, name)
    shutil.rmtree(environment, ignore_errors=True)
    if name == "2.7":
        run(virtualenv(directory, found), "-q", "-p", program, environment)
    else:
        run(program, "-m", "venv", environment)
    # Older ones do not know the wheels of today.
    pip(environment, "pip>=20.3")
    with open(os.path.join(LISTS, name + ".txt")) as lines:
        wanted = [line.strip() for line in lines if line.strip() and line[0] != "#"]
    try:
        pip(environment, "--prefer-binary", *wanted)
    except subprocess.CalledProcessError:
        # One that is not to be had must not cost the others.
        for one in wanted:
            try:
                pip(environment, "--prefer-binary", one)
            except subprocess.CalledProcessError:
                print("environments: skipped: %s of %s: pip could not install it" % (one, name))


def main(directory):
    found = generate.interpreters()
    os.makedirs(directory, exist_ok=True)
    for file in sorted(os.listdir(LISTS), key=lambda name: int(name.split(".")[1])):
        name = file[: -len(".txt")]
        stamp = os.path.join(directory, name, "stamp")
        with open(os.path.join(LISTS, file)) as lines:
            wanted = lines.read()
        if tuple(int(part) for part in name.split(".")) not in found:
            print("environments: skipped: %s: no such Python" % name)
            continue
        if os.path.exists(stamp) and open(stamp).read() == wanted:
            continue
        print("environments: making %s" % os.path.join(directory, name), file=sys.stderr)
        make(directory, name, found)
        with open(stamp, "w") as file:
            file.write(wanted)


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))

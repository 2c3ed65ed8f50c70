"""Says what this Python, 2.7 or 3, makes of names of its standard library.

    ask.py names FILE   for each line "module name": yes, no, or unimportable
    ask.py compat       what pickles below protocol 3 call things: lines of
                        "to_py3|to_py2 module name module name"
"""
from __future__ import print_function

import os
import sys
import warnings


def ask_names(path):
    warnings.simplefilter("ignore")
    sys.path = [p for p in sys.path[1:] if "-packages" not in p]
    answers = []
    # What the modules print is not the answer.
    stdout = os.dup(1)
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    with open(path) as file:
        for line in file:
            module, name = line.split()
            try:
                __import__(module)
                answers.append("yes" if hasattr(sys.modules[module], name) else "no")
            except BaseException:
                answers.append("unimportable")
    os.write(stdout, "".join(answer + "\n" for answer in answers).encode())
    os._exit(0)


def ask_compat():
    import _compat_pickle as compat

    # As the pure unpickler and pickler of pickle.py do.
    def rename(names, modules, module, name):
        if (module, name) in names:
            return names[module, name]
        return modules.get(module, module), name

    directions = [
        ("to_py3", compat.NAME_MAPPING, compat.IMPORT_MAPPING),
        ("to_py2", compat.REVERSE_NAME_MAPPING, compat.REVERSE_IMPORT_MAPPING),
    ]
    for direction, names, modules in directions:
        asked = set(names) | set((module, "anything") for module in modules)
        for module, name in sorted(asked):
            print(direction, module, name, *rename(names, modules, module, name))


if sys.argv[1] == "names":
    ask_names(sys.argv[2])
else:
    ask_compat()

"""Imports what is neither in the standard library nor the application's."""
import os
import sys
import types
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
with zipfile.ZipFile(os.path.join(HERE, "archive.zip"), "w") as archive:
    archive.writestr("zipped/__init__.py", "")
    archive.writestr("zipped/module.py", "")
sys.path += [os.path.join(HERE, name) for name in ("first", "second", "archive.zip")]


class VendorImporter(object):
    """As setuptools has one."""

    root_name = "parts.found"

    def find_module(self, name, path=None):
        return None

    def find_spec(self, name, path=None, target=None):
        return None


class Moves(types.ModuleType):
    """As six makes some."""

    __path__ = []


def register(name, module=types.ModuleType):
    sys.modules[name] = module(name)
    return sys.modules[name]


sys.meta_path.append(VendorImporter())

import lazy
import parts.found
import parts.migrations
import parts.plain
import parts.spaces
import split
import zipped

if sys.version_info >= (3,):
    import joined

register("parts.six").__path__ = []
register("parts.moves", Moves)
register("parts.by.hand")
register("parts.plain.made")
sys.modules["parts.none"] = None

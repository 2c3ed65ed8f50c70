# -*- coding: utf-8 -*-
"""What must cost an inventory no more than itself: foreign finders, modules that fail
when they are looked at, classes that fail when they are asked for anything.
"""
import sys
import types

import parts

MAPPING = {"editable": "/elsewhere/editable", "parts.editable": "/elsewhere/parts"}


class EditableFinder(object):
    """As setuptools puts one for what is installed to be edited."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None

    @classmethod
    def find_module(cls, name, path=None):
        return None


class Backport(object):
    """As importlib_metadata has one on Python 2."""

    def find_module(self, name, path=None):
        return None


sys.meta_path.insert(0, EditableFinder)
sys.meta_path.append(Backport())


class Failing(types.ModuleType):
    def __getattribute__(self, name):
        raise RuntimeError("looked at")


sys.modules["failing"] = Failing("failing")

if sys.version_info[0] == 2:
    # As __import__(u"...") leaves it.
    sys.modules[u"parts.wide"] = types.ModuleType("parts.wide")
    sys.modules[u"parts.wide"].Thing = type("Thing", (object,), {"__module__": "parts.wide"})
else:
    import importlib.util

    for name in ("parts.wide", "sampleapp.broken"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["parts.wide"].Thing = type("Thing", (object,), {"__module__": "parts.wide"})
    del sys.modules["sampleapp.broken"]
    # Loaded at its first use, which fails.
    spec = importlib.util.find_spec("sampleapp.broken")
    loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["sampleapp.broken"] = module
    loader.exec_module(module)


class Meta(type):
    def __getattribute__(cls, name):
        raise RuntimeError("asked for " + name)


Asked = Meta("Asked", (object,), {})


class Plain(object):
    def __init__(self, left, right=None):
        self.left = left
        self.right = right

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


class Ends(type):
    def __getattribute__(cls, name):
        sys.exit(3)


Ending = Ends("Ending", (object,), {})


class Lies(type):
    @property
    def __mro__(cls):
        return (1, 2)

    @property
    def __dict__(cls):
        return {"__init__": 3}


Liar = Lies("Liar", (object,), {})


class Unequal(type):
    def __hash__(cls):
        raise KeyboardInterrupt

    def __eq__(cls, other):
        return True


Unhashable = Unequal("Unhashable", (object,), {})


class Left(object):
    pass


class Right(object):
    pass


# As if each were in the other, at any depth.
Left.Right, Left.Left, Right.Left, Right.Right = Right, Left, Left, Right


def endless():
    pass


endless.__wrapped__ = endless


class Made(object):
    """As tests put them in the place of modules: whatever is asked for is there."""

    def __getattr__(self, name):
        return Made()

    def __iter__(self):
        return iter(())


def put(name, **attributes):
    # Names need not be identifiers, nor text, nor in any one alphabet.
    module = sys.modules[name] = types.ModuleType("put")
    module.__dict__.update(attributes)


sys.modules["made"] = Made()
put("numbered", __file__=3, __path__=5, __spec__=Made())
put("lines\n and spaces")
put("caf\xe9")
put(u"caf\u2713" if sys.version_info[0] == 2 else "\udcff")
put(3)
put("large", **dict(("name%d" % number, len) for number in range(30000)))


class Silent(object):
    def __getattribute__(self, name):
        raise RuntimeError("finder asked")


sys.meta_path.append(Silent())
sys.stderr = sys.stdout = None


class Plain(object):
    def __init__(self, left, right=None):
        self.left = left
        self.right = right

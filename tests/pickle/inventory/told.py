"""Classes whose facts must be alike on every Python: a digest or an order that depends
on who compiled them would make equal classes look different.
"""
import collections
import datetime

try:
    import copyreg
except ImportError:
    import copy_reg as copyreg
try:
    import dataclasses
except ImportError:
    dataclasses = None
try:
    import enum
except ImportError:
    enum = None

Row = collections.namedtuple("Row", "id name")


class Base(object):
    kind = None

    def __init__(self, owner, *rest):
        self.owner = owner
        self.kind = rest


class Derived(Base):
    def __init__(self, owner, size=3):
        super(Derived, self).__init__(owner)
        self.size = self.half = size
        self._cache, self.__secret = {}, [letter for letter in "abc"]


class Apart(Base):
    def __init__(self):
        self.alone = lambda: self.owner


class Slots(object):
    __slots__ = ("x", "__y")


class Stateful(object):
    def __getstate__(self):
        return {"x": self.x, "parts": [part for part in self.parts if part is not None]}

    def __setstate__(self, state):
        self.x = state["x"]
        if "late" in state:
            self.late = state["late"]
        self.parts = state.get("parts", ())


class Paired(object):
    def __getstate__(self):
        return self.first, "%s-%d" % (self.second, 5)

    def __setstate__(self, state):
        self.first, self.second = state


class Made(object):
    def __new__(cls, a, b=None):
        return object.__new__(cls)

    def __getnewargs__(self):
        return (self.a, self.b)

    def __reduce_ex__(self, protocol):
        assert protocol >= 0, "never"
        return make, (self.a,), None


class Growing(list):
    def append(self, value):
        super(Growing, self).append(value)

    def __getattr__(self, name):
        return name


class Number(int):
    pass


class Zone(datetime.tzinfo):
    def __init__(self, minutes=0):
        self.minutes = minutes


class Declined(ValueError):
    def __init__(self, code, reason):
        ValueError.__init__(self, code, reason)
        self.code = code


class Registered(object):
    pass


def registered(value):
    return Registered, ()


copyreg.pickle(Registered, registered)


def make(a, b=1, *rest):
    return Made(a, b)


if enum:
    class Colour(enum.Enum):
        RED = 1
        BLUE = u"blue \u2713"
        PAIR = (1, u"x")
        OTHER = object()

if dataclasses:
    Point = dataclasses.make_dataclass("Point", [("x", int), ("y", int, 3), ("z", list, dataclasses.field(default_factory=list))])
    Fixed = dataclasses.make_dataclass("Fixed", [("x", int)], frozen=True)

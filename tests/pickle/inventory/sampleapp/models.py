"""One class of each kind that matters to whoever loads pickles of it."""

LIMIT = 5


class Classic:
    """Old-style on Python 2."""


class Outer(object):
    class Inner(object):
        pass

    Alias = Classic

    def method(self):
        return self


class Name(str):
    """Bytes on Python 2, text on Python 3."""


class Slotted(object):
    __slots__ = ()


class SlottedWithState(object):
    __slots__ = ("state",)

    def __setstate__(self, state):
        self.state = state


def make():
    return Outer()

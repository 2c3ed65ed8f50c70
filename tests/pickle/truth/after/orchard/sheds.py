# -*- coding: utf-8 -*-
"""Where some classes of `goods` went."""


class Moved(object):
    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]


class Kept(object):
    def __init__(self, x):
        self.x = x

    def tell(self):
        return [self.x]

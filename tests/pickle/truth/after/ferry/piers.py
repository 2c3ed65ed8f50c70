"""Where a class went."""


class Jetty(object):
    def __init__(self, length):
        self.length = length

    def tell(self):
        return [self.length]

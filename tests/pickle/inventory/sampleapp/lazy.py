print("this must not get among the inventory")


def __getattr__(name):
    return name

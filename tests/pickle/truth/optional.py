"""What not every environment has: None where it is not there."""


def optional(name):
    try:
        return __import__(name)
    except ImportError:
        return None


attr, dataclasses, enum, pydantic, typing = [
    optional(name) for name in ('attr', 'dataclasses', 'enum', 'pydantic', 'typing')]


def make_dataclass(module, name, fields, **options):
    made = dataclasses.make_dataclass(name, fields, **options)
    made.__module__ = module
    return made


def model(module_, name_, **fields):
    """A class of pydantic, of (type, default) by name: Python 2 does not know the syntax."""
    annotations = dict((key, kind) for key, (kind, _) in fields.items())
    members = dict((key, value) for key, (_, value) in fields.items() if value is not Ellipsis)
    return type(pydantic.BaseModel)(name_, (pydantic.BaseModel,), dict(
        members, __annotations__=annotations, __module__=module_, __qualname__=name_))

"""`copyreg`, whatever it is called."""
try:
    from copyreg import *  # noqa: F401,F403
except ImportError:
    from copy_reg import *  # noqa: F401,F403

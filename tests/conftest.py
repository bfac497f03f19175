"""How Hypothesis draws: the same examples in every run of the suite, others on demand.

Some examples are constants of the modules that are imported, so one file alone has other examples
than the whole suite; a test chosen with `-k` from the suite has the same.
"""

from hypothesis import settings

# No deadlines: an example may compile a kernel, and cores are shared.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.register_profile("explore", deadline=None, derandomize=False)
settings.load_profile("suite")  # unless pytest is given --hypothesis-profile

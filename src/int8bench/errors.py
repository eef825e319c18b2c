"""The errors that int8bench raises, and the exit code that each one stands for. Imports nothing.

Int8BenchError
├── RequestError          what was asked for is wrong; the message says what to type instead   (exit 2)
│   ├── RecordError         a stored file is unreadable, corrupt, or of a newer schema
│   ├── DataError           a data set is missing, broken or too small
│   ├── ModelError          a model cannot be found, imported, loaded or fed
│   └── PlatformError       this system is none that the command works on
├── EngineError           an engine cannot prepare, build or answer; becomes a failed row
├── LabError              a measuring process died, hung or answered nonsense; becomes a failed row
│   └── SilenceError        it said nothing for as long as it was waited for
├── InterruptedRunError   the person stopped it; what was measured is kept                       (exit 2)
└── NothingMeasuredError  every cell failed or was skipped, or it was stopped before any was done   (exit 3)
"""


class Int8BenchError(Exception):
    """The base of every error that int8bench raises on purpose."""

    exit_code = 2


class RequestError(Int8BenchError):
    """The request is wrong; the message has what was given, was expected and is to be typed."""


class RecordError(RequestError):
    """A stored file cannot be read; the message names the file and the path inside it."""


class DataError(RequestError):
    """A data set is missing, broken or too small; the message says where to put or what to mend."""


class ModelError(RequestError):
    """A model cannot be found, imported, loaded or fed."""


class PlatformError(RequestError):
    """The command does not work on this system; the message names the system, and the commands that do."""


class EngineError(Int8BenchError):
    """An engine cannot prepare, build or answer; one cell's failure, not the run's."""


class LabError(Int8BenchError):
    """A measuring process died, hung or answered nonsense; one cell's failure, not the run's."""


class SilenceError(LabError):
    """A measuring process said nothing for as long as it was waited for."""


class NothingMeasuredError(Int8BenchError):
    """No cell was measured, so there is no answer to give."""

    exit_code = 3


class InterruptedRunError(Int8BenchError):
    """A run was stopped half-way; the message says where its figures are and how to go on."""

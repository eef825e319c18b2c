"""The hooks that pytest-benchmark offers to conftest files, for where it is not installed; nothing calls them.

pytest refuses hooks that it does not know.
"""


def pytest_benchmark_scale_unit(
    config: object, unit: object, benchmarks: object, best: object, worst: object, sort: object
) -> None:
    """Return the unit that times are shown in.

    Args:
        config: pytest's configuration.
        unit: ``seconds`` or ``operations``.
        benchmarks: all whose times are shown.
        best: the smallest figures among them.
        worst: the largest figures among them.
        sort: the column that they are ordered by.
    """


def pytest_benchmark_generate_machine_info(config: object) -> None:
    """Return the description of the machine."""


def pytest_benchmark_update_machine_info(config: object, machine_info: object) -> None:
    """Complete the description of the machine.

    Args:
        config: pytest's configuration.
        machine_info: the description, which is changed in place.
    """


def pytest_benchmark_generate_commit_info(config: object) -> None:
    """Return the description of the commit."""


def pytest_benchmark_update_commit_info(config: object, commit_info: object) -> None:
    """Complete the description of the commit.

    Args:
        config: pytest's configuration.
        commit_info: the description, which is changed in place.
    """


def pytest_benchmark_group_stats(config: object, benchmarks: object, group_by: object) -> None:
    """Return the tables that benchmarks are shown in.

    Args:
        config: pytest's configuration.
        benchmarks: all that were measured.
        group_by: the option that says which share a table.
    """


def pytest_benchmark_generate_json(
    config: object, benchmarks: object, include_data: object, machine_info: object, commit_info: object
) -> None:
    """Return the document that is stored.

    Args:
        config: pytest's configuration.
        benchmarks: all that were measured.
        include_data: whether every single time is stored.
        machine_info: the description of the machine.
        commit_info: the description of the commit.
    """


def pytest_benchmark_update_json(config: object, benchmarks: object, output_json: object) -> None:
    """Complete the document that is stored.

    Args:
        config: pytest's configuration.
        benchmarks: all that were measured.
        output_json: the document, which is changed in place.
    """


def pytest_benchmark_compare_machine_info(
    config: object, benchmarksession: object, machine_info: object, compared_benchmark: object
) -> None:
    """Tell how the machine of a stored run differs from this one.

    Args:
        config: pytest's configuration.
        benchmarksession: the run that is under way.
        machine_info: the description of this machine.
        compared_benchmark: the stored run.
    """

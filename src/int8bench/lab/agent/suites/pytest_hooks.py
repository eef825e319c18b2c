"""The hooks that pytest-benchmark offers to conftest files, for where it is not installed; nothing calls them.

pytest refuses hooks that it does not know.
"""


def pytest_benchmark_scale_unit(
    config: object, unit: object, benchmarks: object, best: object, worst: object, sort: object
) -> None:
    """The unit that times are shown in."""


def pytest_benchmark_generate_machine_info(config: object) -> None:
    """What is said of the machine."""


def pytest_benchmark_update_machine_info(config: object, machine_info: object) -> None:
    """What is said of the machine besides."""


def pytest_benchmark_generate_commit_info(config: object) -> None:
    """What is said of the commit."""


def pytest_benchmark_update_commit_info(config: object, commit_info: object) -> None:
    """What is said of the commit besides."""


def pytest_benchmark_group_stats(config: object, benchmarks: object, group_by: object) -> None:
    """The tables that benchmarks are shown in."""


def pytest_benchmark_generate_json(
    config: object, benchmarks: object, include_data: object, machine_info: object, commit_info: object
) -> None:
    """What is stored."""


def pytest_benchmark_update_json(config: object, benchmarks: object, output_json: object) -> None:
    """What is stored besides."""


def pytest_benchmark_compare_machine_info(
    config: object, benchmarksession: object, machine_info: object, compared_benchmark: object
) -> None:
    """What is said of two machines that differ."""

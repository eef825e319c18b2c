"""Templates of pages that need nothing from outside. Draws, never measures."""

from collections.abc import Callable, Mapping


def rendered(template: str, filters: Mapping[str, Callable[..., object]], **names: object) -> str:
    """A template of ours with its names filled in; what comes from a record is escaped.

    Args:
        template: a file in `report/templates`.
        filters: by the names that the template calls them.
        names: what the template shows.
    """
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("int8bench.report"), autoescape=select_autoescape(["html", "j2"]), trim_blocks=True
    )
    environment.filters.update(filters)
    return environment.get_template(template).render(**names)

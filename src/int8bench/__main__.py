"""Where ``python -m int8bench`` starts: ready for Ctrl-C while the command line itself is imported."""

import sys


def main() -> None:
    """Import the command line and hand over to it."""
    try:
        from int8bench import cli
    except KeyboardInterrupt:
        sys.stderr.write("int8bench: stopped before it was done; type the same command to start again\n")
        raise SystemExit(3) from None
    cli.main()


if __name__ == "__main__":
    main()

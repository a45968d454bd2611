"""The command line, as ``python -m keraunos``."""

from .frontend.cli.main import main

if __name__ == "__main__":
    main()

"""`python -m polylore` is the command line."""

from polylore.cli.main import main

if __name__ == "__main__":
    main()

"""`python -m labs`."""

from labs_core.cli import main

if __name__ == "__main__":
    main()

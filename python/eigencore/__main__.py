"""`python -m eigencore`: the program `eigencore`."""

from eigencore.cli.app import main

if __name__ == "__main__":
    main()

"""`python -m study`: see `study.command`."""

from study.command import main

if __name__ == "__main__":
    main()

"""The command line of the atlas, ``python -m chroma.atlas sdxl --steps 30``; see `chroma.schedulers.atlas`."""

from chroma.schedulers.atlas import main

if __name__ == "__main__":
    main()

"""Run the command line with ``python -m cspdarknet``."""

from cspdarknet.cli import main

main()

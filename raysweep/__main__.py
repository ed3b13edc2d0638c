"""`python -m raysweep`: the stored results on the command line."""

import sys

from raysweep.service.commands.results_command import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m rankdistill` is the command `rankdistill`."""

import sys

from rankdistill.cli import main

sys.exit(main())

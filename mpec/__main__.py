"""python -m mpec: the same as the console script."""

import sys

from mpec.cli import main

sys.exit(main())

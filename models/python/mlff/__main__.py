"""``python -m mlff`` is the command ``mlff``."""

import sys

from .command import main

sys.exit(main())

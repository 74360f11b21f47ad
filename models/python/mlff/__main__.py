"""``python -m mlff``."""

import sys

from .command import main

sys.exit(main())

"""`python -m embodied_gen` is `embodied-gen`."""

import sys

from embodied_gen.commands.main import main

sys.exit(main())

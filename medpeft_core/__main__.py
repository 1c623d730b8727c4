"""python -m medpeft_core"""

import sys

from medpeft_core.cli import main

if __name__ == "__main__":
    sys.exit(main())

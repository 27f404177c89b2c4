"""The floor of memory: an interpreter that does nothing."""

import sys
import time

if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    time.sleep(3600)

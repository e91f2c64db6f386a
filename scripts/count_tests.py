"""Prints "N passed, N failed", counting test cases in the XML of the targets that a Bazel log names.

usage: count_tests.py LOG TESTLOGS
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


def main():
    log = pathlib.Path(sys.argv[1]).read_text(errors="replace")
    root = pathlib.Path(sys.argv[2])
    targets = re.findall(r"^//(\S*):(\S+)\s.*\b(PASSED|FAILED|TIMEOUT)\b", log, re.MULTILINE)
    passed = failed = 0
    for package, name, verdict in targets:
        cases = 0
        for path in (root / package / name).rglob("test.xml"):
            for case in ElementTree.parse(path).getroot().iter("testcase"):
                cases += 1
                if case.find("failure") is not None or case.find("error") is not None:
                    failed += 1
                elif case.get("status") != "notrun":
                    passed += 1
        # A target that ended without a report failed as a whole.
        if verdict != "PASSED" and cases == 0:
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
